#!/usr/bin/env python3
# timeout: 900
"""Every pcapng file of FLEETDUMP_CORPUS as our reader sees it (chunk_tool packets) against tshark: interface, time in ns,
captured and wire length of each packet; and files cut at random places: the same packets before the cut, and an error that
names the byte. Differences must stand in tests/data/pcapng-exceptions.tsv, and a line there that is not needed fails too.

    pcapng_corpus.py [--every N] [--only WORD]
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/data/pcapng-exceptions.tsv"
TOOL = pathlib.Path(os.environ.get("FLEETDUMP_BIN", ROOT / "build/debug/bin")) / "chunk_tool"
FIELDS = ["frame.interface_id", "frame.time_epoch", "frame.cap_len", "frame.len"]
TIME_MAX = (1 << 64) - 1
SECTION = b"\x0a\x0d\x0d\x0a"


def nanoseconds(text):
    seconds, _, fraction = text.partition(".")
    value = abs(int(seconds)) * 10**9 + int((fraction + "0" * 9)[:9])
    return -value if text.startswith("-") else value


def run(*command):
    # utf-8 of foreign texts may be broken, and tshark must not see anybody's settings
    return subprocess.run(command, capture_output=True, text=True, errors="replace", env=dict(os.environ, HOME="/nonexistent"))


def ours(path):
    result = run(str(TOOL), "packets", str(path))
    return [tuple(map(int, line.split("\t"))) for line in result.stdout.splitlines()], result


def tsharks(path):
    """Packets as (interface or None, time, captured, wire), and whether tshark complained."""
    command = ["tshark", "-r", str(path), "-T", "fields"]
    result = run(*command, *(word for field in FIELDS for word in ("-e", field)))
    packets = []
    for line in result.stdout.splitlines():
        interface, time, captured, wire = line.split("\t")
        custom = not interface and not time
        packets.append((None if custom else int(interface), nanoseconds(time) if time else 0, int(captured), int(wire)))
    return packets, result.returncode != 0


def leave_out(kind, mine, theirs):
    if kind == "custom":
        theirs = [p for p in theirs if p[0] is not None]
    elif kind == "sections":
        mine, theirs = [p[1:] for p in mine], [p[1:] for p in theirs]
    elif kind == "times":
        mine = [p[:1] + (None if p[1] == TIME_MAX else p[1],) + p[2:] for p in mine]
        theirs = [p[:1] + (None if p[1] > TIME_MAX else p[1],) + p[2:] for p in theirs]
    else:
        sys.exit(f"{EXCEPTIONS}: kind {kind} is not known")
    return mine, theirs


def difference(mine, theirs):
    for i, (a, b) in enumerate(zip(mine, theirs)):
        if a != b:
            return f"packet {i + 1}: ours {a}, tshark's {b}"
    return None if len(mine) == len(theirs) else f"ours {len(mine)} packets, tshark's {len(theirs)}"


def compare(path, name, kinds):
    """What is wrong with this file, as a list of sentences."""
    (mine, result), (theirs, complained) = ours(path), tsharks(path)
    if (result.returncode != 0) != complained:
        return [f"{name}: we say {result.stderr.strip() or 'nothing'}, tshark {'complains' if complained else 'does not'}"]
    if kinds and not difference(mine, theirs):
        return [f"{name}: the exception is not needed"]
    for kind in kinds:
        mine, theirs = leave_out(kind, mine, theirs)
    found = difference(mine, theirs)
    return [f"{name}: {found}"] if found else []


def compare_cut(path, name, folder, kinds, seed):
    data = path.read_bytes()
    chance = random.Random(seed)
    wrong = []
    for _ in range(3):
        at = chance.randrange(1, len(data))
        cut = folder / f"{seed}-{at}.pcapng"
        cut.write_bytes(data[:at])
        wrong += compare_cut_at(cut, f"{name} cut at {at}", at, kinds)
        cut.unlink()
    return wrong


def compare_cut_at(cut, name, at, kinds):
    (mine, result), (theirs, _) = ours(cut), tsharks(cut)
    for kind in kinds:
        mine, theirs = leave_out(kind, mine, theirs)
    if result.returncode == 0:  # between two blocks: nobody can know
        found = difference(mine, theirs)
    elif not re.search(rf"ends at byte {at}\b", result.stderr):
        found = f"the error does not name the byte: {result.stderr.strip()}"
    else:
        found = difference(mine, theirs)
    return [f"{name}: {found}"] if found else []


def captures(corpus):
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and path.stat().st_size > 28:
            with path.open("rb") as file:
                if file.read(4) == SECTION:
                    yield path


def exceptions():
    lines = [line.split("\t") for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return {path: kinds.split(",") for path, kinds, _ in lines[1:]}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--every", type=int, default=1)
    options.add_argument("--only", default="")
    options = options.parse_args()
    if "FLEETDUMP_CORPUS" not in os.environ:
        print("FLEETDUMP_CORPUS is not set: nothing to compare")
        return 77
    corpus = pathlib.Path(os.environ["FLEETDUMP_CORPUS"])
    known = exceptions()
    paths = [path for path in captures(corpus) if options.only in str(path)][:: options.every]
    wrong = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = []
        for seed, path in enumerate(paths):
            name = str(path.relative_to(corpus))
            jobs.append(pool.submit(compare, path, name, known.get(name, [])))
            if seed % 4 == 0:
                jobs.append(pool.submit(compare_cut, path, name, pathlib.Path(folder), known.get(name, []), seed))
        for job in jobs:
            wrong += job.result()
    print("\n".join(wrong) or f"{len(paths)} files: every packet as tshark sees it")
    if len(paths) == 0 and not options.only:
        print("no pcapng file found")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
