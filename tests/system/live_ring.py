#!/usr/bin/env python3
"""Live interfaces through agent/capture/ring, with tcpdump beside: the same packets with the same timestamps, companions told apart, drops counted,
and interfaces that go down, come back, get another name or vanish.

live_ring.py [STORY...]"""

import os
import signal
import subprocess
import tempfile

import pcapfile
from namespaces import (BIN, WAIT_S, ethernet, fragment6, icmp, ip4, ip6, need, send_frames, tcp, tell, udp, wait_until)

TOOL = os.path.join(BIN, "ring_tool")
TAG5, TAG7 = (0x8100, 5), (0x8100, 7)
OUTER = (0x88A8, 100)


class Ring:
    """ring_tool, running in a namespace."""

    def __init__(self, space, folder, *interfaces, options=()):
        self.base = os.path.join(tempfile.mkdtemp(dir=folder), "ring")
        self.count = len(interfaces)
        self.process = space.popen(TOOL, *options, "-w", self.base, *interfaces, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = []
        for _ in interfaces:
            self.expect("open")

    def expect(self, begin):
        while True:
            line = self.process.stdout.readline()
            assert line, "waited in vain for '%s': %s" % (begin, self.lines)
            self.lines.append(line.strip())
            if line.startswith(begin):
                return line.split()

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.expect(word)

    def packets(self, n=0, kind="pcap"):
        return pcapfile.read("%s.%d.%s" % (self.base, n, kind))[1]

    def end(self):
        """Per interface: dict of the numbers."""
        self.process.stdin.close()
        ends = [self.expect("end") for _ in range(self.count)]
        assert self.process.wait(WAIT_S) == 0
        self.process.stdout.close()
        names = ("wanted", "more", "out", "kernel", "interface")
        return [dict(zip(names, map(int, words[2:]))) for words in ends]


class Tcpdump:
    def __init__(self, space, folder, interface, expression="", options=("--immediate-mode",)):
        self.path = os.path.join(tempfile.mkdtemp(dir=folder), "tcpdump.pcap")
        self.process = space.popen(
            "tcpdump", "-Z", "root", "-n", "-i", interface, "-U", "--time-stamp-precision=nano", "-B", "16384", "-w", self.path,
            *options, *([expression] if expression else []), stderr=subprocess.PIPE, text=True)
        while "listening on" not in self.process.stderr.readline():
            assert self.process.poll() is None, "tcpdump ended: " + expression

    def packets(self):
        return pcapfile.read(self.path)[1]

    def end(self, least=0):
        """Its packets, once it has written so many."""
        wait_until(lambda: len(self.packets()) >= least, "tcpdump")
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=WAIT_S)[1]
        assert "\n0 packets dropped by kernel" in said, said
        return self.packets()


def same(ours, theirs, what):
    """The same packets, bytes and times; the order may differ where a ring takes them from two processors."""
    def key(p):
        return p.time_ns, p.wire, p.data
    a, b = sorted(map(key, ours)), sorted(map(key, theirs))
    if a != b:
        only = [(t, w, d[:60].hex()) for t, w, d in a if (t, w, d) not in b], [(t, w, d[:60].hex()) for t, w, d in b if (t, w, d) not in a]
        raise AssertionError("%s: %d packets here, %d at tcpdump; only here %s; only there %s" % (what, len(a), len(b), only[0][:5], only[1][:5]))


# ---------------------------------------------------------------- the same as tcpdump

def errors_of(flow):
    """ICMP errors that quote the packet, and messages that are none."""
    return [ip4(icmp(3, 3, 0, flow[:28]), 1, "10.9.0.2", "10.9.0.1"), ip4(icmp(11, 0, 0, flow[:28]), 1, "10.9.0.77", "10.9.0.1"),
            ip4(icmp(8, 0, 0x10001, b"ping"), 1), ip4(icmp(0, 0, 0x10001, b"ping"), 1, "10.9.0.2", "10.9.0.1")]


def payloads():
    """(ethertype, network packet): what the filters below tell apart."""
    big = udp(bytes(range(200)) * 10, 4000, 5555)
    web = ip4(tcp(b"GET / HTTP/1.0\r\n\r\n", 40000, 80, 0x18), 6)
    web6 = ip6(tcp(b"GET /6", 40000, 80, 0x18), 6)
    found = [(0x0800, p) for p in (web, ip4(udp(b"question", 1111, 53), 17), ip4(udp(b"five", 1112, 5555), 17), *errors_of(web))]
    found += [(0x0800, ip4(big[:1400], 17, identification=77, more=True)), (0x0800, ip4(big[1400:], 17, identification=77, offset=1400))]
    found += [(0x86DD, p) for p in (web6, ip6(icmp(1, 4, 0, web6[:60]), 58), ip6(icmp(135, 0, 0, b"\0" * 16), 58),
                                    ip6(fragment6(big[:1232], 17, 0, True, 9), 44), ip6(fragment6(big[1232:], 17, 1232, False, 9), 44))]
    return found + [(0x0806, bytes.fromhex("0001080006040001") + b"\2\0\0\0\0\1" + b"\x0a\x09\0\1" + b"\0" * 6 + b"\x0a\x09\0\2"), (0x88CC, b"\2\7\4" + b"lldp" * 10)]


def all_frames():
    frames = []
    for ethertype, p in payloads():
        for tags in ((), (TAG5,), (TAG7,), (OUTER, TAG5)):
            frames.append(ethernet(p, ethertype, tags=tags))
    return frames + [b"\xff" * 6 + b"\2\0\0\0\0\1" + b"\x08\x00" + b"\x45", ethernet(ip4(b"", 1)), ethernet(ip4(b"\3", 1))]


FILTERS = ["", "tcp port 80", "tcp port 80 or udp port 53", "udp port 5555", "not udp port 5555", "icmp", "not icmp", "host 10.9.0.77", "ip6",
           "vlan 5", "vlan 5 and udp port 5555", "udp port 5555 and vlan 5", "vlan and icmp", "vlan 100 and vlan 5", "vlan 100 or tcp port 80", "not vlan",
           "ip[6:2] & 0x1fff != 0", "icmp[icmptype] = icmp-unreach", "ip6 proto 44", "len > 1000", "greater 60 and not arp", "ether proto 0x88cc", "portrange 50-90"]


def exactly(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    pairs = []
    for expression in FILTERS:
        theirs = Tcpdump(b, folder, "vb", expression)
        pairs.append((expression, theirs, Ring(b, folder, "vb", options=["-f", expression]), Ring(b, folder, "vb", options=["-c", "-f", expression])))
    frames = all_frames()
    a.call(send_frames, "va", frames)  # arriving: the tag is beside the packet
    b.call(send_frames, "vb", frames)  # leaving: in it
    numbers = {}
    for expression, theirs, plain, more in pairs:
        end, end_more = plain.end()[0], more.end()[0]
        expected = theirs.end(end["wanted"])
        same(plain.packets(), expected, "'%s'" % expression)
        same(more.packets(), expected, "'%s' with companions" % expression)
        assert end["more"] == 0 and end["kernel"] == end_more["kernel"] == 0, (expression, end, end_more)
        assert expression or (len(expected) == 2 * len(frames) and end["out"] == len(frames)), (len(expected), end)
        numbers[expression] = (end["wanted"], end_more["more"])
    assert numbers[""][1] == 0
    # 2 errors and 1 later fragment (IPv4), 1 error and 2 fragments (IPv6), where no tag or one beside the packet; an error without an end, each way
    assert numbers["tcp port 80"][1] == 6 * (3 + 1) + 2, numbers


def cut(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    theirs = Tcpdump(b, folder, "vb", "udp", options=["-s", "60"])  # immediate mode would cut a few at 58
    ours = Ring(b, folder, "vb", options=["-s", "60", "-f", "udp"])
    a.call(send_frames, "va", [ethernet(ip4(udp(bytes(n), 1000, 2000), 17), tags=tags) for n in (0, 10, 100, 1400) for tags in ((), (TAG5,))])
    ours.end()
    expected = theirs.end(8)
    same(ours.packets(), expected, "cut at 60 bytes")


def everywhere(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    pairs = [(Tcpdump(b, folder, "any", f, options=()), Ring(b, folder, "any", options=["-c", "-f", f])) for f in ("", "tcp port 80")]
    a.call(send_frames, "va", all_frames())
    b.call(send_frames, "vb", all_frames())
    b.call(send_frames, "lo", all_frames()[:20])
    for theirs, ours in pairs:
        wanted = ours.end()[0]["wanted"]
        expected = theirs.end(wanted)
        assert len(expected) > 10
        same(ours.packets(), expected, "any")


# ---------------------------------------------------------------- drops

def drops(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    ring = Ring(b, folder, "vb", options=["-b", str(512 << 10), "-f", "udp port 7777"])
    ring.say("hold")
    sent = a.call(send_frames, "va", [ethernet(ip4(udp(bytes(400), 1000 + n % 50, 7777), 17)) for n in range(5000)])
    ring.say("go")
    wait_until(lambda: len(ring.packets()) > 100, "packets after the pause")
    sent += a.call(send_frames, "va", [ethernet(ip4(udp(bytes(400), 1000, 7777), 17)) for n in range(100)])
    end = ring.end()[0]
    print("drops: %d sent, %s" % (sent, end))
    assert end["kernel"] > 3000 and end["wanted"] + end["kernel"] == sent
    assert len(ring.packets()) == end["wanted"]


# ---------------------------------------------------------------- interfaces come and go

def udp_frame(port):
    return ethernet(ip4(udp(b"x" * 50, 1000, port), 17))


def ports(packets):
    return [int.from_bytes(p.data[36:38], "big") for p in packets]


def down_and_up(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    ring = Ring(b, folder, "vb", options=["-f", "udp"])
    a.call(send_frames, "va", [udp_frame(1)])
    wait_until(lambda: ports(ring.packets()) == [1], "the first packet")
    b.run("ip", "link", "set", "vb", "down")
    ring.expect("down 0")
    b.run("ip", "link", "set", "vb", "name", "vc")
    ring.expect("name 0 vc")
    b.run("ip", "link", "set", "vc", "up")
    ring.expect("up 0")
    a.until_it_sends("va")
    a.call(send_frames, "va", [udp_frame(2)])
    wait_until(lambda: ports(ring.packets()) == [1, 2], "a packet after down, another name, and up")
    if b.run("ip", "link", "set", "vc", "name", "vd", check=False, stderr=subprocess.DEVNULL).returncode == 0:
        ring.expect("name 0 vd")  # kernels since 6.2 do that while it is up
    a.call(send_frames, "va", [udp_frame(3)])
    wait_until(lambda: ports(ring.packets()) == [1, 2, 3], "a packet under the third name")
    a.call(send_frames, "va", [udp_frame(4)])
    a.run("ip", "link", "delete", "va")
    ring.expect("gone 0")
    end = ring.end()[0]
    assert ports(ring.packets()) == [1, 2, 3, 4] and end["kernel"] == 0, (ports(ring.packets()), end)


def refusals(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    b.run("ip", "link", "set", "vb", "down")

    def said(space, *arguments, prefix=()):
        done = space.run(*prefix, TOOL, "-x", "-w", folder, *arguments, check=False, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()
    assert said(a, "va", "-f", "tcp port 80") == ""
    assert said(a, "nothing") == "error not-found: nothing: there is no such interface", said(a, "nothing")
    assert said(b, "vb") == "error unreachable: vb: the interface is down", said(b, "vb")
    assert "va: libpcap on 'type mgt': " in said(a, "va", "-f", "type mgt"), said(a, "va", "-f", "type mgt")
    assert said(a, "va", "-f", "tcp prt 80").startswith("error usage: va: "), said(a, "va", "-f", "tcp prt 80")
    assert said(a, "va", "-f", "host www.example.org").startswith("error usage: va: "), said(a, "va", "-f", "host www.example.org")
    assert "CAP_NET_RAW" in said(a, "va", prefix=["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])


def choice(net, folder):
    a, b = net.space(), net.space()
    net.veth(a, "web0", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    net.veth(a, "web1", None, b, "vc", None)
    net.veth(a, "old0", "10.9.2.1/24", b, "vd", None)
    a.run("ip", "link", "set", "old0", "down")

    def chosen(*globs):
        return a.run(TOOL, "-l", *globs, check=False, stdout=subprocess.PIPE, text=True).stdout.split("\n")[:-1]
    assert chosen() == ["web0"], chosen()
    assert chosen("web*") == ["web0", "web1"], chosen("web*")
    assert chosen("lo", "old0") == ["lo"]
    assert chosen("any") == ["any"] and chosen("any", "web1") == ["any", "web1"]
    assert chosen("eth*") == ["error not-found: no interface that is up fits 'eth*'; there are: lo, web0, web1, old0 (down)"], chosen("eth*")
    if a.run("ip", "link", "add", "br0", "type", "bridge", check=False, stderr=subprocess.DEVNULL).returncode == 0:
        a.run("ip", "link", "set", "web0", "master", "br0")
        assert "no interface is up, has an address" in chosen()[0], chosen()


STORIES = (exactly, cut, everywhere, drops, down_and_up, refusals, choice)

need("tcpdump", "setpriv")
tell(STORIES)
