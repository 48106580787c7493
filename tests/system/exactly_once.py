#!/usr/bin/env python3
# timeout: 1200
"""Agent and collector are killed (SIGKILL) at every fault point that a run passes, at its first and at later passings, and
each point fails with an I/O error, once and always; all points of a side are slow. After a restart without faults nothing needs a hand: every chunk that was
acknowledged is there once, every other is there once or accounted for, the spool is empty, `check` finds nothing.

Needs programs built with fault points (the debug and sanitizer presets). FLEETDUMP_FAULTS_SHARE=N takes every N-th case;
arguments name points."""

import collections
import concurrent.futures
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import fleet
import pcapfile

PACKETS = 600
SPAN_S = 480  # a chunk a minute of packet time
LANES = 2 * (os.cpu_count() or 1)  # mostly they wait
SIDES = {
    "collector": "takes chunks in",
    "reader": "reads a file into the spool",
    "recovery": "ends what a reader left that was killed",
    "shipper": "takes the spool to the collector",
}
FAULTS_MAX = 32  # rules of one FLEETDUMP_FAULT
CUT = "capture.write:kill:14"  # a reader dies amid a chunk
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

    def __init__(self, side, fault, name=None):
        self.side, self.fault, self.name = side, fault, name or fault
        self.cut = side == "recovery" or (side == "reader" and "delay" not in fault)  # the reading
        self.agent = self.capture = None

    def __str__(self):
        return "%s %s" % (self.side, self.name)

    def disturb(self, system, packets):
        environment = {"FLEETDUMP_FAULT": self.fault, "FLEETDUMP_FAULT_LIST": self.passed(system)}
        if self.side == "collector":
            system.stop_collector()
            system.start_collector(environment=environment, wait=False)
            command = system.read_command(self.agent, packets, capture=self.capture, options=["--no-wait"])
            subprocess.run(command, env=system.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            system.start_agent(self.agent)
            self.settle(system)
        elif self.side == "reader":
            self.read(system, packets, environment)
        else:
            self.read(system, packets, {"FLEETDUMP_FAULT": CUT} if self.side == "recovery" else None)
            system.start_agent(self.agent, environment=environment)
            self.settle(system)

    def read(self, system, packets, environment):
        system.read(self.agent, packets, capture=self.capture, options=["--no-wait"], check=self.side == "shipper" or not self.cut, environment=environment)

    def passed(self, system):
        return system.path("passed-" + self.agent)

    def struck(self, system):
        """Whether the point was passed often enough for the fault to strike."""
        point, _, time = (self.fault.split(",")[0] + ":1").split(":")[:3]
        if not os.path.exists(self.passed(system)):
            return False
        with open(self.passed(system)) as file:
            return file.read().split().count(point) >= int(time)

    def settle(self, system):
        """Until the fault has struck, or the work is done although it did (failures that are survived)."""
        again = self.fault.count(":") == 1 or self.side == "recovery"  # a new process counts from 1
        again = again and "crash" not in self.fault  # that is survived
        def over():
            ended = system.collector.poll() is not None or system.agents[self.agent].poll() is not None
            return ended or self.spool_empty(system) or self.child_died(system) or (again and self.struck(system))
        fleet.wait_until(over, "the fault to strike or the spool to empty")

    def mend(self, system):
        system.stop_agent(self.agent)
        if self.side == "collector":
            system.stop_collector(signal.SIGKILL)
            system.start_collector()
        assert system.collector.poll() is None, "the collector ended"
        system.start_agent(self.agent)
        fleet.wait_until(lambda: self.spool_empty(system), "the spool to empty after the restart")
        system.stop_agent(self.agent)

    def spool_empty(self, system):
        spool = system.path("spool-" + self.agent)
        names = os.listdir(spool) if os.path.isdir(spool) else []
        return not any(n[:32].strip("0123456789abcdef") == "" and len(n) >= 32 for n in names)

    def child_died(self, system):
        """A child of the agent dies by the fault, and is started again with the same environment: one death is enough."""
        with open(system.path(self.agent + ".log"), errors="replace") as log:
            return "signal 9" in log.read()

    def judge(self, system):
        pulled, manifest = system.path(self.agent + ".pcapng"), system.path(self.agent + ".json")
        done = system.run("pull", "", "--capture", self.capture, "-w", pulled, "--manifest", manifest, check=None)
        found = numbers(pulled) if os.path.exists(pulled) else collections.Counter()
        twice = [n for n, times in found.items() if times > 1]
        if twice:
            return "%d packets are there more than once" % len(twice)
        lost = accounted(manifest)
        if self.cut:  # what it had taken must be there or be counted
            taken = max(found, default=-1) + 1
            if len(found) + lost < taken:
                return "%d packets of the first %d are neither there nor accounted for (%d are)" % (taken - len(found) - lost, taken, lost)
            return None
        if len(found) != PACKETS:
            return "%d of %d packets are there, %d accounted for" % (len(found), PACKETS, lost)
        if done.returncode != 0:
            return "complete, but exit %d: %s" % (done.returncode, done.stderr)
        return None

    def logs(self, system):
        text = ""
        for name in ("collector.log", self.agent + ".log"):
            if os.path.exists(system.path(name)):
                with open(system.path(name), errors="replace") as log:
                    text += "\n--- %s\n%s" % (name, log.read()[-1500:])
        return text


def numbers(path):
    """How often each packet is in the file."""
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    return collections.Counter(struct.unpack(">I", p.data[42:46])[0] for p in packets)


def accounted(manifest):
    if not os.path.exists(manifest):
        return 0
    with open(manifest) as file:
        agents = json.load(file)["agents"]
    return sum(a["counters"]["crash_lost"] + a["missing_packets"] + sum(a["gap_packets"].values()) for a in agents)


def check_store(system):
    system.stop_collector()
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env=system.environment)
    return None if done.returncode == 0 else "check: " + done.stdout[-600:]


class Lanes:
    """A collector that is not disturbed serves the cases of a lane, each with an agent of its own, until one goes wrong."""

    def __init__(self, packets):
        self.packets = packets
        self.own = threading.local()
        self.open = []
        self.lock = threading.Lock()
        self.count = 0

    def shared(self):
        if not getattr(self.own, "system", None):
            with self.lock:
                self.own.system = fleet.Fleet(memory=True, tls=not self.open)  # one lane of them
                self.open.append(self.own.system)
            self.own.system.start_collector()
        return self.own.system

    def drop_shared(self):
        self.own.system = None  # closed at the end

    def run(self, case):
        with self.lock:
            self.count += 1
            case.agent, case.capture = "web-%d" % self.count, "once-%d" % self.count
        if case.side != "collector":
            failure = self.attempt(case, self.shared())
            if failure and failure != NEVER_STRUCK:
                self.drop_shared()
            return failure
        with fleet.Fleet(memory=True) as system:
            return self.attempt(case, system) or check_store(system)

    def attempt(self, case, system):
        try:
            case.disturb(system, self.packets)
            if not case.struck(system):
                return NEVER_STRUCK
            case.mend(system)
            return case.judge(system)
        except AssertionError as why:
            return str(why) + case.logs(system)
        finally:
            system.stop_agent(case.agent)

    def close(self):
        """What `check` finds in the stores that many cases shared."""
        findings = []
        for system in self.open:
            findings.append(check_store(system))
            system.__exit__(None, None, None)
        return [f for f in findings if f]


def passed_points(packets):
    """The points that runs without faults pass, and how often, by side."""
    points = {}
    with fleet.Fleet(memory=True) as system:
        lists = {side: system.path("points." + side) for side in SIDES}
        system.stop_collector()
        system.start_collector(environment={"FLEETDUMP_FAULT_LIST": lists["collector"]})
        for side, cut in (("shipper", None), ("recovery", CUT)):
            case = Case(side, "")
            case.agent, case.capture = "web-" + side, side
            case.read(system, packets, {"FLEETDUMP_FAULT_LIST": lists["reader"]} if side == "shipper" else {"FLEETDUMP_FAULT": cut})
            system.start_agent(case.agent, environment={"FLEETDUMP_FAULT_LIST": lists[side]})
            fleet.wait_until(lambda: case.spool_empty(system), "the spool to empty")
            system.stop_agent(case.agent)
            if side == "shipper":
                system.stop_collector()
                system.start_collector()
        for side, path in lists.items():
            if not os.path.exists(path):
                fleet.skip("the programs are built without fault points")
            with open(path) as file:
                points[side] = collections.Counter(file.read().split())
    for point in points["shipper"]:
        points["recovery"].pop(point, None)
    return points


def cases(points):
    out = []
    for side, passed in sorted(points.items()):
        for point, times in sorted(passed.items()):
            steady = side in ("reader", "recovery")  # else what is grouped, and so passed, differs from run to run
            passings = {1, times // 4 + 1, times // 2 + 1 if steady else 1, times * 3 // 4 + 1 if steady else 1}
            out += [Case(side, "%s:kill:%d" % (point, n)) for n in sorted(passings)]
            if not point.endswith(".done"):
                out += [Case(side, "%s:EIO:1" % point), Case(side, "%s:EIO" % point)]
        slow = [p for p in sorted(passed) if not p.endswith(".done")][:FAULTS_MAX]
        out.append(Case(side, ",".join("%s:delay=5" % p for p in slow), "all:delay"))
    out.append(Case("recovery", "recover.scan:crash"))
    wanted = sys.argv[1:]
    if wanted:
        return [c for c in out if any(w in str(c) for w in wanted)]
    return out[::int(os.environ.get("FLEETDUMP_FAULTS_SHARE", "1"))]


def main():
    packets = tempfile.NamedTemporaryFile(prefix="fleetdump-test.", suffix=".pcap")
    make_capture(packets.name)
    points = passed_points(packets.name)
    for side in SIDES:
        print("%s: %d points, %d passings" % (side, len(points[side]), sum(points[side].values())))
        assert len(points[side]) >= 3, "hardly any fault points on the way: are they compiled in?"
    todo, wrong, missed = cases(points), 0, 0
    lanes = Lanes(packets.name)
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for case, failure in zip(todo, pool.map(lanes.run, todo)):
            if failure:
                print("%s: %s" % (case, failure), flush=True)
            missed += failure == NEVER_STRUCK
            wrong += failure is not None and failure != NEVER_STRUCK
    for finding in lanes.close():
        print(finding)
        wrong += 1
    print("%d cases, %d wrong, %d in which the fault never struck" % (len(todo), wrong, missed))
    return wrong > 0 or missed > NEVER_STRUCK_MOST * len(todo)


if __name__ == "__main__":
    sys.exit(main())
