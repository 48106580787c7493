#!/usr/bin/env python3
# timeout: 600
"""Every kind of process tries what it must not: files of others, connections, other programs, new processes, packets of its own. It dies of it, and its
parent says so, or it is refused. The processes are the real ones: fault points have them try it as soon as they are confined.

sandbox.py [STORY...]"""

import os
import signal
import socket
import struct
import subprocess
import sys

import fleet

# attempt -> whether it is deadly in a build with a sanitizer, too, which needs the others itself
DEADLY = {"exec": False, "ptrace": False, "mount": True, "user": True, "fork": False, "socket": True, "code": False}
FORKED = ("exec", "ptrace", "mount")  # what also kills a process that starts others


def log_of(system, name):
    with open(system.path(name), errors="replace") as log:
        return log.read()


def deadly(*without):
    """What kills in this build."""
    return [name for name, always in DEADLY.items() if name not in without and (always or not fleet.sanitized())]


class Outside:
    """A folder like another agent's, which others may read and write, and a port that listens."""

    def __init__(self, system):
        self.folder = system.path("spool-other")
        os.mkdir(self.folder, 0o777)
        self.file = os.path.join(self.folder, "secret")
        with open(self.file, "w") as file:
            file.write("another agent's packets\n")
        os.chmod(self.file, 0o666)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]

    def attempts(self, reads=True):
        names = ["write=" + self.file, "write=" + os.path.join(self.folder, "new")]
        return names + (["open=/etc/shadow", "open=" + self.file, "list=" + self.folder] if reads else [])

    def untouched(self):
        with open(self.file) as file:
            return os.listdir(self.folder) == ["secret"] and file.read() == "another agent's packets\n"


def rules(kind, attempts):
    return ",".join("sandbox.%s:try-%s" % (kind, attempt) for attempt in attempts)


def answers(log, kind):
    """attempt -> how it went, of the processes of a kind."""
    words = [line.split("sandbox.%s: " % kind)[1] for line in log.splitlines() if line.startswith("FLEETDUMP_FAULT: sandbox.%s: " % kind)]
    return dict(word.rsplit(": ", 1) for word in words)


def expect_refused(log, kind, attempts, errors=("EACCES",)):
    got = answers(log, kind)
    assert set(attempts) <= set(got), (kind, set(attempts) - set(got), log)
    for attempt in attempts:
        assert got[attempt] in errors, (kind, attempt, got[attempt])


def start_capture(system, name, check=(0,)):
    return system.run("capture", "start", "--on", name, "-i", "lo", "--for", "30s", "--name", name, "--no-wait", "udp port 9", check=check)


def phase(system, name):
    """(phase, what it says) of a capture on its one agent."""
    order = next((o for o in system.json("capture", "list") if o["capture"] == name), None)
    agent = order["agents"][0] if order and order["agents"] else {}
    return agent.get("phase", ""), agent.get("text", "")


def connected(system, name):
    fleet.wait_until(lambda: name in {a["agent"] for a in system.json("agents") if a["connected"]}, name + " to connect")


def the_agents_processes_are_refused_files_and_connections(system):
    outside = Outside(system)
    kinds = {
        "monitor": outside.attempts(reads=False),
        "shipper": outside.attempts() + ["connect=%d" % outside.port, "list=/root"],
        "check": outside.attempts(),
        "capturer": outside.attempts() + ["open=/etc/passwd", "open=" + system.path("agent-1.conf"), "list=/proc"],
        "recovery": outside.attempts() + ["open=/etc/passwd"],
        "finder": ["open=/etc/passwd", "write=" + outside.file],
    }
    system.start_agent("agent-1", environment={"FLEETDUMP_FAULT": ",".join(rules(*kind) for kind in kinds.items())})
    connected(system, "agent-1")
    start_capture(system, "agent-1")
    fleet.wait_until(lambda: phase(system, "agent-1")[0] == "running", "the capture to run")
    for pid in children(system.agents["agent-1"].pid):
        if name_of(pid) == "fleetdump-cap":
            os.kill(pid, signal.SIGKILL)
    log = lambda: log_of(system, "agent-1.log")
    fleet.wait_until(lambda: answers(log(), "recovery").keys() >= set(kinds["recovery"]), "a recovery")
    system.stop_agent("agent-1")
    if "no Landlock" in log():
        fleet.skip("this kernel has no Landlock")
    for kind, attempts in kinds.items():
        if kind in ("shipper", "capturer", "check", "recovery", "finder") and fleet.sanitized():
            attempts = [a for a in attempts if a != "list=/proc"]
        expect_refused(log(), kind, attempts)
    assert outside.untouched()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return ""


def the_monitor_dies_of_what_no_child_needs(system):
    for attempt in [a for a in FORKED if a in deadly()]:
        agent = system.start_agent("m-" + attempt, environment={"FLEETDUMP_FAULT": rules("monitor", [attempt])})
        assert agent.wait(fleet.WAIT_S) == -signal.SIGSYS, (attempt, log_of(system, "m-%s.log" % attempt))
        system.agents.pop("m-" + attempt)


def the_shipper_dies_and_the_monitor_says_why(system):
    for attempt in deadly("socket", "code"):  # those it needs
        name = "s-" + attempt
        system.start_agent(name, environment={"FLEETDUMP_FAULT": rules("shipper", [attempt])})
        fleet.wait_until(lambda: "the shipper was killed by SIGSYS: it tried a forbidden system call" in log_of(system, name + ".log"), attempt)
        system.stop_agent(name)


def a_check_dies_and_who_asked_is_told(system):
    for attempt in deadly("socket", "code"):
        name = "k-" + attempt
        system.start_agent(name, environment={"FLEETDUMP_FAULT": rules("check", [attempt])})
        connected(system, name)
        done = start_capture(system, name, check=(1, 2, 3))
        assert "was killed by SIGSYS" in done.stderr + done.stdout, (attempt, done.stderr, done.stdout)
        assert "killed by SIGSYS: it tried a forbidden system call" in log_of(system, name + ".log")
        system.stop_agent(name)


def a_capturer_dies_and_its_capture_says_why(system):
    for attempt in deadly() + ["inject"]:
        name = "c-" + attempt
        system.start_agent(name, environment={"FLEETDUMP_FAULT": rules("capturer", [attempt])})
        connected(system, name)
        start_capture(system, name)
        fleet.wait_until(lambda: "was killed by SIGSYS" in phase(system, name)[1], attempt + " to kill the capturer")
        assert "its capturer was killed by SIGSYS: it tried a forbidden system call" in log_of(system, name + ".log")
        system.stop_agent(name)


def a_recovery_dies_and_costs_the_last_packets_alone(system):
    for attempt in deadly():
        name = "r-" + attempt
        system.start_agent(name, environment={"FLEETDUMP_FAULT": rules("recovery", [attempt])})
        connected(system, name)
        start_capture(system, name)
        fleet.wait_until(lambda: phase(system, name)[0] == "running", "the capture to run")
        for pid in children(system.agents[name].pid):
            if name_of(pid) == "fleetdump-cap":
                os.kill(pid, signal.SIGKILL)
        fleet.wait_until(lambda: "recovery: a process was killed by SIGSYS: it tried a forbidden system call" in log_of(system, name + ".log"), attempt)
        system.stop_agent(name)


def read_one(system, fault, *options):
    path = system.path("one.pcap")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for n in range(3):
            file.write(struct.pack("<IIII", n, 0, 60, 60) + bytes(60))
    return system.read("agent-r", path, capture="one", check=False, environment={"FLEETDUMP_FAULT": fault}, options=options)


def reading_files_touches_nothing_else(system):
    outside = Outside(system)
    done = read_one(system, rules("read", outside.attempts() + ["socket", "connect=%d" % outside.port]))
    assert done.returncode == 0, done.stderr
    expect_refused(done.stderr, "read", outside.attempts() + ["socket", "connect=%d" % outside.port])
    assert outside.untouched()
    for attempt in deadly("socket", "code"):
        done = read_one(system, rules("read", [attempt]))
        assert done.returncode == -signal.SIGSYS, (attempt, done.returncode, done.stderr)


def the_collector_keeps_to_its_data(system):
    outside = Outside(system)
    attempts = outside.attempts() + ["open=/etc/passwd", "open=" + system.path("collector.conf")]
    system.stop_collector()
    system.start_collector(environment={"FLEETDUMP_FAULT": rules("collector", attempts)})
    system.run("status")
    expect_refused(log_of(system, "collector.log"), "collector", attempts)
    assert outside.untouched()
    system.stop_collector()
    for attempt in deadly():
        system.start_collector(environment={"FLEETDUMP_FAULT": rules("collector", [attempt])}, wait=False)
        assert system.collector.wait(fleet.WAIT_S) == -signal.SIGSYS, attempt
        system.collector = None
    for command in ("check", "reindex"):
        done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), command, "--data", system.path("store")], capture_output=True,
                              text=True, timeout=60, env=dict(system.environment, FLEETDUMP_FAULT=rules("collector", outside.attempts())))
        assert done.returncode in (0, 3), done.stderr
        expect_refused(done.stderr, "collector", outside.attempts())
    system.start_collector()


STORIES = (the_agents_processes_are_refused_files_and_connections, the_monitor_dies_of_what_no_child_needs,
           the_shipper_dies_and_the_monitor_says_why, a_check_dies_and_who_asked_is_told, a_capturer_dies_and_its_capture_says_why,
           a_recovery_dies_and_costs_the_last_packets_alone, reading_files_touches_nothing_else, the_collector_keeps_to_its_data)


def main():
    if os.geteuid() != 0:
        fleet.skip("capturing needs root")
    if not fleet.has(b"FLEETDUMP_FAULT"):
        fleet.skip("built without fault points")
    for story in STORIES:
        if len(sys.argv) > 1 and story.__name__ not in sys.argv[1:]:
            continue
        with fleet.Fleet() as system:
            story(system)
        print(story.__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
