"""Makes the traffic that tests/bench/path and capture measure with, from the captures in FLEETDUMP_CORPUS. Not a program itself.

The larger captures of application traffic are laid side by side, as a host sees them at the same time: each begins at a time of its own,
silences are shortened, packets are ordered by time. A file is several such copies, one after the other, each laid out in another way and with
other addresses, so that connections are as many as in as much real traffic, and a payload comes back farther away than compressors look."""

import csv
import os
import random
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import pcapfile  # noqa: E402

KINDS = {"http", "tls", "quic", "dns", "mail", "tcp-analysis", "encapsulation", "other-tcp", "other-udp"}
SMALLEST = 100_000  # bytes of a capture
EACH_PACKETS = 4000  # of one capture at the most: none outweighs the others
SILENCE_NS = 200_000_000
SPREAD_NS = 20_000_000_000  # within which the captures of a copy begin, and the time between copies
START_NS = 1_700_000_000 * 10**9
HOSTS = 4
ANY = (0, float("inf"))


def read_captures(corpus, kinds=frozenset(KINDS)):
    """Lists of packets, one for each capture of these kinds."""
    with open(os.path.join(corpus, "MANIFEST.tsv"), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        if row["kind"] in kinds and row["opens"] == "ok" and row["linktype"] == "ether" and int(row["bytes"]) >= SMALLEST:
            yield pcapfile.read(os.path.join(corpus, row["path"]))[1][:EACH_PACKETS]


def lay_out(captures, n):
    """The n-th copy: (time from its start, wire length, bytes) of every packet of all captures, by time. No two copies are laid out alike."""
    dice, together = random.Random(n), []
    for packets in captures:
        now, last = dice.randrange(SPREAD_NS), packets[0].time_ns
        for p in packets:
            now += min(max(p.time_ns - last, 0), SILENCE_NS)
            last = p.time_ns
            together.append((now, p.wire, other_addresses(p.data, n)))
    together.sort(key=lambda p: p[0])
    return together


def address_places(frame):
    """Where the outer addresses begin, and how many bytes each has."""
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, at = frame[at:at + 2], at + 2
    if kind == b"\x08\x00" and len(frame) >= at + 20:
        return (at + 12, at + 16), 4
    if kind == b"\x86\xdd" and len(frame) >= at + 40:
        return (at + 8, at + 24), 16
    return (), 0


def other_addresses(frame, n):
    """The frame with the addresses of the n-th copy. What is added to an address' first half is taken from its second, so that all checksums
    stay right; multicast and broadcast stay themselves."""
    places, size = address_places(frame)
    if not places or n == 0:
        return frame
    out = bytearray(frame)
    for at in places:
        if out[at] >= 224:
            continue
        high, low = struct.unpack_from(">H", out, at)[0], struct.unpack_from(">H", out, at + size - 2)[0]
        struct.pack_into(">H", out, at, (high + n) % 65535)
        struct.pack_into(">H", out, at + size - 2, (low - n) % 65535)
    return bytes(out)


def write_file(path, copies):
    """A pcap file (nanoseconds) of copies, each beginning SPREAD_NS after the one before."""
    packets = [(START_NS + place * SPREAD_NS + time_ns, wire, data) for place, copy in enumerate(copies) for time_ns, wire, data in copy]
    packets.sort(key=lambda p: p[0])
    with open(path + ".part", "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for time_ns, wire, data in packets:
            out.write(struct.pack("<IIII", *divmod(time_ns, 10**9), len(data), wire))
            out.write(data)
    os.rename(path + ".part", path)


def size_of(packets):
    return sum(16 + len(p.data) for p in packets)


def choose(captures, size):
    """As many of them, all or one in two or three..., as make a copy of at most this size."""
    step = max(1, -(-sum(map(size_of, captures)) // size))
    return captures[::step]


def make(corpus, folder, megabytes):
    """The traffic in the folder, made unless it is there, about so many MB: the paths of one file for each host, and of one with all of
    them together."""
    paths = [os.path.join(folder, "%s.%dMB.pcap" % (name, megabytes)) for name in ["host-%d" % n for n in range(1, HOSTS + 1)] + ["all"]]
    hosts, together = paths[:-1], paths[-1]
    if os.path.exists(together):
        return hosts, together
    wanted = megabytes * 10**6 // HOSTS
    captures = choose(list(read_captures(corpus)), wanted)
    if not captures:
        sys.exit("tests/bench/traffic.py: %s holds no captures of at least %d bytes to make traffic from" % (corpus, SMALLEST))
    copies = max(1, round(wanted / sum(map(size_of, captures))))
    for n, path in enumerate(hosts):
        write_file(path, [lay_out(captures, n * copies + i) for i in range(copies)])
    subprocess.run(["mergecap", "-F", "nsecpcap", "-w", together + ".part", *hosts], check=True)
    os.rename(together + ".part", together)
    return hosts, together


def shrinks(packets):
    """How many times smaller their bytes become by the fastest deflate(3)."""
    together = b"".join(p.data for p in packets)
    return len(together) / len(zlib.compress(together, 1))


def make_of(corpus, path, megabytes, kinds, within=ANY):
    """The file at the path, of about so many MB, of captures of these kinds that shrink by as much as is said, made unless it is there."""
    wanted = megabytes * 10**6
    if os.path.exists(path):
        return path
    captures = choose([c for c in read_captures(corpus, kinds) if within == ANY or within[0] <= shrinks(c) <= within[1]], wanted)
    if not captures:
        sys.exit("tests/bench/traffic.py: %s holds no captures of %s that shrink to between 1/%g and 1/%g" % (corpus, ", ".join(sorted(kinds)), *within))
    write_file(path, [lay_out(captures, n) for n in range(max(1, round(wanted / sum(map(size_of, captures)))))])
    return path


def make_flows(path, flows):
    """The file at the path, made unless it is there: three packets of 60 bytes for each of so many flows, of UDP, each packet of a flow
    a third of the file away from the one before."""
    if os.path.exists(path):
        return path
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 46, 1, 0, 64, 17, 0)
    front, behind = b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip, struct.pack(">HHHH", 5000, 53, 26, 0) + b"\x42" * 18
    with open(path + ".part", "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for n in range(3 * flows):
            seconds, ns = divmod(START_NS + n * 700, 10**9)
            ends = struct.pack(">II", 0x0A000000 + n % flows, 0x0AFF0001)
            out.write(struct.pack("<IIII", seconds, ns, 60, 60) + front + ends + behind)
    os.rename(path + ".part", path)
    return path
