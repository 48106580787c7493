#!/usr/bin/env python3
# timeout: 300
"""What flow rows say of TCP, per connection and direction, against what tcptrace said of the same captures (its .long files in FLEETDUMP_CORPUS).

Connections with the same ends are compared in the order in which they began, in the columns of the table COLUMNS; round trips are not the
same (tcptrace times every segment that an ack fits exactly), but none of ours is shorter than its shortest. Files that only wiretap reads are
rewritten by editcap. tests/data/measures-tcptrace-exceptions.tsv has to say why something differs; a line that is not needed fails.

    measures_tcptrace.py [CAPTURE...]    only these (gunzip'd or not: the file's name), and shows all that differs, excused or not
"""

import collections
import ipaddress
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import corpus
import fleet
import measures_corpus

EXCEPTIONS = "measures-tcptrace-exceptions.tsv"
READABLE = ("pcap", "pcapng")
RTT_NS = 51000  # tcptrace rounds to tenths of a millisecond


def total(*names):
    return lambda row, i: sum(row.get("%s.%d" % (name, i), 0) for name in names)


def number(*labels):
    return lambda said: sum(int(said.get(label, "0").split()[0]) for label in labels)


def yes(label):
    return lambda said: int(said.get(label, "N").split("/")[0] == "Y")


# name: ours of a row and direction, tcptrace's of what it says of the direction
COLUMNS = {
    "packets": (total("packets"), number("total packets")),
    "payload": (total("payload"), number("actual data bytes")),
    "resets": (total("rst"), number("resets sent")),
    "zero_windows": (total("zero_windows"), number("zero win adv")),
    "mss": (total("mss"), number("mss requested")),
    "window_scale": (total("window_scale"), number("adv wind scale")),
    "sack": (total("sack"), yes("req sack")),
    "sent_again": (total("retrans", "out_of_order", "keep_alives"), number("rexmt data pkts", "outoforder pkts", "zwnd probe pkts")),
    "retrans_bytes": (total("retrans_bytes"), number("rexmt data bytes")),
    "gap_bytes": (total("gap_bytes"), lambda said: int(re.sub("NA", "0", said.get("missed data", "0")).split()[0])),
}


def end(text):
    address, _, port = text.rpartition(":")
    return str(ipaddress.ip_address(address)), int(port)


def parse(path):
    """[(the two ends, what is said of a->b, of b->a), ...]"""
    connections, ends, said = [], [], ({}, {})
    for line in path.read_text(errors="replace").splitlines():
        host = re.match(r"\s+host \w+:\s+(\S+)$", line)
        if host:
            if len(ends) == 2:
                connections.append((ends, *said))
                ends, said = [], ({}, {})
            ends.append(end(host.group(1)))
        pairs = re.findall(r"([A-Za-z#][A-Za-z0-9/ #_()-]*?):\s+(\S+(?: \w+)?)", line) if len(ends) == 2 and line.startswith("     ") else []
        if len(pairs) == 2:
            for one, (label, value) in zip(said, pairs):
                one[label.strip()] = value
    return connections + ([(ends, *said)] if ends else [])


def readable(capture, form, folder):
    if form in READABLE:
        return str(capture)
    path = os.path.join(folder, "rewritten.pcap")
    subprocess.run(["editcap", "-F", "nsecpcap", str(capture), path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return path


def flows(path, folder):
    """TCP flows by their ends, in the order in which they began; all rows of one as one."""
    out = os.path.join(folder, "out")
    subprocess.run([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", os.path.join(folder, "conf"), "--read", path, "--keep", "flows", "--out", out],
                   stderr=subprocess.DEVNULL, check=False)
    heads = sorted(str(p) for p in pathlib.Path(out).glob("*.head"))
    text = subprocess.run([os.path.join(fleet.BIN, "head_dump"), *heads], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    shutil.rmtree(out, ignore_errors=True)
    rows, found = collections.defaultdict(list), collections.defaultdict(list)
    for row in map(json.loads, text.splitlines()):
        if row.get("proto") == 6 and row.get("has_ports") and "flow" in row:
            rows[row["flow"]].append(row)
    for of_flow in rows.values():
        row = merge(of_flow)
        row["ends"] = [(row["addr.%d" % i], row["port.%d" % i]) for i in (0, 1)]
        found[tuple(sorted(row["ends"]))].append(row)
    for of_ends in found.values():
        of_ends.sort(key=lambda row: row["time"])
    return found


def merge(rows):
    """measures_corpus merges what it compares; the rest of COLUMNS are sums."""
    merged = measures_corpus.merge(rows)
    for name in ("packets", "payload", "rst", "gap_bytes"):
        merged.update(("%s.%d" % (name, i), sum(row.get("%s.%d" % (name, i), 0) for row in rows)) for i in (0, 1))
    merged["time"] = rows[0]["time"]
    return merged


def shortest(row, i):
    return row.get("rtt_min.%d" % i)


def differences(ours, theirs):
    """Yields (end, what), and None for each value that is the same."""
    others = collections.defaultdict(list)
    for ends, *said in theirs:
        others[tuple(sorted(ends))].append((ends, said))
    for key in sorted(set(ours) | set(others)):
        name = "%s:%d" % key[0]
        if len(ours.get(key, ())) != len(others.get(key, ())):
            yield name, "connections %d, tcptrace %d" % (len(ours.get(key, ())), len(others.get(key, ())))
            continue
        for row, (ends, said) in zip(ours[key], others[key]):
            for one, who in zip(said, ends):
                i = row["ends"].index(who)
                for column, (have, want) in COLUMNS.items():
                    yield None if have(row, i) == want(one) else ("%s:%d" % who, "%s %d, tcptrace %d" % (column, have(row, i), want(one)))
                least = float(one.get("RTT min", "0 ms").split()[0]) * 1e6
                wrong = shortest(row, i) is not None and int(one["RTT samples"]) and shortest(row, i) < least - RTT_NS
                yield ("%s:%d" % who, "rtt_min %d, tcptrace %d" % (shortest(row, i), least)) if wrong else None


def main():
    root = pathlib.Path(fleet.corpus())
    if not shutil.which("editcap"):
        fleet.skip("no editcap")
    formats = {row["path"]: row["format"] for row in corpus.captures([f"tcptrace/captures/{p.name}" for p in (root / "tcptrace/captures").iterdir()])}
    found, connections = corpus.Differences(EXCEPTIONS), 0
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "conf").write_text("name = test\n")
        for path, form in sorted(formats.items()):
            name = pathlib.Path(path).name
            if corpus.chosen() and name not in corpus.chosen():
                continue
            theirs = parse(root / "tcptrace/oracle" / (name + ".long"))
            connections += len(theirs)
            found.take(name, differences(flows(readable(root / path, form, folder), folder), theirs))
    return found.status("%d captures, %d connections" % (len(formats), connections)) or not found.right


if __name__ == "__main__":
    sys.exit(main())
