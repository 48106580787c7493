#!/usr/bin/env python3
# timeout: 600
"""The command line against a fleet that captures: start with a file, a pipe, names, refusals, limits and signals; print --follow while
captures overlap and agents and the collector come and go. Arguments name stories."""

import os
import re
import signal
import subprocess
import sys
import threading

import fleet
import lab
import pcapfile

PING = "icmp[icmptype] == icmp-echo"


def ping(system, count, to="web-1"):
    """Echo requests from the client: how many were sent."""
    system.host("client", "ping", "-q", "-c", str(count), "-i", "0.01", system.ip(to), check=False)
    return count


def popen(system, *arguments, **more):
    process = subprocess.Popen(system.inside(lab.HUB) + [os.path.join(fleet.BIN, "fleetdump"), *fleet.patient(arguments)],
                               env=dict(system.environment, FLEETDUMP_COLLECTOR=system.address), stdin=subprocess.DEVNULL, **more)
    system.children.append(process)
    return process


def wait_for_phase(system, name, phase, agents=1):
    fleet.wait_until(lambda: any(o["capture"] == name for o in system.json("capture", "list"))
                     and system.phases(name).count(phase) >= agents, "%s to be %s on %d agents" % (name, phase, agents))


class Lines:
    """What a process prints, as it comes."""

    def __init__(self, process):
        self.process, self.out, self.said = process, [], []
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((process.stdout, self.out), (process.stderr, self.said))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(file, lines):
        for line in file:
            lines.append(line.rstrip("\n"))

    def end(self, how=None):
        if how:
            self.process.send_signal(how)
        code = self.process.wait(fleet.WAIT_S)
        for reader in self.readers:
            reader.join()
        return code, "\n".join(self.said)


# --------------------------------------------------------------------- stories

def one_hung_agent_harms_no_other():
    """It is named at once; the rest has all its time; and what it was told it does not do when that time is over."""
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        clocks = lambda: system.json("agents", "--columns", "agent,clock_offset")
        fleet.wait_until(lambda: all(a.get("clock_offset") is not None for a in clocks()), "all to know the collector's clock")
        greeted = lambda: "data connection to %s is up" % system.address in open(system.path("web-2.log")).read()
        fleet.wait_until(greeted, "web-2 to wait for nothing else from the collector")
        shipper = int(open("/proc/%d/task/%d/children" % ((system.agents["web-2"].pid,) * 2)).read().split()[0])
        os.kill(shipper, signal.SIGSTOP)
        try:
            refused = lambda: system.run("capture", "start", "-A", "--for", "1s", "--name", "all", "--answer-within", "3s", check=(1,)).stderr
            named = "nothing was started: web-2 is connected, but did not answer in time"
            said = fleet.wait_until(lambda: named in (said := refused()) and said, "web-1 to answer in time, and web-2 to be named")
            assert "--answer-within" in said, said
            fleet.wait_until(lambda: {a["agent"]: a["up"] for a in system.json("agents")} == {"web-1": "yes", "web-2": "silent"}, "web-2 to be silent")
            patient = Lines(popen(system, "capture", "start", "-A", "--for", "3s", "--name", "late",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            done = system.run("capture", "start", "-A", "--for", "3s", "--name", "most", "--partial", "--answer-within", "3s", check=(3,))
            web1, web2 = system.order("most")["agents"]
            assert web1["phase"] == "stopped" and "its time is over" in web1["text"], web1
            assert web2["phase"] == "missed" and "web-2: never came" in done.stderr, (web2, done.stderr)
        finally:
            os.kill(shipper, signal.SIGCONT)
        code, said = patient.end()  # it waited for as long as the others gave up after
        assert code == 0 and [a["phase"] for a in system.order("late")["agents"]] == ["stopped"] * 2, said
        fleet.wait_until(lambda: {a["up"] for a in system.json("agents")} == {"yes"}, "web-2 to answer again")
        fleet.wait_until(lambda: system.order("most")["agents"][1]["phase"] == "stopped", "web-2 to find the order over")
        web2 = system.order("most")["agents"][1]
        assert web2["text"] == "its time is over" and not web2["interfaces"], web2
        assert [c["agents"] for c in system.json("captures") if c["capture"] == "most"] == ["web-1"], system.json("captures")


def a_file_holds_what_tcpdump_saw():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        beside = {name: system.tcpdump(name, system.path(name + ".pcap"), "icmp") for name in ("web-1", "web-2")}
        start = Lines(popen(system, "capture", "start", "--on", "web-*", "--for", "10m", "--name", "file", "-w", system.path("out.pcapng"),
                            "--vantage", "all", "icmp", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        wait_for_phase(system, "file", "running", 2)
        for to in ("web-1", "web-2", "web-1"):
            ping(system, 50, to)
        code, said = start.end(signal.SIGINT)
        assert code == 0, said
        for child in beside.values():
            system.end_tcpdump(child)
        interfaces, packets, damage = pcapfile.read(system.path("out.pcapng"))
        assert damage is None
        for name in beside:
            ours = [(p.time_ns, p.data) for p in packets if interfaces[p.interface].name == name + "/eth0"]
            theirs = [(p.time_ns, p.data) for p in lab.dumped(system.path(name + ".pcap"))]
            assert sorted(ours) == sorted(theirs), (name, len(ours), len(theirs))
        assert [p.time_ns for p in packets] == sorted(p.time_ns for p in packets)
        assert "file: 2 agents, 300 packets" in said and "fleetdump pull --capture file" in said, said
        assert system.order("file")["state"] == "over"
        assert "stopped by" in system.order("file")["why"], system.order("file")


def a_pipe_shows_packets_while_it_runs():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        start = popen(system, "capture", "start", "-A", "--for", "10m", "--name", "pipe", "-w", "-", PING, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=False)
        seen = Lines(subprocess.Popen(["tcpdump", "-n", "-l", "-r", "-"], stdin=start.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True))
        start.stdout.close()
        wait_for_phase(system, "pipe", "running", 2)
        total = 0
        for to in ("web-1", "web-2", "web-1", "web-2"):
            total += ping(system, 10, to)
            fleet.wait_until(lambda: len(seen.out) >= total, "%d packets in the pipe" % total)
        assert "running" in system.phases("pipe")
        start.send_signal(signal.SIGTERM)
        said = start.stderr.read().decode()
        assert start.wait(fleet.WAIT_S) == 0, said
        seen.end()
        assert len(seen.out) == total, (len(seen.out), total)


def a_reader_that_leaves_ends_the_capture():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start = popen(system, "capture", "start", "-A", "--for", "10m", "--name", "left", "-w", "-", stdout=subprocess.PIPE,
                      stderr=subprocess.DEVNULL)
        start.stdout.read(28)
        start.stdout.close()
        start.wait(fleet.WAIT_S)
        assert system.order("left")["state"] == "over"


def names_say_whose_packets():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        system.run("capture", "start", "-A", "--no-wait", "--name", "one", "icmp and dst web-2")
        wait_for_phase(system, "one", "running", 2)
        for to in ("web-1", "web-2"):
            ping(system, 5, to)
        done = system.run("capture", "stop", "one", check=(0, 3))
        assert done.returncode == 3 or "one: 2 agents, 5 packets" in done.stderr, done.stderr
        wait_for_phase(system, "one", "stopped", 2)
        assert sum(agent["packets"] for agent in system.order("one")["agents"]) == 5, system.order("one")
        assert "web-2" not in system.order("one")["filter"] and system.ip("web-2") in system.order("one")["filter"]


def who_cannot_says_so():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        system.add_interface("web-1", "extra0")
        done = system.run("capture", "start", "-A", "-i", "extra*", check=(1,))
        assert "nothing was started: 1 of 2 agents said no" in done.stderr and "web-2: " in done.stderr, done.stderr
        assert not system.json("capture", "list")
        done = system.run("capture", "start", "-A", "-i", "extra*", "--dry-run", check=(1,))
        assert re.search(r"^web-1 +yes +extra0", done.stdout, re.M) and re.search(r"^web-2 +refused", done.stdout, re.M), done.stdout
        done = system.run("capture", "start", "-A", "-i", "extra*", "--partial", "--for", "3s", check=(3,))
        assert "web-2: refused" in done.stderr and "web-1: stopped" in done.stderr, done.stderr
        system.run("capture", "start", "-A", "--name", "same", "--for", "3s")
        assert "same" in system.run("capture", "start", "-A", "--name", "same", check=(1, 2)).stderr


def limits_end_the_wait():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        start = Lines(popen(system, "capture", "start", "-A", "--for", "10m", "-c", "5", "--name", "few", "icmp", stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True))
        wait_for_phase(system, "few", "running", 2)
        for to in ("web-1", "web-2"):
            ping(system, 20, to)
        code, said = start.end()
        assert code == 0 and "few: 2 agents, 10 packets" in said, said


def followed_packets_come_once():
    """Two captures overlap on each agent; an agent and the collector are restarted meanwhile."""
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        follow = Lines(popen(system, "print", "--follow", PING, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True))
        for name in ("first", "second"):
            system.run("capture", "start", "-A", "--for", "10m", "--no-wait", "--name", name, "icmp")
            wait_for_phase(system, name, "running", 2)
        total = 0

        def until_there():
            fleet.wait_until(lambda: len([line for line in list(follow.out) if "echo request" in line]) >= total, "%d requests" % total)

        for to in ("web-1", "web-2"):
            total += ping(system, 10, to)
            until_there()
        with system.anew("web-2", "first", "second"):
            system.stop_agent("web-2")
            system.start_agents("web-2")
        total += ping(system, 10, "web-2")
        until_there()
        system.stop_collector()
        total += ping(system, 10, "web-1")
        system.start_collector()
        until_there()
        for name in ("first", "second"):
            wait_for_phase(system, name, "running", 2)
        total += ping(system, 10, "web-2")
        until_there()
        code, said = follow.end(signal.SIGINT)
        requests = [line for line in follow.out if "echo request" in line]
        assert code == 0, said
        assert len(requests) == total and len(set(requests)) == total, (len(requests), len(set(requests)), total)


STORIES = (one_hung_agent_harms_no_other, a_file_holds_what_tcpdump_saw, a_pipe_shows_packets_while_it_runs,
           a_reader_that_leaves_ends_the_capture, names_say_whose_packets,
           who_cannot_says_so, limits_end_the_wait, followed_packets_come_once)


if __name__ == "__main__":
    sys.exit(lab.tell(STORIES))
