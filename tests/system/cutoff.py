#!/usr/bin/env python3
"""--cutoff: of the payload of each direction of a flow only the first bytes are kept, wherever chunks end; headers of all packets are, and all is
counted. What it left out is a counter. A model of our own says what each packet must be."""

import collections
import json
import random
import struct
import sys

import fleet
import pcapfile

CUTOFF = 1000
SEED = 20231114
T0 = 1700000000 * 10**9
STEP_NS = 700 * 10**6  # so that a connection lives in several chunks of a minute each


def ethernet(payload, kind=0x0800):
    return bytes.fromhex("020000000001020000000002") + struct.pack(">H", kind) + payload


def ip4(source, destination, protocol, payload):
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, bytes((10, 0, 0, source)),
                       bytes((10, 0, 0, destination))) + payload


def tcp(source, destination, seq, ack, flags, payload=b""):
    return struct.pack(">HHIIBBHHH", source, destination, seq, ack, 5 << 4, flags, 500, 0, 0) + payload


def udp(source, destination, payload):
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


class Traffic:
    """Packets with what is to be kept of each, and what was left out."""

    def __init__(self):
        self.packets, self.kept, self.left_out, self.payload = [], [], 0, 0
        self.sent = collections.Counter()

    def add(self, frame, payload, direction):
        room = max(0, CUTOFF - self.sent[direction])
        self.sent[direction] += payload
        left_out = max(0, payload - room)
        self.packets.append((T0 + len(self.packets) * STEP_NS, frame))
        self.kept.append((frame[:len(frame) - left_out], len(frame)))
        self.left_out += left_out
        self.payload += payload


def traffic(chance):
    t, seq = Traffic(), collections.Counter()
    conversations = [(host, 40000 + host) for host in range(2, 8)]
    for host, port in conversations:
        t.add(ethernet(ip4(host, 1, 6, tcp(port, 80, 99, 0, 2))), 0, (host, "to"))
        t.add(ethernet(ip4(1, host, 6, tcp(80, port, 99, 100, 18))), 0, (host, "from"))
        seq[host, "to"] = seq[host, "from"] = 100
    for _ in range(300):
        host, port = chance.choice(conversations)
        way = chance.choice(("to", "from", "from"))
        data = chance.randbytes(chance.choice((0, 1, 30, 200, 700, 1400)))
        ends = (host, 1, port, 80) if way == "to" else (1, host, 80, port)
        other = seq[host, "from" if way == "to" else "to"]
        t.add(ethernet(ip4(*ends[:2], 6, tcp(*ends[2:], seq[host, way], other, 24, data))), len(data), (host, way))
        seq[host, way] += len(data)
    for _ in range(12):  # questions of one UDP flow
        t.add(ethernet(ip4(20, 1, 17, udp(5000, 53, bytes(150)))), 150, "udp")
    t.add(ethernet(b"\0\1\x08\0\6\4\0\1" + bytes(20), 0x0806), 0, "arp")
    for host, port in conversations:
        t.add(ethernet(ip4(host, 1, 6, tcp(port, 80, seq[host, "to"], seq[host, "from"], 17))), 0, (host, "to"))
    return t


def write(path, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 1))
        for time_ns, frame in packets:
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(frame), len(frame)) + frame)


def pulled(system, capture):
    """Each packet's bytes and its length on the wire; the counters of the agent."""
    path, manifest = system.path(capture + ".pcapng"), system.path(capture + ".json")
    done = system.run("pull", "--capture", capture, "-w", path, "--manifest", manifest)
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    with open(manifest) as file:
        agent, = json.load(file)["agents"]
    assert agent["chunks"] > 3, agent
    assert ("not kept (--cutoff)" in done.stderr) == (agent["counters"]["cutoff_bytes"] > 0), done.stderr
    return [(p.data, p.wire) for p in packets], agent["counters"]


def main():
    t = traffic(random.Random(SEED))
    assert t.left_out > 20000, t.left_out
    with fleet.Fleet() as system:
        write(system.path("all.pcap"), t.packets)
        system.read("a", system.path("all.pcap"), capture="whole")
        system.read("a", system.path("all.pcap"), capture="cut", options=("--cutoff", str(CUTOFF)))
        packets, counters = pulled(system, "whole")
        assert packets == [(frame, len(frame)) for _, frame in t.packets] and counters["cutoff_bytes"] == 0, counters
        packets, counters = pulled(system, "cut")
        assert packets == t.kept
        assert counters["cutoff_bytes"] == t.left_out == counters["kept_bytes"] - counters["stored_bytes"], (counters, t.left_out)
        for capture in ("whole", "cut"):
            assert sum(flow["payload"] for flow in system.flows("ip", "--capture", capture)) == t.payload
        for value, word in (("0", "1 to 4G"), ("5G", "1 to 4G"), ("much", "much")):
            done = system.read("a", system.path("all.pcap"), options=("--cutoff", value), check=False)
            assert done.returncode == 2 and "--cutoff" in done.stderr and word in done.stderr, done
            done = system.run("capture", "start", "-A", "--cutoff", value, check=(2,))
            assert "--cutoff" in done.stderr, done


if __name__ == "__main__":
    sys.exit(main())
