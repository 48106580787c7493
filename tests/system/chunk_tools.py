#!/usr/bin/env python3
"""Bodies, judged by other programs: random packets of several interfaces (and some real captures, if FLEETDUMP_CORPUS is
set) become a body by chunk_tool pack; zstd tests and expands it, and tshark, capinfos and tcpdump read what comes out:
packets, times, interfaces, statistics. The seek table is used to expand single frames. Then bits are flipped and the file
is cut: verify must find each, and scan all frames that are whole."""

import collections
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import corpus
import sharkd

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = str(pathlib.Path(os.environ.get("FLEETDUMP_BIN", ROOT / "build/debug/bin")) / "chunk_tool")
FIELDS = """frame.interface_name frame.time_epoch frame.cap_len frame.len frame.md5_hash frame.packet_flags_direction
    frame.comment""".split()
DIRECTION = 5
SKIPPABLE = range(0x184D2A50, 0x184D2A60)
SEEK_TABLE = 0x184D2A5E
REAL_CAPTURES = 25
FLIPS, CUTS = 300, 80


def run(*command, data=None, fails=False):
    result = subprocess.run(command, input=data, capture_output=True, env=dict(os.environ, HOME="/nonexistent"))
    if (result.returncode != 0) != fails:
        sys.exit(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stderr.decode(errors='replace')}")
    return result.stderr if fails else result.stdout


def check(condition, message):
    if not condition:
        sys.exit(f"chunk_tools: {message}")


# --- Random captures, by a writer of our own --------------------------------------------------------------------------


def block(kind, content):
    content += bytes(-len(content) % 4)
    return struct.pack("<II", kind, len(content) + 12) + content + struct.pack("<I", len(content) + 12)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def random_packet(chance, interfaces):
    length = chance.choice([chance.randrange(14, 100), chance.randrange(100, 1500), 1448, chance.randrange(1500, 9000)])
    if chance.random() < 0.01:
        length = chance.randrange(9000, 65536)
    if chance.random() < 0.5:
        data = chance.randbytes(length)
    else:
        data = (b"GET /%d HTTP/1.1\r\nHost: www.example.org\r\n" % chance.randrange(9999) * (length // 20))[:length]
    time = 1700000000 * 10**9 + chance.randrange(60 * 10**9)
    content = struct.pack("<IIIII", chance.randrange(interfaces), time >> 32, time & 0xFFFFFFFF, len(data), length + 4)
    content += data + bytes(-len(data) % 4)
    if chance.random() < 0.3:
        content += option(2, struct.pack("<I", chance.choice([1, 2])))
    if chance.random() < 0.1:
        content += option(1, b"comment %d" % chance.randrange(10**chance.randrange(1, 6)))
    return block(6, content)


def random_capture(path, seed, interfaces, packets):
    chance = random.Random(seed)
    blocks = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for i in range(interfaces):
        options = option(2, b"eth%d" % i) + option(9, b"\t") + (option(3, b"uplink") if i % 2 else b"")
        blocks.append(block(1, struct.pack("<HHI", 1, 0, 262144) + options + option(0, b"")))
    for i in range(packets):
        blocks.append(random_packet(chance, interfaces))
        if i % 500 == 7:
            blocks.append(block(9, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=event %d\n" % i))
    path.write_bytes(b"".join(blocks))


# --- What others see --------------------------------------------------------------------------------------------------


def tsharks(shark, path, agent=""):
    """Packets as a multiset: frames of a body stand by interface, so their order is another. A direction of 0 says nothing, and is not kept."""
    check(not shark.load(path), f"tshark complains about {path}")
    packets = shark.frames(*FIELDS)
    journal = sum(1 for packet in packets if not packet[4])
    for packet in packets:
        packet[0] = packet[0].removeprefix(agent)
        packet[DIRECTION] = "" if packet[DIRECTION] == "Unknown" else packet[DIRECTION]
    return collections.Counter(map(tuple, packets)), journal


def statistics(data):
    """Interface statistics blocks of a little-endian file: interface -> {option: value}."""
    found, at = {}, 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        check(length % 4 == 0 and struct.unpack_from("<I", data, at + length - 4)[0] == length, f"bad block at {at}")
        if kind == 5:
            interface, options, end = struct.unpack_from("<I", data, at + 8)[0], {}, at + length - 4
            p = at + 20
            while p < end:
                code, size = struct.unpack_from("<HH", data, p)
                options[code] = data[p + 4 : p + 4 + size]
                p += 4 + size + -size % 4
            found[interface] = options
        at += length
    return found


def seek_table(body):
    """Entries (offset, length, raw length, checksum) as the seekable format's own description reads them."""
    count, descriptor, magic = struct.unpack("<IBI", body[-9:])
    check(magic == 0x8F92EAB1 and descriptor == 0x80, "no seek table footer")
    start = len(body) - 9 - 12 * count - 8
    check(struct.unpack_from("<II", body, start) == (SEEK_TABLE, 12 * count + 9), "no seek table frame")
    entries, at = [], 0
    for i in range(count):
        length, raw, checksum = struct.unpack_from("<III", body, start + 8 + 12 * i)
        entries.append((at, length, raw, checksum))
        at += length
    check(at == start, "the seek table's lengths do not add up")
    return entries


def check_seek_table(body, raw):
    at = 0
    for offset, length, size, checksum in seek_table(body):
        frame = body[offset : offset + length]
        if struct.unpack_from("<I", frame)[0] in SKIPPABLE:
            check(size == 0, "a skippable frame expands to nothing")
            continue
        check(run("zstd", "-dcq", data=frame) == raw[at : at + size], f"frame at byte {offset} is not what the table says")
        check(struct.unpack("<I", frame[-4:])[0] == checksum, f"checksum of the frame at byte {offset}")
        at += size
    check(at == len(raw), "the seek table does not cover the file")


def check_statistics(raw, packets):
    """Received, kept and stored of each interface are its packets here."""
    count = collections.Counter()
    for packet, times in packets.items():
        count[packet[0]] += times if packet[4] else 0
    for interface, options in statistics(raw).items():
        for code in (4, 6, 8):
            value = struct.unpack("<Q", options[code])[0]
            check(value == count[f"eth{interface}"], f"interface {interface}: option {code} says {value} packets")
    return len(statistics(raw))


def check_readers(folder, body, packets):
    """capinfos and tcpdump agree on what zstd makes of the body."""
    run("zstd", "-tq", body)
    out = folder / "out.pcapng"
    raw = run("zstd", "-dcq", body)
    out.write_bytes(raw)
    infos = run("capinfos", "-M", out).decode(errors="replace")
    check(f"Number of packets:   {packets}\n" in infos, f"capinfos does not see {packets} packets:\n{infos}")
    check("Capture application: fleetdump" in infos, "capinfos does not see who wrote it")
    return out, raw


# --- Stories ----------------------------------------------------------------------------------------------------------


def pack(folder, capture, *target):
    body, head = folder / "body", folder / "head"
    run(TOOL, "pack", capture, body, head, *target)
    check(run(TOOL, "verify", body, head) == b"", "verify has something to say")
    return body, head


def random_bodies(folder, shark):
    for seed, interfaces, packets, target in ((1, 1, 50, 4000), (2, 3, 2500, 65536), (3, 17, 4000, 131072), (4, 2, 0, 9)):
        capture = folder / "random.pcapng"
        random_capture(capture, seed, interfaces, packets)
        body, head = pack(folder, capture, str(target))
        expected, journal = tsharks(shark, capture)
        out, raw = check_readers(folder, body, packets + journal)
        got, _ = tsharks(shark, out, "web-1/")
        check(got == expected, f"seed {seed}: tshark sees other packets: {list((got - expected).items())[:3]}")
        check(check_statistics(raw, got) == interfaces, "not every interface has statistics")
        check_seek_table(body.read_bytes(), raw)
        lines = run("tcpdump", "-nr", out).decode(errors="replace").count("\n") if packets else 0
        check(lines >= packets, f"tcpdump reads {lines} lines of {packets} packets")
    return 4


def real_bodies(folder, shark, captures):
    captures = [p for p in sorted(captures.rglob("*.pcapng")) if p.stat().st_size > 1000 and b"\x0a\x0d\x0d\x0a" == p.read_bytes()[:4]]
    done = 0
    for capture in captures[:: corpus.SHARE * max(1, len(captures) // REAL_CAPTURES)]:
        if "test-generator" in str(capture):  # several sections, custom blocks: see pcapng_corpus.py
            continue
        body, head = pack(folder, capture)
        expected, _ = tsharks(shark, capture)
        out, _ = check_readers(folder, body, sum(expected.values()))
        got, _ = tsharks(shark, out, "web-1/")
        # interfaces without a name get one ("web-1/"), comments are kept, options that we do not keep are not compared
        key = lambda packets: collections.Counter((p[1:6] for p in packets.elements()))
        check(key(got) == key(expected), f"{capture}: tshark sees other packets: {list((key(got) - key(expected)))[:3]}")
        done += 1
    return done


def frames_of(text):
    return [line for line in text.decode().splitlines() if line.startswith("frame\t")]


def damage(folder):
    """Every flipped bit is found, and names body and byte; every cut leaves the frames before it."""
    chance = random.Random(5)
    capture = folder / "random.pcapng"
    random_capture(capture, 6, 3, 300)
    body, head = pack(folder, capture, "20000")
    whole, frames = body.read_bytes(), frames_of(run(TOOL, "frames", body, head))
    broken = folder / "broken"
    for _ in range(FLIPS):
        bit = chance.randrange(8 * len(whole))
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(data)
        says = run(TOOL, "verify", broken, head, fails=True).decode(errors="replace")
        check("body" in says and "byte" in says, f"bit {bit}: {says}")
    for _ in range(CUTS):
        at = chance.randrange(200, len(whole))
        broken.write_bytes(whole[:at])
        run(TOOL, "verify", broken, head, fails=True)
        left = [f for f in frames if sum(map(int, f.split("\t")[2:4])) <= at]
        check(frames_of(run(TOOL, "scan", broken)) == left, f"cut at {at}: scan does not find the {len(left)} whole frames")
    return len(frames)


def main():
    with tempfile.TemporaryDirectory() as name, sharkd.Sharkd(["frame.generate_md5_hash: TRUE"]) as shark:
        folder = pathlib.Path(name)
        made = random_bodies(folder, shark)
        frames = damage(folder)
        real = real_bodies(folder, shark, pathlib.Path(os.environ["FLEETDUMP_CORPUS"])) if "FLEETDUMP_CORPUS" in os.environ else 0
    print(f"{made} random and {real} real captures as bodies, {FLIPS} flips and {CUTS} cuts of {frames} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
