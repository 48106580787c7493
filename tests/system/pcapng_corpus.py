#!/usr/bin/env python3
# timeout: 600
"""Every pcapng file of FLEETDUMP_CORPUS as our reader sees it (chunk_tool packets) against tshark: interface, time in ns,
captured and wire length of each packet; and files cut at random places: the same packets before the cut, and an error that
names the byte. Differences must stand in tests/data/pcapng-exceptions.tsv, and a line there that is not needed fails too.

    pcapng_corpus.py [WORD]    only files with WORD in their path
"""
import os
import pathlib
import queue
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading

import corpus
import fleet
import sharkd

EXCEPTIONS = "pcapng-exceptions.tsv"
TOOL = os.path.join(fleet.BIN, "chunk_tool")
FIELDS = ("frame.interface_id", "frame.time_epoch", "frame.cap_len", "frame.len", "frame.encap_type")
TIME_MAX = (1 << 64) - 1
SECTION = b"\x0a\x0d\x0d\x0a"
EACH_CUT = 4  # of so many files one is cut
CUTS = 3
LANES = 2


def nanoseconds(text):
    seconds, _, fraction = text.partition(".")
    value = abs(int(seconds)) * 10**9 + int((fraction + "0" * 9)[:9])
    return -value if text.startswith("-") else value


def ours(path):
    result = subprocess.run([TOOL, "packets", str(path)], capture_output=True, text=True, errors="replace")
    return [tuple(map(int, line.split("\t"))) for line in result.stdout.splitlines()], result


def tsharks(shark, path):
    """Packets as (interface or None, time, captured, wire), and whether tshark complained. What it does not take for pcapng it may show
    as a document of one packet: there are none."""
    complained, packets = shark.load(path), []
    for interface, time, captured, wire, encapsulation in shark.frames(*FIELDS):
        if encapsulation in sharkd.DOCUMENTS:
            return [], True
        custom = not interface and not time
        packets.append((None if custom else int(interface), nanoseconds(time) if time else 0, int(captured), int(wire)))
    return packets, complained


def leave_out(kind, mine, theirs):
    if kind == "custom":
        theirs = [p for p in theirs if p[0] is not None]
    elif kind == "sections":
        mine, theirs = [p[1:] for p in mine], [p[1:] for p in theirs]
    elif kind == "times":
        mine = [p[:1] + (None if p[1] == TIME_MAX else p[1],) + p[2:] for p in mine]
        theirs = [p[:1] + (None if p[1] > TIME_MAX else p[1],) + p[2:] for p in theirs]
    else:
        sys.exit("%s: kind %s is not known" % (EXCEPTIONS, kind))
    return mine, theirs


def difference(mine, theirs):
    for i, (a, b) in enumerate(zip(mine, theirs)):
        if a != b:
            return "packet %d: ours %s, tshark's %s" % (i + 1, a, b)
    return None if len(mine) == len(theirs) else "ours %d packets, tshark's %d" % (len(mine), len(theirs))


def compare(shark, path, kinds):
    """What is wrong with this file, or None."""
    try:
        theirs, complained = tsharks(shark, path)
    except ValueError:
        theirs, complained = [], True
    mine, result = ours(path)
    if (result.returncode != 0) != complained:
        return "we say %s, tshark %s" % (result.stderr.strip() or "nothing", "complains" if complained else "does not")
    if kinds and not difference(mine, theirs):
        return "the exception is not needed"
    for kind in kinds:
        mine, theirs = leave_out(kind, mine, theirs)
    return difference(mine, theirs)


def compare_cut(shark, cut, at, kinds):
    try:
        theirs, _ = tsharks(shark, cut)
    except ValueError:
        theirs = []
    mine, result = ours(cut)
    for kind in kinds:
        mine, theirs = leave_out(kind, mine, theirs)
    # a cut between two blocks nobody can know
    if result.returncode != 0 and not re.search(r"ends at byte %d\b" % at, result.stderr):
        return "the error does not name the byte: " + result.stderr.strip()
    return difference(mine, theirs)


def first_block(data):
    """Length of the section header. Of less tshark makes a file of another kind."""
    return struct.unpack("<I" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">I", data[4:8])[0]


def compare_cuts(shark, path, folder, kinds, seed):
    data, chance = path.read_bytes(), random.Random(seed)
    cut = pathlib.Path(folder, "%d.pcapng" % seed)
    for _ in range(CUTS if first_block(data) < len(data) else 0):
        at = chance.randrange(first_block(data), len(data))
        cut.write_bytes(data[:at])
        wrong = compare_cut(shark, cut, at, kinds)
        if wrong:
            return "cut at %d: %s" % (at, wrong)
    return None


def files(root, word):
    paths = [path for path in sorted(root.rglob("*")) if word in str(path) and path.is_file() and path.stat().st_size > 28]
    for path in paths[::corpus.SHARE]:
        with path.open("rb") as file:
            if file.read(4) == SECTION:
                yield path


def lane(work, known, root, folder, wrong):
    with sharkd.Sharkd() as shark:
        while not work.empty():
            seed, path = work.get()
            name = str(path.relative_to(root))
            kinds = known.get(name, [])
            found = [compare(shark, path, kinds)]
            if seed % EACH_CUT == 0:
                found.append(compare_cuts(shark, path, folder, kinds, seed))
            wrong += ["%s: %s" % (name, what) for what in found if what]


def main():
    root = pathlib.Path(fleet.corpus())
    known = {path: kinds.split(",") for path, kinds, _ in corpus.lines(EXCEPTIONS)}
    work, wrong, count = queue.Queue(), [], 0
    for seed, path in enumerate(files(root, "".join(sys.argv[1:2]))):
        work.put((seed, path))
        count += 1
    with tempfile.TemporaryDirectory() as folder:
        lanes = [threading.Thread(target=lane, args=(work, known, root, folder, wrong)) for _ in range(LANES)]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
    done = work.empty()
    print("\n".join(sorted(wrong)) or "%d files: every packet as tshark sees it" % count)
    return 1 if wrong or not count or not done else 0


if __name__ == "__main__":
    sys.exit(main())
