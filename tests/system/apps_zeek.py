#!/usr/bin/env python3
# timeout: 600
"""What exchanges say of applications against what Zeek logged for the same captures: http.log, dns.log, ssl.log in FLEETDUMP_CORPUS.

Rows of the same two ends are compared in order (of HTTP by number in the connection), in each column that the log has: the table LOGS. What Zeek
logged and we have not, and the other way round, is a difference, too. tests/data/apps-zeek-exceptions.tsv has to say why (log, flow, what; all with
wildcards); a line that is not needed fails.

    apps_zeek.py [LOG...]    only these (as the exceptions name them), and shows all that differs, excused or not
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import agent_zeek
import apps_corpus
import corpus
import fleet

EXCEPTIONS = "apps-zeek-exceptions.tsv"
ENDS = ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
VERSIONS = {"SSLv3": "SSL 3.0", "TLSv10": "TLS 1.0", "TLSv11": "TLS 1.1", "TLSv12": "TLS 1.2", "TLSv13": "TLS 1.3"}
RTT_US = 2  # Zeek keeps times in seconds, by floating point
NOTHING = "-"


def text(column):
    return lambda row: str(row.get(column, NOTHING)) or NOTHING


def version(value):
    """We know no drafts by name: RFC 8446, 4.2.1.1, says their numbers."""
    draft = re.match(r"TLSv13-draft(\d+)$|unknown-(\d+)$", value)
    if draft:
        return "0x%04x" % (0x7f00 + int(draft.group(1)) if draft.group(1) else int(draft.group(2)))
    return VERSIONS.get(value, value)


def names(value):
    """Names and addresses of answers; of other records we give the type alone, Zeek describes them (`TXT 5 hello`)."""
    return ",".join(one for one in re.split(", *", value) if " " not in one) or NOTHING


def lower(value):
    return value.lower().rstrip(".") or "."


def path(value):
    return apps_corpus.path_of(value, "GET")


def same(value):
    return value


def about(ours, theirs):
    return ours == theirs or NOTHING not in (ours, theirs) and abs(float(ours) - float(theirs)) * 1e6 <= RTT_US


def rtt(row):
    return "%.6f" % ((row["duration"] - row["send"]) / 1e9) if row.get("dns_rcode") and "send" in row else NOTHING


# Columns of a log: what we say instead, and how Zeek's word reads as ours.
LOGS = {
    "http": {"trans_depth": (text("ordinal"), same), "method": (text("method"), same), "host": (text("http_host"), same), "uri": (text("path"), path),
             "version": (lambda row: row.get("version", NOTHING).removeprefix("HTTP/"), same), "status_code": (text("status"), same),
             "request_body_len": (lambda row: str(row.get("request_body", 0)), same), "response_body_len": (lambda row: str(row.get("reply_body", 0)), same),
             "user_agent": (text("user_agent"), same)},
    "dns": {"query": (text("dns_name"), lower), "qtype_name": (text("dns_type"), same), "rcode_name": (text("dns_rcode"), same), "rtt": (rtt, same),
            "answers": (lambda row: names(row.get("dns_answers", NOTHING)), names)},
    "ssl": {"version": (text("version"), version), "cipher": (text("tls_cipher"), same), "server_name": (text("sni"), lower), "next_protocol": (text("alpn"), same),
            "last_alert": (text("tls_alert"), same)},
}


def client_of(flow):
    return flow.get("software.%d" % flow["originator"], NOTHING)


def ends_of(flow):
    o = flow["originator"]
    ends = (flow.get("addr.%d" % o), flow.get("port.%d" % o), flow.get("addr.%d" % (1 - o)), flow.get("port.%d" % (1 - o)))
    return dict(zip(ENDS, map(str, ends)))


def ours_of(capture, app, folder):
    """(exchanges of that application with the ends of their flows, in order; the ends of all flows)"""
    out = os.path.join(folder, "out")
    subprocess.run([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", os.path.join(folder, "conf"), "--read", str(capture), "--keep", "flows", "--out", out],
                   stderr=subprocess.DEVNULL, check=False)
    heads = sorted(str(p) for p in pathlib.Path(out).glob("*.head"))
    said = subprocess.run([os.path.join(fleet.BIN, "head_dump"), *heads], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    subprocess.run(["rm", "-r", out], check=True)
    lines = [json.loads(line) for line in said.splitlines()]
    flows = {}
    for line in lines:
        if "flow" in line:
            flows.setdefault(line["flow"], {}).update(line)
    found = [{**line, "user_agent": client_of(flows[line["exchange"]]), **ends_of(flows[line["exchange"]])} for line in lines
             if line.get("app") == app and "exchange" in line]
    if app == "tls":  # a connection of QUIC is a handshake
        found += [{**flow, "version": "TLS 1.3", **ends_of(flow)} for flow in flows.values() if flow.get("app") == "quic"]
    return found, [ends_of(flow) for flow in flows.values()]


def key_of(row, fields):
    """The ends that the log has, whoever began."""
    if set(ENDS) <= set(fields):
        return " ".join(" ".join(end) for end in sorted([(row["id.orig_h"], row["id.orig_p"]), (row["id.resp_h"], row["id.resp_p"])]))
    return " ".join(row[field] for field in ENDS[:1] if field in fields)


def differences(kind, fields, ours, theirs):
    """Yields (flow, what), and None for each value that is the same."""
    table = {column: how for column, how in LOGS[kind].items() if column in fields}
    mine, others = collections.defaultdict(list), collections.defaultdict(list)
    for row in ours:
        mine[key_of(row, fields)].append({column: say(row) for column, (say, _) in table.items()})
    for row in theirs:
        others[key_of(row, fields)].append({column: read(row[column]) if row[column] != NOTHING else NOTHING for column, (_, read) in table.items()})
    for name in sorted(set(mine) | set(others)):
        if len(mine[name]) != len(others[name]):
            yield name, "%d rows, zeek %d" % (len(mine[name]), len(others[name]))
            continue
        for rows in (mine[name], others[name]):
            rows.sort(key=lambda row: int(row["trans_depth"]) if "trans_depth" in row else [row[c] for c in sorted(table) if c != "rtt"])
        for a, b in zip(mine[name], others[name]):
            for column in table:
                if about(a[column], b[column]) if column == "rtt" else a[column] == b[column]:
                    yield None
                else:
                    yield name, "%s %s, zeek %s" % (column, a[column], b[column])


def both_have(fields, ours, seen, theirs):
    """Of a log of several captures that of flows of the others alone is left out: some are not in the corpus, some have logs of their own."""
    seen, logged = ({key_of(row, fields) for row in rows} for rows in (seen, theirs))
    return [row for row in ours if key_of(row, fields) in logged], [row for row in theirs if key_of(row, fields) in seen]


def oracles(root):
    """{log: [kind, whether it is of several captures, those that we have]}"""
    found = {}
    for line in (root / "ORACLES.tsv").read_text().splitlines():
        capture, oracle, source, what, _ = line.split("\t")
        kind = re.match(r"zeek (http|dns|ssl)", what)
        if source == "zeek" and kind:
            found.setdefault(oracle, [kind.group(1), "several" in what, []])[2].append(capture)
    return found


def main():
    root = pathlib.Path(fleet.corpus())
    found = corpus.Differences(EXCEPTIONS)
    logs = rows = 0
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "conf").write_text("name = test\n")
        for oracle, (kind, several, captures) in sorted(oracles(root).items()):
            name = oracle.split("/")[-1]
            if corpus.chosen() and name not in corpus.chosen():
                continue
            _, _, theirs = agent_zeek.zeek_flows(root / oracle)
            fields = set(theirs[0]) if theirs else set()
            if not fields & set(LOGS[kind]):
                continue
            ours, seen = [], []
            for capture in captures:
                here, ends = ours_of(root / capture, "tls" if kind == "ssl" else kind, folder)
                ours, seen = ours + here, seen + ends
            if several:
                ours, theirs = both_have(fields, ours, seen, theirs)
            logs, rows = logs + 1, rows + len(theirs)
            found.take(name, differences(kind, fields, ours, theirs))
    return found.status("%d logs, %d rows" % (logs, rows)) or not found.right


if __name__ == "__main__":
    sys.exit(main())
