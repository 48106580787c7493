#!/usr/bin/env python3
# timeout: 600
"""States, histories and packets of flows against what Zeek logged for the same captures (conn.log in FLEETDUMP_CORPUS).

A flow is told by addresses, ports and protocol; several of one kind are compared in the order in which they began. Where a capture
or a flow differs, tests/data/zeek-exceptions.tsv has to say why; a line that is not needed fails too.

    agent_zeek.py [CAPTURE...]    only these, and shows all that differs, excused or not
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import corpus
import fleet

EXCEPTIONS = "zeek-exceptions.tsv"
BIN = os.environ.get("FLEETDUMP_BIN", "")
PROTOS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp"}
KEY = ("proto", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
COLUMNS = ("conn_state", "history", "orig_pkts", "resp_pkts")


def zeek_flows(path):
    """(key columns, columns to compare, [row, ...]) of a conn.log; some tests of Zeek's cut theirs to a few columns."""
    fields, rows = None, []
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("#fields"):
            fields = line.split("\t")[1:]
        elif line and line[0] != "#" and fields is None:
            fields = line.split("\t")
        elif line and line[0] != "#":
            rows.append(dict(zip(fields, line.split("\t"))))
    for row in rows:  # X: what a protocol's analyser thought of the content
        row["history"] = row.get("history", "-").replace("X", "") or "-"
    return [c for c in KEY if c in fields], [c for c in COLUMNS if c in fields], rows


def merge(into, row):
    for side in (0, 1):
        into["packets.%d" % side] += row["packets.%d" % side]
    into["state"], into["history"] = row["state"], row.get("history", into["history"])


def our_flows(capture, folder):
    """The same of ours, from all rows of all chunks."""
    out = os.path.join(folder, "out")
    subprocess.run([os.path.join(BIN, "fleetdump-agent"), "--config", os.path.join(folder, "conf"), "--read", str(capture), "--out", out],
                   stderr=subprocess.DEVNULL, check=False)
    heads = sorted(str(p) for p in pathlib.Path(out).glob("*.head"))
    text = subprocess.run([os.path.join(BIN, "head_dump"), *heads], stdout=subprocess.PIPE, check=True, text=True).stdout
    subprocess.run(["rm", "-r", out], check=True)
    found = {}
    for line in text.splitlines():
        row = json.loads(line)
        if "flow" not in row or row.get("proto") not in PROTOS or row["ethertype"] not in (0x0800, 0x86DD):
            continue
        if row["flow"] in found:
            merge(found[row["flow"]], row)
        else:
            row.setdefault("history", "-")
            found[row["flow"]] = row
    flows = []
    for row in sorted(found.values(), key=lambda r: r["time"]):
        o = row["originator"]
        key = (PROTOS[row["proto"]], row["addr.%d" % o], row["port.%d" % o], row["addr.%d" % (1 - o)], row["port.%d" % (1 - o)])
        flow = dict(zip(KEY, map(str, key)))
        flow.update({"conn_state": row["state"], "history": row["history"] or "-"})
        flow.update({"orig_pkts": str(row["packets.%d" % o]), "resp_pkts": str(row["packets.%d" % (1 - o)])})
        flows.append(flow)
    return flows


def grouped(rows, key):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[" ".join(row[c] for c in key)].append(row)
    return groups


def differences(ours, key, columns, zeeks):
    """Yields (flow, what)."""
    mine, theirs = grouped(ours, key), grouped(zeeks, key)
    for name in sorted(set(mine) | set(theirs)):
        if len(mine[name]) != len(theirs[name]):
            yield name, "%d flows, zeek %d" % (len(mine[name]), len(theirs[name]))
            continue
        if len(key) < 2:  # no times, no addresses: any order
            for rows in (mine[name], theirs[name]):
                rows.sort(key=lambda row: [row[c] for c in columns])
        for a, b in zip(mine[name], theirs[name]):
            for column in columns:
                if a[column] != b[column]:
                    yield name, "%s %s, zeek %s" % (column, a[column], b[column])


def oracles(corpus):
    """(capture, conn.log) where zeek read one capture whole."""
    for line in (corpus / "ORACLES.tsv").read_text().splitlines():
        capture, oracle, source, kind, how = line.split("\t")
        if source == "zeek" and kind == "zeek conn.log" and " -f " not in how:
            yield capture, oracle


def main():
    root, found, logs, flows = pathlib.Path(fleet.corpus()), corpus.Differences(EXCEPTIONS), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "conf").write_text("name = test\n")
        for capture, oracle in oracles(root):
            if corpus.chosen() and capture not in corpus.chosen():
                continue
            key, columns, theirs = zeek_flows(root / oracle)
            logs += 1
            flows += len(theirs)
            found.take(oracle.split("/")[-1], differences(our_flows(root / capture, folder), key, columns, theirs))
    return found.status("%d logs, %d flows" % (logs, flows)) or not logs


if __name__ == "__main__":
    sys.exit(main())
