#!/usr/bin/env python3
# timeout: 1800
"""What exchanges and flow rows say of applications against tshark, on the captures of FLEETDUMP_CORPUS that hold HTTP, DNS, TLS or QUIC.

`fleetdump-agent --read` and tshark read each capture. What tshark saw, we must have seen as often as it did:

    request   HTTP requests: method, host, path
    status    HTTP replies: status
    time      HTTP replies of which tshark knows the request, in connections without request bodies: status, from the request to the reply (http.time, which
              is up to the end of its head: a little later if that came in pieces)
    dns       DNS responses of which tshark knows the query: name, type, rcode, time (dns.time)
    hello     TLS client hellos: server name, first ALPN protocol (also in QUIC)
    cipher    TLS server hellos: version, cipher suite

and JA4 of the connections in JA4.tsv. That we see more (at other ports, replies after a gap) is counted, and must stay the exception. Exceptions stand in tests/data/apps-exceptions.tsv, each with its reason; one that is not needed fails, too.
Each capture has a tshark of its own, which takes minutes: every sixth is taken, and those of JA4.tsv; with FLEETDUMP_APPS_ALL=yes all are.
FLEETDUMP_CORPUS_SHARE=N takes every N-th capture of these.

    apps_corpus.py [--only WORD] [--show N]
"""
import argparse
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

import corpus
import fleet
import packet_corpus

EXCEPTIONS = corpus.DATA / "apps-exceptions.tsv"
HOLDS = re.compile(r"\b(http|dns|tls|ssl|quic)\b")
SIZE_MOST = 40 << 20
ALL, SOME = bool(os.environ.get("FLEETDUMP_APPS_ALL")), 6
FIELDS = """frame.protocols tcp.stream udp.stream http.request.method http.request.uri http.host http.response.code http.time
    dns.flags.response dns.qry.name dns.qry.type dns.flags.rcode dns.time dns.count.queries
    tls.handshake.type tls.handshake.extensions_server_name tls.handshake.extensions_alpn_str tls.handshake.version
    tls.handshake.extensions.supported_version tls.handshake.ciphersuite""".split()
FILTER = "http or dns or tls.handshake.type == 1 or tls.handshake.type == 2"
MORE_MOST = 0.1
HEAD_NS = 1000000
TIME_NS = 2000  # tshark counts in capture units, and by floating point
KINDS = ("request", "status", "time", "dns", "hello", "cipher")


def agent(path, folder):
    """Lines of head_dump: flows and exchanges."""
    config, out = os.path.join(folder, "agent.conf"), os.path.join(folder, "chunks")
    with open(config, "w") as file:
        file.write("name = test\n")
    command = [os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, "--read", path, "--keep", "flows", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    heads = sorted(str(head) for head in pathlib.Path(out).glob("*.head"))
    text = subprocess.run([os.path.join(fleet.BIN, "head_dump"), *heads], stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in text.decode(errors="replace").splitlines()]


def name(text):
    return text.lower().rstrip(".")


def plain(text):
    return re.sub(r"[^ -~]|[\\]", "?", text)


def ours(lines):
    """Counter of (kind, what); times apart."""
    found, times = collections.Counter(), collections.defaultdict(list)
    first = {}
    for line in lines:
        if "flow" in line:
            first.setdefault(line["flow"], {}).update(line)
        if "flow" in line and "exchanges" in line:
            found["status", "1xx"] += line.get("status_1xx", 0)
        if line.get("app") == "http" and "exchange" in line:
            if "method" in line:
                found["request", line["method"], line.get("http_host", ""), plain(line.get("path", ""))] += 1
            if "status" in line:
                found["status", line["status"] if line["status"] >= 200 else "1xx"] += line["status"] >= 200
            if "wait" in line:
                times["time", line["status"]].append(line["wait"])
        if line.get("app") == "dns" and "exchange" in line and "duration" in line:
            times["dns", name(line.get("dns_name", "")), line.get("dns_type"), line.get("dns_rcode")].append(line["duration"] - line.get("send", 0))
        if line.get("app") == "tls" and "exchange" in line:
            if "ja4" in line:
                found["hello", line.get("sni", "")] += 1
            if "tls_cipher" in line:
                found["cipher", line["version"], line["tls_cipher"]] += 1
    for flow in first.values():
        if flow.get("app") == "quic" and "ja4" in flow:
            found["hello", flow.get("sni", "")] += 1
    return found, times


def path_of(uri, method):
    if method != "CONNECT":
        uri = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", uri) or "/"
    return plain(re.split(r"[?#]", uri)[0])[:1023]


def host_of(uri, host, method):
    absolute = re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", uri)
    return absolute.group(1) if absolute else uri if method == "CONNECT" else host


def nanoseconds(text):
    whole, _, part = text.partition(".")
    return int(whole) * 10**9 + int((part + "0" * 9)[:9]) if not whole.startswith("-") else -1


def take_http(f, found, times, with_bodies):
    if f["http.request.method"].strip("\t") not in ("", "GET", "HEAD"):
        with_bodies.add(f["tcp.stream"])
    methods, uris, hosts = (f["http." + n].split("\t") if f["http." + n] else [] for n in ("request.method", "request.uri", "host"))
    if len(methods) == len(uris) and (len(hosts) == len(methods) or len(methods) == 1):
        for i, method in enumerate(methods):
            host = hosts[i] if i < len(hosts) else ""
            found["request", method, host_of(uris[i], host, method), path_of(uris[i], method)] += 1
    codes = [int(code) for code in f["http.response.code"].split("\t") if code]
    for code in codes:
        found["status", code if code >= 200 else "1xx"] += 1
    if len(codes) == 1 and codes[0] >= 200 and f["http.time"] and f["tcp.stream"] not in with_bodies:
        times["time", codes[0]].append(nanoseconds(f["http.time"].split("\t")[0]))


def take_dns(f, found, times, types, rcodes):
    if f["dns.time"] and "\t" not in f["dns.time"] and f["dns.flags.response"] in ("1", "True") and "\t" not in f["dns.qry.name"]:
        kind, rcode = int(f["dns.qry.type"] or 0), int(f["dns.flags.rcode"] or 0)
        who = "." if f["dns.qry.name"] == "<Root>" else f["dns.qry.name"]
        times["dns", name(who), types.get(kind, kind), rcodes.get(rcode, rcode)].append(nanoseconds(f["dns.time"]))


def take_tls(f, found, names, told):
    """The first hello of each side: after a HelloRetryRequest there are others."""
    kinds = f["tls.handshake.type"].split("\t")
    stream = f["tcp.stream"], f["udp.stream"]
    kinds = [kind for kind in kinds if (stream, kind) not in told]
    told.update((stream, kind) for kind in kinds)
    if kinds.count("1") == 1:
        found["hello", f["tls.handshake.extensions_server_name"].split("\t")[0].lower()] += 1
    if kinds.count("2") == 1 and "quic" not in f["frame.protocols"]:
        version = (f["tls.handshake.extensions.supported_version"] or f["tls.handshake.version"]).split("\t")[0]
        suite = f["tls.handshake.ciphersuite"].split("\t")[0]
        if version and suite:
            found["cipher", names["versions"].get(int(version, 0), "0x%04x" % int(version, 0)), names["suites"].get(int(suite, 0), int(suite, 0))] += 1


def theirs(path, config, names):
    command = ["tshark", "-r", path, "-Y", FILTER, "-T", "fields", "-E", "separator=\x1f", "-E", "occurrence=a", "-E", "aggregator=\t", "-o",
               "http.desegment_body:FALSE"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, env=dict(os.environ, WIRESHARK_CONFIG_DIR=config))
    found, times = collections.Counter(), collections.defaultdict(list)
    with_bodies, told = set(), set()
    for line in done.stdout.decode(errors="replace").split("\n"):
        values = line.split("\x1f")
        if len(values) != len(FIELDS):
            continue
        f = dict(zip(FIELDS, values))
        protocols = f["frame.protocols"].split(":")
        if "http" in protocols:
            take_http(f, found, times, with_bodies)
        if "dns" in protocols:
            take_dns(f, found, times, names["types"], names["rcodes"])
        if f["tls.handshake.type"] and ("tls" in protocols or "quic" in protocols):
            take_tls(f, found, names, told)
    return found, times


def match_times(have, want, slack):
    """How many times of `want` are not among `have`, each used once."""
    have, missing = sorted(have), 0
    for value in sorted(want):
        near = [x for x in have if -TIME_NS <= value - x <= TIME_NS + slack]
        if near:
            have.remove(min(near, key=lambda x: abs(x - value)))
        else:
            missing += 1
    return missing


def differences(lines, path, config, names):
    """{kind: text} of what differs, and how much was compared."""
    found, times = ours(lines)
    want, want_times = theirs(path, config, names)
    wrong, compared, more = {}, sum(want.values()) + sum(map(len, want_times.values())), sum((found - want).values())
    for key in want:
        if found[key] < want[key]:
            wrong.setdefault(key[0], []).append("%s: %d, tshark %d" % (" ".join(map(str, key[1:])), found[key], want[key]))
    for key, values in want_times.items():
        missing = match_times(times.get(key, []), values, HEAD_NS if key[0] == "time" else 0)
        if missing:
            wrong.setdefault(key[0], []).append("%s: %s, tshark %s" % (" ".join(map(str, key[1:])), times.get(key, []), values))
    return wrong, compared, more


def table(text, which):
    """A table of names in common/app, as numbers to names."""
    body = re.search(r"\b%s\[\] = \{(.*?)NULL\},?\s*\};" % which, text, re.S).group(1)
    return {int(number, 0): word for number, word in re.findall(r"\{(0x[0-9a-fA-F]+|\d+), \"([^\"]+)\"\}", body)}


def read_names():
    folder = pathlib.Path(__file__).resolve().parents[2] / "common/app"
    text = (folder / "names.c").read_text() + (folder / "tls_suites.c").read_text()
    return {"types": table(text, "app_dns_types"), "rcodes": table(text, "app_dns_rcodes"), "versions": table(text, "app_tls_versions"),
            "suites": table(text, "app_tls_suites")}


def ja4_wrong(root, capture, lines):
    """Connections of JA4.tsv whose fingerprint is another one."""
    flows = {}
    for line in lines:
        if "flow" in line and "port.0" in line:
            ends = [(line["addr.%d" % i], line["port.%d" % i]) for i in (0, 1)]
            flows.setdefault(frozenset(ends), set()).add(line.get("ja4"))
    with open(os.path.join(root, "JA4.tsv"), newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["capture"] == capture:
                ends = frozenset([(row["src"], int(row["sport"])), (row["dst"], int(row["dport"]))])
                if row["ja4"] not in flows.get(ends, ()):
                    yield "%s -> %s: %s, not %s" % (row["sport"], row["dport"], flows.get(ends), row["ja4"])


def judge(row, root, config, names):
    with tempfile.TemporaryDirectory(prefix="apps-corpus-") as folder:
        lines = agent(row["file"], folder)
        wrong, compared, more = differences(lines, row["file"], config, names)
        bad = list(ja4_wrong(root, row["path"], lines))
        if bad:
            wrong["ja4"] = bad
        return row["path"], wrong, compared, more


def wanted(row, with_ja4):
    return row["opens"] == "ok" and int(row["bytes"]) <= SIZE_MOST and (HOLDS.search(row["note"]) or row["path"] in with_ja4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--show", type=int, default=3)
    options = parser.parse_args()
    if not shutil.which("tshark"):
        fleet.skip("no tshark")
    root = fleet.corpus()
    with open(os.path.join(root, "JA4.tsv"), newline="") as file:
        with_ja4 = {row["capture"] for row in csv.DictReader(file, delimiter="\t")}
    rows = [row for row in corpus.captures() if wanted(row, with_ja4) and options.only in row["path"]]
    if not ALL and not options.only:
        rows = [row for n, row in enumerate(rows) if n % SOME == 0 or row["path"] in with_ja4]
    exceptions, names = packet_corpus.Exceptions(EXCEPTIONS), read_names()
    compared, more, bad, kinds = 0, 0, 0, collections.Counter()
    with tempfile.TemporaryDirectory() as config, concurrent.futures.ThreadPoolExecutor(os.cpu_count() + 1) as pool:
        for path, wrong, n, n_more in pool.map(lambda row: judge(row, root, config, names), rows):
            compared, more = compared + n, more + n_more
            for kind, texts in sorted(wrong.items()):
                if exceptions.excuse(path, "*", kind):
                    continue
                bad += 1
                kinds[kind] += 1
                for text in texts[:options.show]:
                    print("%s: %s %s" % (path, kind, text[:300]))
    unused = exceptions.unused() if ALL and corpus.SHARE == 1 and not options.only else []
    for exception in unused:
        print("exception not needed:", *exception)
    print("%d captures, %d values compared, %d more seen, %d excused, %d wrong %s" % (len(rows), compared, more, sum(exceptions.used), bad, dict(kinds)))
    return 1 if bad or unused or not compared or more > MORE_MOST * compared else 0


if __name__ == "__main__":
    sys.exit(main())
