#!/usr/bin/env python3
# timeout: 600
"""Every capture of the corpus through `fleetdump-agent --read --out`: the bodies hold the same packets (bytes, lengths, nanosecond
times, interfaces, in the same order on each), as pcapfile.py reads them after `zstd -d`, and capinfos counts them; rows and
counters add up to them, and to what the file itself says it lacks. Of a damaged file, what was readable before, and an error that
names the file and the byte; of a file of another kind, an error that names it and the kind.

    agent_corpus.py [CAPTURE...]    only these

Exceptions stand in tests/data/agent-exceptions.tsv, each with its reason."""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import corpus
import fleet
import pcapfile

BATCH = 64   # captures whose bodies and heads are looked at by one process each
READERS = 4  # agents at once: they wait for the disk
COUNTERS = ("received", "kept", "stored", "kernel_drops", "interface_drops", "time_limited")


def program(name):
    return os.path.join(fleet.BIN, name)


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")


class Reading:
    """One capture, read by the agent into a folder of its own."""

    def __init__(self, row, top, number):
        self.row, self.out = row, os.path.join(top, "%d" % number)
        self.done = run(program("fleetdump-agent"), "--config", os.path.join(top, "conf"), "--read", row["file"], "--out", self.out)
        self.lines, self.counted = [], 0  # of the heads, by head_dump; of the bodies, by capinfos

    def files(self, ending):
        return sorted(str(path) for path in pathlib.Path(self.out).glob("*" + ending))


# --- The bodies and heads of many at once -----------------------------------------------------------------------------


def dump_heads(readings):
    """head_dump has one line of "item" for each head, then one for each of its rows."""
    heads = [(reading, head) for reading in readings for head in reading.files(".head")]
    out = subprocess.run([program("head_dump"), *(head for _, head in heads)], stdout=subprocess.PIPE, check=True, text=True).stdout
    at = -1
    for line in map(json.loads, out.splitlines()):
        at += "item" in line
        heads[at][0].lines.append(line)
    assert at == len(heads) - 1


def expand_bodies(readings):
    """Beside each body its pcapng file, whose packets capinfos counts."""
    bodies = {body: reading for reading in readings for body in reading.files(".pcapng.zst")}
    if not bodies:
        return
    subprocess.run(["zstd", "-dq", *bodies], check=True)
    expanded = {body.removesuffix(".zst"): reading for body, reading in bodies.items()}
    for line in run("capinfos", "-TMcrQ", *expanded).stdout.splitlines():
        path, count = re.fullmatch(r'"?(.*?)"?\t"?(\d+)"?', line).groups()
        expanded.pop(path).counted += int(count)
    assert not expanded, "capinfos does not read %s" % list(expanded)


# --- What has to be -----------------------------------------------------------------------------------------------------


def compare_packets(reading, capture):
    """Interface by interface, in the order of the chunks."""
    names, wanted, found = pcapfile.names(reading.row["file"], capture.interfaces), collections.defaultdict(list), collections.defaultdict(list)
    for p in capture.packets:
        wanted[names[p.interface]].append((p.time_ns, p.wire, p.data))
    for path in reading.files(".pcapng"):
        body = pcapfile.open_capture(path)
        if body.damage or body.refused:
            return "body: %s" % (body.damage or body.refused)
        for p in body.packets:
            found[body.interfaces[p.interface].name.removeprefix("test/")].append((p.time_ns, p.wire, p.data))
    for name in {**wanted, **found}:
        if len(wanted[name]) != len(found[name]):
            return "%s: %d packets instead of %d" % (name, len(found[name]), len(wanted[name]))
        for n, (x, y) in enumerate(zip(wanted[name], found[name]), 1):
            if x != y:
                return "%s: packet %d at %d (%d bytes) became one at %d (%d bytes)" % (name, n, x[0], x[1], y[0], y[1])
    return None


def check_counters(chunks, end, capture):
    sums = collections.Counter()
    for chunk in chunks:
        sums.update(chunk["totals"])
        for i, interface in enumerate(chunk["interfaces"]):
            if sum(f["packets"] for f in chunk["frames"] if f["interface"] == i) != interface["counters"]["stored"]:
                return "frames and counters of an interface differ"
    if {k: v for k, v in sums.items() if v} != {k: v for k, v in end["totals"].items() if v}:
        return "totals of chunks %s, of the end %s" % (sums, end["totals"])
    count = len(capture.packets)
    kernel, other = (sum(lost[i] for lost in capture.lost.values()) for i in (0, 1))
    expected = (count + kernel, count, count, kernel, other, sum(p.limited for p in capture.packets))
    if tuple(sums[name] for name in COUNTERS) != expected:
        return "counters %s instead of %s" % (dict(sums), dict(zip(COUNTERS, expected)))
    return None


def check_rows(rows, frames, count):
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


def check_sums(lines, capture):
    items = [line for line in lines if "item" in line]
    if not items:  # what cannot be opened makes no capture
        return None if not capture.packets and (capture.damage or capture.refused) else "no chunks and no end"
    chunks, end = [i for i in items if i["kind"] == 1], items[-1]
    if [i["item"] for i in items] != list(range(len(items))) or end["kind"] != 3:
        return "the stream has holes or no end"
    frames = {chunk["item"]: dict(enumerate(chunk["frames"])) for chunk in chunks}
    return check_counters(chunks, end, capture) or check_rows([line for line in lines if "flow" in line], frames, len(capture.packets))


def judge(reading):
    """What is wrong, or None, and how many packets are the same."""
    row, capture = reading.row, pcapfile.open_capture(reading.row["file"])
    count = len(capture.packets)
    wrong = corpus.check_read(reading.done, row["file"], capture)
    known = row["opens"].startswith("ok") and row["packets"].isdigit() and not capture.damage and not capture.refused
    if not wrong and known and int(row["packets"]) != count:
        wrong = "the test's own reader sees %d packets, capinfos %s" % (count, row["packets"])
    wrong = wrong or compare_packets(reading, capture) or check_sums(reading.lines, capture)
    if not wrong and reading.counted != count:
        wrong = "capinfos counts %d packets in the bodies, not %d" % (reading.counted, count)
    return wrong, 0 if wrong else count


def main():
    verdicts, packets = corpus.Verdicts("agent-exceptions.tsv"), 0
    for rows in corpus.batches(corpus.captures(corpus.chosen()), BATCH):
        with tempfile.TemporaryDirectory() as top, concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            pathlib.Path(top, "conf").write_text("name = test\n")
            readings = list(pool.map(lambda row: Reading(row[1], top, row[0]), enumerate(rows)))
            dump_heads(readings)
            expand_bodies(readings)
            for reading in readings:
                wrong, count = judge(reading)
                verdicts.add(reading.row["path"], wrong)
                packets += count
    return verdicts.status("%d packets the same" % packets)


if __name__ == "__main__":
    sys.exit(main())
