#!/usr/bin/env python3
# timeout: 1200
"""Agent and collector are killed (SIGKILL) at every fault point that a run passes, at its first and at a later passing, and
each point fails once with an I/O error. After a restart without faults nothing needs a hand: every chunk that was
acknowledged is there once, every other is there once or accounted for, the spool is empty, `check` finds nothing.

Needs programs built with fault points (the debug and sanitizer presets). FLEETDUMP_FAULTS_SHARE=N takes every N-th case;
arguments name points."""

import collections
import concurrent.futures
import os
import random
import signal
import struct
import subprocess
import sys

import fleet
import pcapfile

PACKETS = 600
SPAN_S = 480  # a chunk a minute of packet time
LANES = 2
NEVER_STRUCK = "the fault never struck"
NEVER_STRUCK_MOST = 0.05  # how often a run groups its commits differs a little from run to run


def make_capture(path):
    """UDP and TCP packets of a few hundred bytes, each with its number in it, over several minutes."""
    rng = random.Random(7)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for n in range(PACKETS):
            payload = struct.pack(">I", n) + rng.randbytes(rng.randrange(20, 400))
            port = rng.choice((53, 80, 5000 + n % 7))
            udp = struct.pack(">HHHH", 40000 + n % 50, port, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n, 0, 64, 17, 0, bytes((10, 0, 0, n % 5 + 1)), bytes((10, 0, 1, 1)))
            frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + udp
            time_ns = (1_700_000_000 * 10**9) + n * SPAN_S * 10**9 // PACKETS + n
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(frame), len(frame)) + frame)


class Case:
    """One run with a fault, then mending without one."""

    def __init__(self, side, fault):
        self.side, self.fault = side, fault

    def __str__(self):
        return "%s %s" % (self.side, self.fault)

    def disturb(self, system, capture):
        environment = {"FLEETDUMP_FAULT": self.fault, "FLEETDUMP_FAULT_LIST": system.path("passed")}
        if self.side == "collector":
            system.stop_collector()
            system.start_collector(environment=environment, wait=False)
            command = system.read_command("web-1", capture, capture="once", options=["--no-wait"])
            subprocess.run(command, env=system.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            system.start_agent("web-1")
            self.settle(system)
        elif self.side == "reader":
            system.read("web-1", capture, capture="once", options=["--no-wait"], check=False, environment=environment)
        else:
            system.read("web-1", capture, capture="once", options=["--no-wait"])
            system.start_agent("web-1", environment=environment)
            self.settle(system)

    def struck(self, system):
        """Whether the point was passed often enough for the fault to strike."""
        point, _, time = self.fault.split(":")
        with open(system.path("passed")) as file:
            return file.read().split().count(point) >= int(time)

    def settle(self, system):
        """Until the fault has struck, or the work is done although it did (failures that are survived)."""
        def over():
            return system.collector.poll() is not None or system.agents["web-1"].poll() is not None or spool_empty(system) or struck_child(system)
        fleet.wait_until(over, "the fault to strike or the spool to empty")

    def mend(self, system):
        system.stop_agent("web-1")
        if system.collector.poll() is not None or self.side == "collector":
            system.stop_collector(signal.SIGKILL)
            system.start_collector()
        system.start_agent("web-1")
        fleet.wait_until(lambda: spool_empty(system), "the spool to empty after the restart")


def streams(system):
    spool = system.path("spool-web-1")
    return [n for n in os.listdir(spool) if n[:32].strip("0123456789abcdef") == "" and len(n) >= 32] if os.path.isdir(spool) else []


def spool_empty(system):
    return not streams(system)


def struck_child(system):
    """The agent's shipper dies by the fault, and is started again by the agent with the same environment: one death is enough."""
    with open(system.path("web-1.log"), errors="replace") as log:
        return "signal 9" in log.read()


def numbers(path):
    """How often each packet is in the file."""
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    return collections.Counter(struct.unpack(">I", p.data[42:46])[0] for p in packets)


def judge(case, system):
    pulled = system.path("all.pcapng")
    manifest = system.path("all.json")
    done = system.run("pull", "", "--capture", "once", "-w", pulled, "--manifest", manifest, check=None)
    found = numbers(pulled) if os.path.exists(pulled) else collections.Counter()
    twice = [n for n, times in found.items() if times > 1]
    if twice:
        return "%d packets are there more than once" % len(twice)
    lost = accounted(system, manifest)
    if case.side == "reader":  # the reading itself was cut short: what it had taken must be there or be counted
        taken = max(found, default=-1) + 1
        if len(found) + lost < taken:
            return "%d packets of the first %d are neither there nor accounted for (%d are)" % (taken - len(found) - lost, taken, lost)
        return None
    if len(found) != PACKETS:
        return "%d of %d packets are there, %d accounted for" % (len(found), PACKETS, lost)
    if done.returncode != 0:
        return "complete, but exit %d: %s" % (done.returncode, done.stderr)
    return None


def accounted(system, manifest):
    if not os.path.exists(manifest):
        return 0
    import json
    with open(manifest) as file:
        agents = json.load(file)["agents"]
    return sum(a["counters"]["crash_lost"] + a["missing_packets"] + sum(a["gap_packets"].values()) for a in agents)


def check_store(system):
    system.stop_collector()
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env=system.environment)
    return None if done.returncode == 0 else "check: " + done.stdout[-600:]


def run_case(case):
    with fleet.Fleet() as system:
        capture = system.path("once.pcap")
        make_capture(capture)
        try:
            case.disturb(system, capture)
            if not case.struck(system):
                return NEVER_STRUCK
            case.mend(system)
            return judge(case, system) or check_store(system)
        except AssertionError as why:
            logs = ""
            for name in ("collector.log", "web-1.log"):
                if os.path.exists(system.path(name)):
                    with open(system.path(name), errors="replace") as log:
                        logs += "\n--- %s\n%s" % (name, log.read()[-1500:])
            return str(why) + logs


def passed_points():
    """The points that a run without faults passes, and how often, by side."""
    points = {}
    with fleet.Fleet() as system:
        capture = system.path("once.pcap")
        make_capture(capture)
        lists = {side: system.path("points." + side) for side in ("collector", "reader", "shipper")}
        system.stop_collector()
        system.start_collector(environment={"FLEETDUMP_FAULT_LIST": lists["collector"]})
        system.read("web-1", capture, capture="once", options=["--no-wait"], environment={"FLEETDUMP_FAULT_LIST": lists["reader"]})
        system.start_agent("web-1", environment={"FLEETDUMP_FAULT_LIST": lists["shipper"]})
        fleet.wait_until(lambda: spool_empty(system), "the spool to empty")
        system.stop_agent("web-1")
        system.stop_collector()
        for side, path in lists.items():
            if not os.path.exists(path):
                fleet.skip("the programs are built without fault points")
            with open(path) as file:
                points[side] = collections.Counter(file.read().split())
    return points


def cases(points):
    out = []
    for side, passed in sorted(points.items()):
        for point, times in sorted(passed.items()):
            out.append(Case(side, "%s:kill:1" % point))
            if times > 2:
                out.append(Case(side, "%s:kill:%d" % (point, times // 2 + 1)))
            if not point.endswith(".done"):
                out.append(Case(side, "%s:EIO:1" % point))
    wanted = sys.argv[1:]
    if wanted:
        return [c for c in out if any(w in str(c) for w in wanted)]
    return out[::int(os.environ.get("FLEETDUMP_FAULTS_SHARE", "1"))]


def main():
    points = passed_points()
    for side in ("collector", "reader", "shipper"):
        print("%s: %d points, %d passings" % (side, len(points[side]), sum(points[side].values())))
        assert len(points[side]) >= 3, "hardly any fault points on the way: are they compiled in?"
    todo, wrong, missed = cases(points), 0, 0
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for case, failure in zip(todo, pool.map(run_case, todo)):
            if failure:
                print("%s: %s" % (case, failure), flush=True)
            missed += failure == NEVER_STRUCK
            wrong += failure is not None and failure != NEVER_STRUCK
    print("%d cases, %d wrong, %d in which the fault never struck" % (len(todo), wrong, missed))
    return wrong > 0 or missed > NEVER_STRUCK_MOST * len(todo)


if __name__ == "__main__":
    sys.exit(main())
