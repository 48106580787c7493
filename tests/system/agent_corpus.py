#!/usr/bin/env python3
# timeout: 900
"""Every capture of the corpus through `fleetdump-agent --read --out`: the bodies hold the same packets (bytes, lengths, nanosecond times,
interfaces, in the same order on each), as pcapfile.py reads them after `zstd -dc`, and capinfos counts them; rows and counters add up to them.
Of a damaged file, what was readable before, and an error that names the file and the byte.

    agent_corpus.py [CAPTURE...]    only these

FLEETDUMP_CORPUS_SHARE=N takes every N-th capture. Exceptions stand in tests/data/agent-exceptions.tsv, each with its reason."""

import collections
import concurrent.futures
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import fleet
import pcapfile

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
SNAPLEN_MAX = 262144


def program(name):
    return os.path.join(fleet.BIN, name)


def manifest(root):
    with open(os.path.join(root, "MANIFEST.tsv"), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if sys.argv[1:]:
        return [row for row in rows if row["path"] in sys.argv[1:]]
    return rows[:: int(os.environ.get("FLEETDUMP_CORPUS_SHARE", "1"))]


def exceptions():
    lines = (DATA / "agent-exceptions.tsv").read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if line and line[0] != "#")


def expected(path):
    """Packets of each interface in order, names of the interfaces, why the file ends early."""
    try:
        interfaces, packets, damage = pcapfile.read(path)
    except Exception as error:  # neither a compression nor a format that it knows
        return None, None, str(error) or "not read"
    base = re.sub(r"(?i)\.(pcapng|pcap|cap|ntar|dmp|dump|trc)$", "", re.sub(r"(?i)\.(gz|zst)$", "", os.path.basename(path)))
    names, wanted = [i.name or base for i in interfaces], collections.defaultdict(list)
    for p in packets:
        wanted[p.interface].append((p.time_ns, p.wire, p.data))
    return wanted, names, damage


def dump_heads(folder):
    heads = sorted(str(p) for p in pathlib.Path(folder).glob("*.head"))
    out = subprocess.run([program("head_dump"), *heads], stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def read_bodies(folder, scratch):
    """Packets by interface name (without the agent's) in the order of the chunks, and how many capinfos counts."""
    found, counted = collections.defaultdict(list), 0
    for body in sorted(pathlib.Path(folder).glob("*.pcapng.zst")):
        with open(scratch, "wb") as out:
            subprocess.run(["zstd", "-dcq", str(body)], stdout=out, check=True)
        interfaces, packets, damage = pcapfile.read(scratch)
        assert damage is None, damage
        for p in packets:
            found[interfaces[p.interface].name.split("/", 1)[1]].append((p.time_ns, p.wire, p.data))
        out = subprocess.run(["capinfos", "-TMcrQ", scratch], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout
        counted += int(out.split("\t")[-1].strip('"\n')) if out.strip() else 0
    return found, counted


def check_sums(lines, count):
    """What does not add up in heads and rows, or None."""
    items = [line for line in lines if "item" in line]
    chunks, end = [i for i in items if i["kind"] == 1], items[-1]
    if [i["item"] for i in items] != list(range(len(items))) or end["kind"] != 3:
        return "the stream has holes or no end"
    sums, frames = collections.Counter(), {}
    for chunk in chunks:
        sums.update(chunk["totals"])
        for i, interface in enumerate(chunk["interfaces"]):
            inside = [f for f in chunk["frames"] if f["interface"] == i]
            if sum(f["packets"] for f in inside) != interface["counters"]["stored"]:
                return "frames and counters of an interface differ"
        frames[chunk["item"]] = dict(enumerate(chunk["frames"]))
    if {k: v for k, v in sums.items() if v} != {k: v for k, v in end["totals"].items() if v}:
        return "totals of chunks %s, of the end %s" % (sums, end["totals"])
    if not sums["received"] == sums["kept"] == sums["stored"] == count:
        return "counters %s for %d packets" % (dict(sums), count)
    rows = [line for line in lines if "flow" in line]
    if sum(r["packets.0"] + r["packets.1"] for r in rows) != count:
        return "rows count other packets than %d" % count
    prior, used = collections.Counter(), collections.defaultdict(set)
    for r in rows:
        if r["prior_packets"] != prior[r["flow"]]:
            return "flow %s: prior_packets is not what earlier rows hold" % r["flow"]
        prior[r["flow"]] += r["packets.0"] + r["packets.1"]
        for f in r.get("frames", []):
            used[r["seq"]].add(f)
            if frames[r["seq"]][f]["interface"] != r["interface_index"]:
                return "flow %s: frame %d is of another interface" % (r["flow"], f)
        if bool(r.get("frames")) != bool(r["packets.0"] + r["packets.1"]):
            return "flow %s: packets without frames" % r["flow"]
    if any(used[seq] != set(frames[seq]) for seq in frames):
        return "a frame belongs to no flow"
    return None


def compare(wanted, names, found):
    """Interfaces of one name may be told apart by #2, #3, ... or be one again in a later section."""
    by_name, mine = collections.defaultdict(list), collections.defaultdict(list)
    for interface in sorted(wanted):
        by_name[names[interface]].append(wanted[interface])
    for name in found:
        mine[name if name in by_name else re.sub(r"#\d+$", "", name)].append(found[name])
    for name in set(by_name) | set(mine):
        if len(by_name[name]) == len(mine[name]) == 1:
            a, b = by_name[name][0], mine[name][0]
        else:
            a, b = (sorted(p for packets in side for p in packets) for side in (by_name[name], mine[name]))
        if len(a) != len(b):
            return "%s: %d packets instead of %d" % (name, len(b), len(a))
        for n, (x, y) in enumerate(zip(a, b), 1):
            if x != y:
                return "%s: packet %d at %d (%d bytes) became one at %d (%d bytes)" % (name, n, x[0], x[1], y[0], y[1])
    return None


def one(row, root, folder):
    path, out = os.path.join(root, row["path"]), os.path.join(folder, "out")
    shutil.rmtree(out, ignore_errors=True)
    wanted, names, damage = expected(path)
    command = [program("fleetdump-agent"), "--config", os.path.join(folder, "conf"), "--read", path, "--out", out]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        return "exit %d: %s" % (done.returncode, done.stderr), 0
    if done.returncode == 1 and path not in done.stderr:
        return "the error does not name the file: " + done.stderr, 0
    if wanted is None:
        return None if done.returncode == 1 else "no error for a file of no known kind (%s)" % damage, 0
    if damage and (done.returncode == 0 or not re.search(r"\bbyte ", done.stderr)):
        return "%s: exit %d: %s" % (damage, done.returncode, done.stderr), 0
    if done.returncode == 1 and not damage:
        return "error for a sound file: " + done.stderr, 0
    if not damage and row["opens"].startswith("ok") and row["packets"].isdigit() and int(row["packets"]) != sum(map(len, wanted.values())):
        return "the test's own reader sees other packets than capinfos", 0
    found, counted = read_bodies(out, os.path.join(folder, "body.pcapng"))
    count = sum(map(len, wanted.values()))
    wrong = compare(wanted, names, found) or check_sums(dump_heads(out), count)
    if not wrong and counted != count:
        wrong = "capinfos counts %d packets in the bodies, not %d" % (counted, count)
    return wrong, count


def main():
    root = fleet.corpus()
    known, rows = exceptions(), manifest(root)
    with tempfile.TemporaryDirectory() as top, concurrent.futures.ThreadPoolExecutor(2) as pool:

        def lane(which):
            folder = os.path.join(top, str(which))
            os.mkdir(folder)
            pathlib.Path(folder, "conf").write_text("name = test\n")
            results = []
            for row in rows[which::2]:
                try:
                    results.append((row["path"], *one(row, root, folder)))
                except Exception as error:
                    results.append((row["path"], repr(error), 0))
            return results

        results = [r for half in pool.map(lane, (0, 1)) for r in half]
    bad = excused = 0
    for path, wrong, _ in sorted(results):
        if wrong and path in known:
            excused += 1
        elif wrong:
            bad += 1
            print("%s: %s" % (path, wrong.strip()))
        elif path in known:
            bad += 1
            print("%s: stands in agent-exceptions.tsv, but is right now" % path)
    print("%d captures, %d packets the same, %d excused, %d wrong" % (len(results), sum(r[2] for r in results), excused, bad))
    return 1 if bad or not results else 0


sys.exit(main())
