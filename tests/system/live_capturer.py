#!/usr/bin/env python3
# timeout: 600
"""Capturers, driven as the monitor drives them, with tcpdump beside: what is in their chunks is what passed, with companions, our own traffic, limits and
rates apart; flushes, interfaces that change, a full disk, a killed process: every packet is accounted for.

live_capturer.py [STORY...]"""

import glob
import json
import os
import signal
import subprocess
import tempfile
import time

import pcapfile
from namespaces import BIN, WAIT_S, ethernet, icmp, ip4, need, send_frames, tcp, tell, udp, wait_until

TOOL = os.path.join(BIN, "capturer_tool")
PARTS = ("kept", "filtered", "kernel_drops", "agent_drops", "policy", "own", "forbidden")


class Capturer:
    """capturer_tool in a namespace, with a spool of its own."""

    def __init__(self, space, folder, *interfaces, options=(), spool=None, **config):
        self.space, self.folder = space, tempfile.mkdtemp(dir=folder)
        self.spool = spool or os.path.join(self.folder, "spool")
        self.config = os.path.join(self.folder, "agent.conf")
        with open(self.config, "w") as conf:
            for key, value in {"name": "web-1", "spool": self.spool, "floor": 0, **config}.items():
                conf.write("%s = %s\n" % (key, value))
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.process = space.popen(TOOL, *options, self.config, *interfaces, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.reports, self.ended = [], None
        self.pid = int(self.line().split()[1])

    def line(self):
        line = self.process.stdout.readline()
        assert line, "the capturer's driver ended: %s" % self.reports[-3:]
        return line.strip()

    def until(self, condition, what):
        """Reads reports until one fits; it is returned."""
        while True:
            line = self.line()
            if not line.startswith("{"):
                raise AssertionError("%s, before %s: %s %s" % (line, what, self.reports[-3:], open(self.log.name).read()))
            self.reports.append(json.loads(line))
            if condition(self.reports[-1]):
                return self.reports[-1]

    def running(self):
        self.until(lambda r: r["phase"] == "running", "running")
        return self

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def flush(self, token):
        self.say("flush %d" % token)
        return self.until(lambda r: r["kind"] == "flushed" and r["token"] == token, "a flush")

    def end(self, status=0):
        """Its last report, once it has ended as expected ("signal 9" or an exit status)."""
        while True:
            line = self.line()
            if not line.startswith("{"):
                break
            self.reports.append(json.loads(line))
        self.process.stdin.close()
        self.process.wait(WAIT_S)
        self.process.stdout.close()
        self.log.close()
        assert line == (status if isinstance(status, str) else "exit %d" % status), (line, self.reports[-2:], open(self.log.name).read())
        return self.reports[-1]

    def stop(self):
        self.say("stop")
        return self.end()

    # ------------------------------------------------------------- what is in the spool
    def streams(self):
        return sorted(os.path.dirname(p) for p in glob.glob(os.path.join(self.spool, "*", "counters")))

    def heads(self, stream=None):
        names = sorted(glob.glob(os.path.join(stream or self.streams()[0], "*.head")))
        if not names:
            return []
        said = subprocess.run([os.path.join(BIN, "head_dump"), *names], check=True, stdout=subprocess.PIPE).stdout
        return [h for h in map(json.loads, said.splitlines()) if "item" in h]

    def rows(self):
        names = sorted(glob.glob(os.path.join(self.streams()[0], "*.head")))
        said = subprocess.run([os.path.join(BIN, "head_dump"), *names], check=True, stdout=subprocess.PIPE).stdout
        return [r for r in map(json.loads, said.splitlines()) if "flow" in r]

    def bodies(self, stream=None):
        return sorted(glob.glob(os.path.join(stream or self.streams()[0], "*.pcapng.zst")))

    def packets(self):
        return [p for body in self.bodies() for p in pcapfile.read(body)[1]]

    def fields(self, *fields):
        """Per packet the fields as tshark sees them."""
        found = []
        for body in self.bodies():
            plain = os.path.join(self.folder, "body.pcapng")
            subprocess.run(["zstd", "-dfq", body, "-o", plain], check=True)
            said = subprocess.run(["tshark", "-r", plain, "-T", "fields", *[x for f in fields for x in ("-e", f)]], check=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
            found += [tuple(line.split("\t")) for line in said.splitlines()]
        return found

    def totals(self):
        """Sums over the chunks; they are what the END item says, and add up."""
        heads = self.heads()
        chunks, end = [h for h in heads if h["kind"] == 1], heads[-1]
        assert end["kind"] == 3, end
        assert [h["item"] for h in heads] == list(range(len(heads))), heads
        sums = {name: sum(h["totals"][name] for h in chunks) for name in end["totals"]}
        assert sums == end["totals"], (sums, end["totals"])
        assert sums["received"] == sum(sums[name] for name in PARTS) + sums["crash_lost"], sums
        return sums


class Tcpdump:
    def __init__(self, space, folder, interface, expression=""):
        self.path = os.path.join(tempfile.mkdtemp(dir=folder), "tcpdump.pcap")
        self.process = space.popen("tcpdump", "-Z", "root", "-n", "-i", interface, "-U", "--time-stamp-precision=nano", "-B", "65536", "-w", self.path,
                                   *([expression] if expression else []), stderr=subprocess.PIPE, text=True)
        while "listening on" not in self.process.stderr.readline():
            assert self.process.poll() is None

    def packets(self):
        return pcapfile.read(self.path)[1]

    def end(self, expected):
        wait_until(lambda: len(self.packets()) >= expected, "tcpdump")
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=WAIT_S)[1]
        assert "\n0 packets dropped by kernel" in said, said
        return self.packets()


def key(p):
    return p.time_ns, p.wire, p.data


def same(ours, theirs):
    a, b = sorted(map(key, ours)), sorted(map(key, theirs))
    assert a == b, "%d packets here, %d at tcpdump" % (len(a), len(b))


def pair(net):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    return a, b


def web(n=1, size=100, port=80, source=40000):
    return [ethernet(ip4(tcp(b"x" * size, source + i % 1000, port, 0x18, seq=i), 6)) for i in range(n)]


# ---------------------------------------------------------------- stories

def everything_that_passed(net, folder):
    a, b = pair(net)
    theirs, ours = Tcpdump(b, folder, "vb", "tcp port 80"), Capturer(b, folder, "vb", options=["-f", "tcp port 80"]).running()
    for _ in range(5):
        a.call(send_frames, "va", web(2000) + [ethernet(ip4(udp(b"no", 1, 2), 17))] * 10)
        b.call(send_frames, "vb", web(500, 1400))
    first = ours.until(lambda r: r["packets"] > 0, "packets")
    assert first["phase"] == "running" and first["interfaces"] == ["vb"] and first["packets_per_s"] > 0, first
    last = ours.stop()
    assert (last["phase"], last["text"], last["packets"], last["kernel_drops"]) == ("stopped", "stopped", 12500, 0), last
    same(ours.packets(), theirs.end(12500))
    sums = ours.totals()
    assert sums["kept"] == sums["stored"] == sums["received"] == 12500 and last["bytes"] == sums["kept_bytes"], sums
    head = ours.heads()[0]
    assert (head["agent"], head["capture"], head["filter"], head["interfaces"][0]["name"]) == ("web-1", "test", "tcp port 80", "vb"), head
    assert sum(r["packets.0"] + r["packets.1"] for r in ours.rows()) == 12500
    directions = [int(f, 16) & 3 if f else 0 for f, in ours.fields("frame.packet_flags")]
    assert sorted((directions.count(1), directions.count(2))) == [2500, 10000], (directions.count(1), directions.count(2))


def companions(net, folder):
    a, b = pair(net)
    ours = Capturer(b, folder, "vb", options=["-c", "-f", "tcp port 80 or udp port 5555"]).running()
    flow, other = web(1)[0], web(1, port=81)[0]
    big = udp(bytes(2000), 4000, 5555)
    first, later = ip4(big[:1400], 17, identification=7, more=True), ip4(big[1400:], 17, identification=7, offset=1400)

    def error(quoted):
        return ethernet(ip4(icmp(3, 4, 0, quoted[14:]), 1, "10.9.0.99", "10.9.0.1"))
    a.call(send_frames, "va", [error(flow), flow, error(flow), error(other), ethernet(later), ethernet(first), ethernet(later), other])
    ours.stop()
    comments = [c for c, in ours.fields("frame.comment")]
    assert len(comments) == 4 and [bool(c) for c in comments] == [False, True, False, True], comments
    assert comments[1] == comments[3] == "fleetdump: belongs to a captured connection, does not match the filter itself", comments
    sums = ours.totals()
    assert (sums["received"], sums["kept"], sums["filtered"]) == (7, 4, 3), sums


def own_traffic_and_rate(net, folder):
    a, b = pair(net)
    ours = Capturer(b, folder, "vb", options=["-o", "10.9.0.1:4741", "-r", "100000"]).running()
    a.call(send_frames, "va", web(50, port=4741, source=3000))                                                # to another: 10.9.0.2
    a.call(send_frames, "va", [ethernet(ip4(tcp(b"own", 4741, 5000 + n), 6)) for n in range(30)])              # from the collector
    b.call(send_frames, "vb", [ethernet(ip4(tcp(b"own", 5000, 4741), 6, "10.9.0.7", "10.9.0.1"))] * 20)        # to it, of any host
    a.call(send_frames, "va", web(3000, 946))
    last = ours.stop()
    sums = ours.totals()
    assert sums["own"] == last["own"] == 50, sums
    assert sums["policy"] == last["other_drops"] > 100 and sums["kept"] > 90, sums


def headers_and_flows(net, folder):
    a, b = pair(net)
    headers, flows = (Capturer(b, folder, "vb", options=["-k", k]).running() for k in ("headers", "flows"))
    a.call(send_frames, "va", web(10, 1400) + [ethernet(ip4(udp(bytes(1000), 1, 2), 17))] * 10 + [ethernet(b"lldp" * 100, 0x88CC)])
    headers.stop()
    flows.stop()
    assert sorted(len(p.data) for p in headers.packets()) == [42] * 10 + [54] * 10 + [64]
    assert flows.bodies() == [] and flows.totals()["stored"] == 0
    for capturer in (headers, flows):
        assert sum(r["payload.0"] + r["payload.1"] for r in capturer.rows()) == 24000
        assert capturer.totals()["truncated"] == 0 and capturer.totals()["kept"] == 21


def limits(net, folder):
    a, b = pair(net)
    packets, size = (Capturer(b, folder, "vb", options=o).running() for o in (["-n", "777"], ["-b", "100000"]))
    theirs = Tcpdump(b, folder, "vb")
    ends = Capturer(b, folder, "vb", options=["-e", "2"])  # not waited for: its time runs, and a busy machine needs some of it
    sent = 0
    while (ends.process.poll() is None or sent < 2000) and sent < 100000:  # on a busy machine few pass before its end
        sent += a.call(send_frames, "va", web(200))
    last = packets.end()
    assert (last["phase"], last["text"], last["packets"]) == ("stopped", "its limit is reached", 777), last
    last = size.end()
    assert 100000 <= last["bytes"] < 100154 and size.totals()["kept_bytes"] == last["bytes"], last
    last = ends.end()
    assert last["text"] == "its time is over", last
    expected = theirs.end(sent)
    for capturer in (packets, size, ends):
        got = sorted(map(key, capturer.packets()))
        totals = capturer.totals()
        assert len(got) == totals["received"] - totals["kernel_drops"] > 0, totals
        first, last = got[0][0], got[-1][0]
        there = sorted(key(p) for p in expected if first <= p.time_ns <= last)
        # Nothing is missing between, but what the kernel dropped, which may lie anywhere
        assert set(got) <= set(there) and len(there) - len(got) <= totals["kernel_drops"], (len(got), len(there), totals, sorted(set(got) ^ set(there))[:3])


def flushes(net, folder):
    a, b = pair(net)
    ours = Capturer(b, folder, "vb").running()
    assert ours.flush(1)["next_seq"] == 0
    for n in range(2, 6):
        a.call(send_frames, "va", web(10))
        report = ours.flush(n)
        assert report["next_seq"] == n - 1 and report["streams"] == 1, report
        heads = ours.heads()
        assert len(heads) == n - 1 and heads[-1]["totals"]["kept"] == 10 and heads[-1]["seal"] == 6, heads
    for n in range(6, 9):  # together: one chunk
        ours.say("flush %d" % n)
    a.call(send_frames, "va", web(10))
    ours.until(lambda r: r["token"] == 8, "three flushes")
    ours.say("flush 9")
    last = ours.stop()  # and what was asked for is still answered
    assert [r["token"] for r in ours.reports if r["kind"] == "flushed"] == list(range(1, 10)), ours.reports
    assert last["packets"] == ours.totals()["kept"] == 50


def interfaces_that_change(net, folder):
    a, b = pair(net)
    net.veth(a, "vc", None, b, "vd", None)
    theirs = Tcpdump(b, folder, "any", "tcp port 80")
    ours = Capturer(b, folder, "vb", "vd").running()
    a.call(send_frames, "va", web(10))
    a.call(send_frames, "vc", web(20))
    ours.until(lambda r: r["packets"] == 30, "30 packets")
    b.run("ip", "link", "set", "vb", "down")
    ours.until(lambda r: r["text"] == "vb is down", "vb down")
    a.call(send_frames, "vc", web(20))
    b.run("ip", "link", "set", "vb", "name", "vx")
    ours.until(lambda r: r["text"] == "vx is down" and r["interfaces"] == ["vx", "vd"], "another name")
    b.run("ip", "link", "set", "vx", "up")
    ours.until(lambda r: r["text"] == "", "vx up")
    a.until_it_sends("va")
    a.call(send_frames, "va", web(5))
    ours.until(lambda r: r["packets"] == 55, "55 packets")
    a.call(send_frames, "va", web(7))
    b.run("ip", "link", "delete", "vx")
    ours.until(lambda r: r["interfaces"] == ["vd"], "vx gone")
    a.call(send_frames, "vc", web(3))
    a.run("ip", "link", "delete", "vc")
    last = ours.end(3)
    assert (last["phase"], last["text"], last["packets"]) == ("failed", "its interfaces are gone", 65), last
    names = {}
    for head in ours.heads():
        for i in head["interfaces"]:
            names[i["name"]] = names.get(i["name"], 0) + i["counters"]["kept"]
    assert names == {"vb": 10, "vd": 43, "vx": 12}, names
    ours.totals()
    assert len(theirs.end(65)) == 65


def drops(net, folder):
    """A ring that is too small while the process does not run: what it keeps and what the kernel dropped is what passed."""
    a, b = pair(net)
    ours = Capturer(b, folder, "vb", ring="1M").running()
    os.kill(ours.pid, signal.SIGSTOP)
    sent = a.call(send_frames, "va", web(10000, 400))
    os.kill(ours.pid, signal.SIGCONT)
    ours.until(lambda r: r["kernel_drops"] > 0, "drops")
    sent += a.call(send_frames, "va", web(100))
    last = ours.stop()
    sums = ours.totals()
    assert sums["kernel_drops"] > 5000 and sums["kept"] + sums["kernel_drops"] == sums["received"] == sent, (sums, sent)
    assert last["kernel_drops"] == sums["kernel_drops"]
    assert max(r["loss"] for r in ours.rows()) == sums["kernel_drops"], (sums, sorted({r["loss"] for r in ours.rows()}))


def killed(net, folder):
    a, b = pair(net)
    for round_number in range(3):
        theirs = Tcpdump(b, folder, "vb", "tcp")
        ours = Capturer(b, folder, "vb", options=["-f", "tcp", "-o", "10.9.0.1:4741"]).running()
        sender = b.popen("true") if round_number == 0 else None
        if sender:
            sender.wait()
        sent = 0
        for n in range(30 + 40 * round_number):
            sent += a.call(send_frames, "va", web(100, 700, source=1000 + n) + web(5, port=4741, source=100) + [ethernet(ip4(tcp(b"own", 4741, 6000), 6))])
            if n == 20:
                ours.flush(1)
        ours.until(lambda r: r["packets"] >= 1000, "packets")
        os.kill(ours.pid, signal.SIGKILL)
        ours.end("signal 9")
        said = subprocess.run([TOOL, "-R", ours.config], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        recovered, lost = int(said[1]), int(said[3])
        sums = ours.totals()
        expected = theirs.end(sent)
        wanted = [p for p in expected if p.data[34:36] != b"\x12\x85"]  # not from the collector
        kept = ours.packets()
        assert len(kept) == sums["kept"] == sums["stored"] and sums["crash_lost"] == lost, sums
        assert sums["own"] + sums["kept"] + lost == sums["received"] <= sent, (sums, sent)
        same(kept, wanted[:len(kept)])  # what is missing is the end, and counted
        assert ours.heads()[-2]["seal"] == 7, ours.heads()[-2]
        print("killed: %d passed, %d kept, of these %d recovered, %d lost and counted" % (sent, len(kept), recovered, lost))


def full_disk(net, folder):
    a, b = pair(net)
    spool = os.path.join(folder, "full")
    os.mkdir(spool)
    b.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", spool)
    ballast = os.path.join(spool, "ballast")
    b.run("fallocate", "-l", "62m", ballast)
    ours = Capturer(b, folder, "vb", spool=spool, ring="1M").running()
    noise = [ethernet(ip4(udp(os.urandom(1000), 1000, 2000), 17)) for _ in range(500)]
    sent = 0
    while not any(r["kernel_drops"] for r in ours.reports):
        for _ in range(20):
            sent += a.call(send_frames, "va", noise)
        ours.until(lambda r: True, "a report")
    assert any("waiting for room" in r["text"] for r in ours.reports), ours.reports[-3:]
    b.run("rm", ballast)
    ours.until(lambda r: r["text"] == "" and r["kernel_drops"], "room")
    sent += a.call(send_frames, "va", noise[:10])
    ours.flush(1)
    b.run("dd", "if=/dev/zero", "of=" + ballast, "bs=4k", check=False, stderr=subprocess.DEVNULL)  # until nothing is left
    before = ours.reports[-2:]
    sent += a.call(send_frames, "va", noise)
    last = ours.stop()  # though there is no room: what it kept since the flush is lost, and that is said
    assert last["phase"] == "stopped" and "there was no room for it" in last["text"], (before, last)
    assert last["packets"] + last["kernel_drops"] == sent, (last, sent)
    b.run("rm", ballast)
    b.run(TOOL, "-R", ours.config, stdout=subprocess.DEVNULL)
    ours.spool = "/proc/%d/root%s" % (b.holder.pid, spool)  # its mount is seen from there
    sums = ours.totals()
    assert sums["received"] == sent and sums["kernel_drops"] == last["kernel_drops"] and 0 < sums["crash_lost"] <= 500, (sums, sent)
    b.run("umount", spool)


def without_privileges(net, folder):
    a, b = pair(net)
    os.chmod(folder, 0o777)
    spool = os.path.join(folder, "nobodys")
    os.mkdir(spool)
    os.chmod(spool, 0o777)
    ours = Capturer(b, folder, "vb", spool=spool, capture_user="65534", ship_user="65534").running()
    with open("/proc/%d/status" % ours.pid) as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4 and status["Groups"].strip() == "", status
    assert {int(status[c], 16) for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0} and status["NoNewPrivs"] == "1", status
    a.call(send_frames, "va", web(10))
    ours.stop()
    assert ours.totals()["kept"] == 10


def idle(net, folder):
    """Without packets the process does nothing at all."""
    a, b = pair(net)
    ours = Capturer(b, folder, "vb").running()

    def switches():
        with open("/proc/%d/status" % ours.pid) as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    wait_until(lambda: switches() == (time.sleep(2), switches())[1], "two seconds in which it does nothing")
    os.kill(ours.pid, signal.SIGTERM)
    assert ours.end()["text"] == "stopped"
    gone = Capturer(b, folder, "vb").running()
    gone.say("part")  # the monitor ends
    assert gone.end()["text"] == "stopped"


def refused(net, folder):
    a, b = pair(net)
    last = Capturer(b, folder, "vb", options=["-f", "tcp prt 80"]).end(2)
    assert last["phase"] == "refused" and last["text"].startswith("vb: "), last
    last = Capturer(b, folder, "vx").end(1)
    assert last["phase"] == "failed" and last["text"] == "vx: there is no such interface", last
    a.run("true")


STORIES = (everything_that_passed, companions, own_traffic_and_rate, headers_and_flows, limits, flushes, interfaces_that_change, drops, killed, full_disk,
           without_privileges, idle, refused)


if __name__ == "__main__":
    need("tcpdump", "tshark", "zstd")
    tell(STORIES)
