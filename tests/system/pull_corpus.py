#!/usr/bin/env python3
# timeout: 900
"""Every capture of the corpus goes in by `fleetdump-agent --read` and comes back from `fleetdump pull` with the same
packets: bytes, lengths, nanosecond times, interfaces, in order of time. Of a damaged file, what was readable before.

The other reader is pcapfile.py, and the number of packets in the corpus' manifest (by capinfos). Exceptions stand in
tests/data/pull-exceptions.tsv, each with its reason. FLEETDUMP_CORPUS_SHARE=N takes every N-th capture (default 1);
arguments name single captures."""

import collections
import concurrent.futures
import csv
import os
import sys

import fleet
import pcapfile

HERE = os.path.dirname(os.path.abspath(__file__))


def manifest(root):
    with open(os.path.join(root, "MANIFEST.tsv"), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    wanted = sys.argv[1:]
    if wanted:
        return [row for row in rows if row["path"] in wanted]
    return rows[::int(os.environ.get("FLEETDUMP_CORPUS_SHARE", "1"))]


def exceptions():
    with open(os.path.join(HERE, "../data/pull-exceptions.tsv"), newline="") as file:
        return {row[0]: row[1] for row in csv.reader(file, delimiter="\t") if row and not row[0].startswith("#")}


def expected(path):
    """Packets by link type as sortable tuples; how many; why the file ends early."""
    interfaces, packets, damage = pcapfile.read(path)
    by_link = collections.defaultdict(list)
    for p in packets:
        by_link[interfaces[p.interface].link_type].append((p.time_ns, p.data, p.wire, interfaces[p.interface].name.strip()))
    return by_link, len(packets), damage


def compare(by_link, pulled, link):
    """What is wrong, or None. Names are compared where the capture has them."""
    interfaces, packets, damage = pcapfile.read(pulled)
    if damage:
        return "the pulled file is damaged: " + damage
    times = [p.time_ns for p in packets]
    if times != sorted(times):
        return "the pulled packets are not in order of time"
    if any(i.link_type != link for i in interfaces):
        return "another link type in the file"
    want = sorted(by_link)
    names = any(w[3] for w in want)
    got = sorted((p.time_ns, p.data, p.wire, interfaces[p.interface].name.split("/", 1)[1] if names else "") for p in packets)
    want = [(t, d, w, n) if n else (t, d, w, None) for t, d, w, n in want] if names else want
    if len(want) != len(got):
        return "%d packets instead of %d" % (len(got), len(want))
    for w, g in zip(want, got):
        if w[:3] != g[:3] or (w[3] and w[3] != g[3]):
            return "packet at %d (%d of %d bytes, %s) came back as %d (%d of %d bytes, %s)" % (
                w[0], len(w[1]), w[2], w[3], g[0], len(g[1]), g[2], g[3])
    return None


def one(system, agent, number, row, root):
    """Reads one capture in and pulls it; returns what is wrong, or None, and how many packets were compared."""
    path = os.path.join(root, row["path"])
    capture = "c%05d" % number
    by_link, count, damage = expected(path)
    done = system.read(agent, path, capture=capture, check=False)
    sound = row["opens"].startswith("ok") and not damage
    if damage and done.returncode == 0:
        return "no error for a damaged file (%s)" % damage, 0
    if done.returncode != 0 and row["path"].rsplit("/", 1)[1] not in done.stderr:
        return "the error does not name the file: " + done.stderr, 0
    if done.returncode != 0 and sound:
        return "exit %d: %s" % (done.returncode, done.stderr[-300:]), 0
    if done.returncode != 0 and not damage:
        return None, 0  # refused for what tcpdump or capinfos refuses, too
    if sound and row["packets"].isdigit() and int(row["packets"]) != count:
        return "the test's own reader sees %d packets, capinfos %s" % (count, row["packets"]), 0
    for link, packets in by_link.items():
        pulled = system.path("pulled.%d" % number)
        done = system.run("pull", "", "-w", pulled, "--capture", capture, "--vantage", "all", "--packets", "--link-type", str(link), check=None)
        if done.returncode != 0:
            return "pull: exit %d: %s" % (done.returncode, done.stderr), 0
        wrong = compare(packets, pulled, link)
        os.unlink(pulled)
        if wrong:
            return wrong, 0
    return None, count


def main():
    root = fleet.corpus()
    known, rows = exceptions(), manifest(root)
    failures, packets, compared, excused = 0, 0, 0, set()
    with fleet.Fleet() as system, concurrent.futures.ThreadPoolExecutor(2) as pool:
        lanes = [(n, row, "agent-%d" % (n % 2)) for n, row in enumerate(rows)]

        def lane(which):
            return [(row, one(system, agent, n, row, root)) for n, row, agent in lanes if n % 2 == which]

        for row, (wrong, count) in (r for half in pool.map(lane, (0, 1)) for r in half):
            compared += 1
            packets += count
            if wrong and row["path"] in known:
                excused.add(row["path"])
            elif wrong:
                failures += 1
                print("%s: %s" % (row["path"], wrong))
    for path in set(known) & {row["path"] for row in rows} - excused:
        failures += 1
        print("%s: stands in pull-exceptions.tsv, but is right now" % path)
    print("%d captures, %d packets the same, %d exceptions, %d wrong" % (compared, packets, len(excused), failures))
    assert compared >= 1 and (packets > 0 or sys.argv[1:])
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
