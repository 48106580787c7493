#!/usr/bin/env python3
"""fleetdump print --follow: every packet that comes to the collector is printed once, whenever and from wherever it comes."""

import os
import re
import signal
import struct
import subprocess
import threading
import time

import wire
from fleet import BIN, WAIT_S, Fleet, wait_until


def write_pcap(path, packets):
    """Packets: (time in ns, port); UDP over Ethernet, each of its own."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for number, (time_ns, port) in enumerate(packets):
            data = bytes.fromhex("0200000000010200000000020800") + b"\x45\0\0\x20" + struct.pack(">HH", number & 0xFFFF, 0) \
                + b"\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02" + struct.pack(">HHHH", 1024 + number % 500, port, 12, 0) + b"abcd"
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(data), len(data)) + data)


class Follower:
    all = []  # that were started: none outlives the test

    def __init__(self, fleet, *options):
        environment = dict(fleet.environment, FLEETDUMP_COLLECTOR=fleet.address)
        self.process = subprocess.Popen([os.path.join(BIN, "fleetdump"), "print", "--follow", *options], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.all.append(self.process)
        self.lines, self.said = [], []
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.said))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(file, lines):
        for line in file:
            lines.append(line.rstrip("\n"))

    def packets(self):
        return [line for line in list(self.lines) if re.match(r"\S+/\S+ \d\d:", line)]

    def wait_for(self, count):
        wait_until(lambda: len(self.packets()) >= count, "%d packets" % count)

    def end(self, how=signal.SIGINT, status=0):
        if how:
            self.process.send_signal(how)
        code = self.process.wait(WAIT_S)
        for reader in self.readers:
            reader.join()
        assert code == status, (code, self.said)
        return "\n".join(self.said)


def words_of_tcpdump(path, agent, name):
    done = subprocess.run(["tcpdump", "-n", "-r", path], env=dict(os.environ, TZ="UTC"), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return ["%s/%s %s" % (agent, name, line) for line in done.stdout.splitlines()]


def make_files(fleet, base_ns):
    files = []
    for n in range(6):
        path = fleet.path("part-%d.pcap" % n)
        write_pcap(path, [(base_ns + (n * 1000 + i) * 1000003, 53 if i % 2 else 80) for i in range(300)])
        files.append(path)
    return files


def each_packet_comes_once(fleet, files):
    follower = Follower(fleet, "--capture", "live*")
    expected = []
    for n in (0, 1, 4, 2, 3):  # what is later comes earlier
        agent = "web-%d" % (n % 2)
        fleet.read(agent, files[n], capture="live-%d" % n)
        expected += words_of_tcpdump(files[n], agent, "part-%d" % n)
        follower.wait_for(len(expected))
    fleet.read("web-0", files[0], capture="live-again")  # the same packets, by another capture
    fleet.read("web-1", files[5], capture="live-5")
    expected += words_of_tcpdump(files[5], "web-1", "part-5")
    follower.wait_for(len(expected))
    said = follower.end()
    assert sorted(follower.packets()) == sorted(expected)
    assert "1.8k packets" in said, said


def the_collector_may_be_restarted(fleet, files):
    follower = Follower(fleet, "--capture", "restart*", "udp port 53")
    fleet.read("web-0", files[0], capture="restart-0")
    follower.wait_for(150)
    fleet.stop_collector()
    wait_until(lambda: any("trying again" in line for line in follower.said), "the note")
    fleet.start_collector()
    fleet.read("web-1", files[1], capture="restart-1")
    follower.wait_for(300)
    said = follower.end()
    assert len(follower.packets()) == 300 and "answers again" in said, said


def from_when_on(fleet, files):
    old, new = fleet.path("old.pcap"), fleet.path("new.pcap")
    now = time.time_ns()
    write_pcap(old, [(now - 600 * 10**9 + i, 1000) for i in range(10)])
    fleet.read("web-0", old, capture="past")
    quiet, talkative = Follower(fleet), Follower(fleet, "--since", "1h", "udp port 1000")
    talkative.wait_for(10)
    write_pcap(new, [(time.time_ns() + 600 * 10**9 + i, 1000) for i in range(20)])  # after quiet began, whenever it does
    fleet.read("web-0", new, capture="present")
    quiet.wait_for(20)
    talkative.wait_for(30)
    quiet.end()
    talkative.end(how=signal.SIGTERM)
    assert len(quiet.packets()) == 20 and len(talkative.packets()) == 30


def tcpdump_gets_its_options(fleet, files):
    follower = Follower(fleet, "--capture", "restart-0", "-X", "-e", "--", "-c", "7")
    said = follower.end(how=None)  # by itself, after 7 packets
    assert len(follower.packets()) == 7, said
    assert any("0x0010:" in line and "abcd" in line for line in follower.lines), follower.lines[:9]
    assert all("02:00:00:00:00:02 > 02:00:00:00:00:01" in line for line in follower.packets())
    done = fleet.run("print", "--capture", "restart-0", "-A", "-t", "--", "-c", "1", check=(0, 3))
    assert re.match(r"web-0/part-0 IP 10.0.0.1.1024 > ", done.stdout) and "abcd" in done.stdout, done.stdout


def said_before_packets(fleet, *options):
    """What is said before the first of those comes that are stored already."""
    follower = Follower(fleet, "--since", "1h", *options)
    follower.wait_for(1)
    return follower.end()


def it_ends(fleet, files):
    """By --deadline; at once for a name that nobody has; and with the capture that was asked for."""
    said = Follower(fleet, "--capture", "restrat-0").end(how=None, status=1)
    assert "no capture is called 'restrat-0': did you mean 'restart-0'?" in said, said
    ended = []
    for deadline in ("3s", "15s", "45s"):  # how much comes until then is the machine's business
        follower = Follower(fleet, "--capture", "restart-0", "--deadline", deadline)
        follower.end(how=None)
        ended.append(len(follower.packets()))
        if ended[-1] == 300:
            break
    assert ended[-1] == 300, ended
    with wire.Agent(fleet, "ends-1"), wire.Client(fleet.address) as client:
        assert client.command("start", wire.request("short", on=["ends-1"]))["code"] == 0
        follower = Follower(fleet, "--capture", "short")
        assert client.command("stop", which="short")["code"] == 0
        follower.end(how=None)
        said = Follower(fleet, "--capture", "short").end(how=None)
        assert "the capture short is over" in said, said


def it_says_that_nothing_captures(fleet, files):
    silence, path = "no capture runs that could bring such packets", fleet.path("now.pcap")
    write_pcap(path, [(time.time_ns(), 53)])
    for name in ("live-9", "web-9"):
        fleet.read(name, path, capture=name + "-old")
    assert silence in said_before_packets(fleet)
    with wire.Agent(fleet, "live-1"), wire.Client(fleet.address) as client:
        assert client.command("start", wire.request("live-flows", on=["live-1"], keep=2))["code"] == 0
        assert silence in said_before_packets(fleet)
        assert client.command("start", wire.request("live-dns", on=["live-1"]))["code"] == 0
        for fits in ([], ["--capture", "live-*"], ["--on", "live-*"]):
            assert silence not in said_before_packets(fleet, *fits), fits
        for other in (["--capture", "web*"], ["--on", "web-*"]):
            assert silence in said_before_packets(fleet, *other), other
        assert client.command("stop", which="*")["code"] == 0
        wait_until(lambda: client.order("live-dns")["state"] == "over", "the end")
        assert silence in said_before_packets(fleet)


def wrong_use(fleet, files):
    assert "does not go with --until" in fleet.run("print", "--follow", "--until", "now", check=(2,)).stderr
    assert "judged afterwards" in fleet.run("print", "--follow", "--vantage", "auto", check=(2,)).stderr
    assert "^" in fleet.run("print", "--follow", "prt 80", check=(2,)).stderr
    address, fleet.address = fleet.address, "127.0.0.1:1"
    fleet.run("print", "--follow", check=(1,))
    fleet.address = address


def a_reader_that_leaves_ends_it(fleet, files):
    environment = dict(fleet.environment, FLEETDUMP_COLLECTOR=fleet.address)
    process = subprocess.Popen([os.path.join(BIN, "fleetdump"), "print", "--follow", "--since", "10y"], env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.close()
    fleet.read("web-0", files[3], capture="more")
    process.wait(WAIT_S)


def main():
    with Fleet() as fleet:
        files = make_files(fleet, 1_700_000_000 * 10**9)
        for test in (each_packet_comes_once, the_collector_may_be_restarted, from_when_on, tcpdump_gets_its_options, it_ends, it_says_that_nothing_captures, wrong_use,
                     a_reader_that_leaves_ends_it):
            test(fleet, files)
            print("ok", test.__name__, flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in Follower.all:
            process.kill()
