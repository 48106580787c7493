#!/usr/bin/env python3
# timeout: 900
"""What `fleetdump show` says beside a packet against tshark, for all captures of FLEETDUMP_CORPUS: request and status
lines of HTTP, questions, answers and codes of DNS, hellos and alerts of TLS.

As in show_corpus.py the packets of all captures go into a few pcapng files, which tshark and ladder_dump both read. What
tshark's fields hold is put into our words, and has to be there, beside the same packet. Exceptions stand in
tests/data/said-exceptions.tsv, each with its reason. FLEETDUMP_CORPUS_SHARE=N takes every N-th capture.
"""
import collections
import concurrent.futures
import subprocess
import sys

import corpus
import packet_corpus
import show_corpus

EXCEPTIONS = show_corpus.ROOT / "tests/data/said-exceptions.tsv"
PROTOCOLS = show_corpus.PROTOCOLS | {"tls", "dns", "mdns", "llmnr", "http", "data", "x509ce", "x509af", "pkix1explicit"}
PREFERENCES = ["http.desegment_headers:FALSE", "http.desegment_body:FALSE", "http.decompress_body:FALSE",
               "http.dechunk_body:FALSE", "vxlan.udp.port:4789,8472", "ip.defragment:FALSE", "ipv6.defragment:FALSE",
               "tcp.check_checksum:FALSE", "udp.check_checksum:FALSE", "ip.check_checksum:FALSE"]
FIELDS = """frame.number tcp.analysis.retransmission tcp.port udp.port
    http.request.method http.request.uri http.request.version http.response.version http.response.code
    http.response.phrase
    dns.flags.response dns.flags.opcode dns.flags.rcode dns.qry.name dns.qry.type dns.a dns.aaaa dns.count.answers
    dns.count.queries
    tls.handshake.type tls.handshake.version tls.handshake.extensions.supported_version
    tls.handshake.extensions_server_name tls.handshake.extensions_alpn_str tls.handshake.ciphersuite
    tls.alert_message.level tls.alert_message.desc""".split()

VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}
TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR",
         43: "DS", 46: "RRSIG", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 251: "IXFR", 252: "AXFR", 255: "ANY"}
RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
SEPARATOR = "\x1f"


def suites():
    listing = subprocess.run(["tshark", "-G", "values"], capture_output=True, text=True, check=True).stdout
    rows = (line.split("\t") for line in listing.splitlines())
    return {int(r[2], 0): r[3] for r in rows if r[0] == "V" and r[1] == "tls.handshake.ciphersuite"}


def read(batch, config):
    show_corpus.read_by_both(batch, config, fields=FIELDS, preferences=PREFERENCES, aggregator=SEPARATOR,
                             only="http or dns or mdns or llmnr or tls.handshake.type or tls.alert_message")


# --- What tshark has, in our words ------------------------------------------------------------------------------------


def http(f):
    if f["http.request.method"] and f["http.request.uri"] and f["http.request.version"]:
        yield "http", " ".join((f["http.request.method"][0], f["http.request.uri"][0], f["http.request.version"][0]))
    elif f["http.response.code"] and f["http.response.version"]:
        line = [f["http.response.version"][0], f["http.response.code"][0].zfill(3)] + f["http.response.phrase"][:1]
        yield "http", " ".join(line)


def dns(f):
    if not {"53", "5353", "5355"} & set(f["tcp.port"] + f["udp.port"]):
        return
    if not f["dns.flags.response"] or not f["dns.qry.name"] or f["dns.flags.opcode"][0] != "0":
        return
    kind = int(f["dns.qry.type"][0])
    name = "." if f["dns.qry.name"][0] == "<Root>" else f["dns.qry.name"][0]
    response = f["dns.flags.response"][0] in ("1", "True")
    text = "DNS %s %s %s" % ("answer" if response else "query", TYPES.get(kind, ""), name)
    if kind in TYPES:
        yield "dns", text
    if response and int(f["dns.flags.rcode"][0]) in RCODES:
        yield "dns.rcode", ": " + RCODES[int(f["dns.flags.rcode"][0])]
    if response and kind in (1, 28) and int(f["dns.count.answers"][0]) == 1:
        for address in (f["dns.a"] if kind == 1 else f["dns.aaaa"])[:1]:
            yield "dns.answer", ": " + address


def hello(f, kind, names):
    handshakes = [int(t) for t in f["tls.handshake.type"]]
    if handshakes.count(kind) != 1 or not f["tls.handshake.version"]:
        return
    at = [i for i, t in enumerate(t for t in handshakes if t in (1, 2)) if t == kind]
    version = int(f["tls.handshake.version"][at[0] if len(f["tls.handshake.version"]) > at[0] else 0], 0)
    offered = [int(v, 0) for v in f["tls.handshake.extensions.supported_version"]]
    offered = [v for v in offered if v & 0x0F0F != 0x0A0A]
    version = max(offered) if offered else version
    text = "ClientHello" if kind == 1 else "ServerHello"
    if kind == 1 and f["tls.handshake.extensions_server_name"]:
        text += " for " + f["tls.handshake.extensions_server_name"][0]
    draft = "TLS 1.3 (draft %d)" % (version & 0xFF) if version >> 8 == 0x7F else "version 0x%04x" % version
    text += ", " + VERSIONS.get(version, draft)
    if kind == 2 and f["tls.handshake.ciphersuite"]:
        text += ", " + names.get(int(f["tls.handshake.ciphersuite"][-1], 0), "?")
    if f["tls.handshake.extensions_alpn_str"]:
        text += ", ALPN " + ",".join(f["tls.handshake.extensions_alpn_str"][:4])
    yield "tls", text


def alert(f):
    for level in f["tls.alert_message.level"]:
        yield "alert", "fatal alert" if level == "2" else "warning alert"


def expected(f, names):
    yield from http(f)
    yield from dns(f)
    yield from hello(f, 1, names)
    yield from hello(f, 2, names)
    yield from alert(f)


# --- Comparison -------------------------------------------------------------------------------------------------------


def printable(text):
    return "".join(c if " " <= c < "\x7f" else "".join("\\x%02x" % b for b in c.encode("utf-8", "surrogateescape")) for c in text)


def compare(batch, names, exceptions, report):
    with open(batch.path + ".ours") as file:
        columns = file.readline().rstrip("\n").split("\t")
        ours = [line.rstrip("\n").split("\t")[columns.index("words")] for line in file]
    count = collections.Counter()
    with open(batch.path + ".tshark", errors="surrogateescape") as file:
        for line in file:
            values = line.rstrip("\n").split("\t")
            fields = {n: v.split(SEPARATOR) if v else [] for n, v in zip(FIELDS, values)}
            frame = int(fields["frame.number"][0])
            if fields["tcp.analysis.retransmission"]:
                continue  # not said again
            for column, text in expected(fields, names):
                count[column] += 1
                words = ours[frame - 1].replace("HelloRetryRequest", "ServerHello")
                text = printable(text)
                if text in words or (words.endswith("...") and text.startswith(words[:-3].split("; ")[-1])):
                    continue
                capture, number = batch.origin[frame - 1]
                if not exceptions.excuse(capture, number, column):
                    report[column].append((capture, number, words, text))
    return count


def run(corpus, folder, options):
    share = options.every
    names = suites()
    packet_corpus.PROTOCOLS = PROTOCOLS | {n for n in show_corpus.all_protocols() if n.startswith("tcp.options.")}
    config = packet_corpus.tshark_config(folder)
    exceptions, report, count = packet_corpus.Exceptions(EXCEPTIONS), collections.defaultdict(list), collections.Counter()
    batches = show_corpus.write_batches(corpus, folder, share, options.only, exceptions)
    with concurrent.futures.ThreadPoolExecutor(show_corpus.BATCHES) as pool:
        list(pool.map(lambda batch: read(batch, config), batches))
    for batch in batches:
        count += compare(batch, names, exceptions, report)
    for column, found in sorted(report.items(), key=lambda item: -len(item[1])):
        print(f"{column}: {len(found)} packets in {len({f[0] for f in found})} captures")
        for capture, frame, have, want in found[: options.show]:
            print(f"    {capture} {frame}: '{have}', tshark '{want}'")
    unused = exceptions.unused() if share == 1 and not options.only else []
    for exception in unused:
        print("exception not needed:", *exception)
    print("compared:", ", ".join(f"{n} {c}" for c, n in sorted(count.items())), f"; {sum(exceptions.used)} excused")
    return 1 if report or unused or not count else 0


if __name__ == "__main__":
    sys.exit(corpus.main(run))
