#!/usr/bin/env python3
# timeout: 600
"""`fleetdump show` from the capture to the drawing, with an agent and a collector.

Connections of some captures of FLEETDUMP_CORPUS: the JSON says of each packet what tshark says of the same connection
as `pull` gives it, field by field and as its flow graph (-z flow,tcp,network). One connection at two vantages whose
clocks differ. Filters that mean several connections, or none. SVG and HTML are well-formed and need nothing else; text
fits its terminal. Datagrams have ladders, too."""

import fcntl
import html.parser
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree

import fleet
import pcapfile
import show_corpus

CAPTURES = """zeek/captures/tcp__reassembly.pcap zeek/captures/http__206_example_c.pcap zeek/captures/tcp__missing-syn.pcap
    zeek/captures/http__vnd.ms-cab-compressed-multi-conn.pcap ndpi/captures/default__pcap__psiphon3.pcap
    ndpi/captures/default__pcap__tls-appdata.pcap ndpi/captures/default__pcap__hpvirtgrp.pcap
    arkime/captures/wireshark-retrans.pcap zeek/captures/tls__tls13draft16-chrome55.0.2879.0-canary.pcap""".split()
CONNECTIONS = 3  # of each capture at the most
FIELDS = ["tcp.seq", "tcp.ack", "tcp.nxtseq", "tcp.len", "tcp.window_size", "tcp.analysis.duplicate_ack_num",
          "tcp.analysis.duplicate_ack_frame", "tcp.flags.ack"] + ["tcp.analysis." + n for n in show_corpus.FINDINGS]
PREFERENCES = ["-o", "tcp.check_checksum:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE", "-o", "ip.check_checksum:FALSE"]


# --- Against tshark ---------------------------------------------------------------------------------------------------


def tshark(path, *arguments):
    return subprocess.run(["tshark", "-n", "-r", path, *PREFERENCES, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True).stdout


def fields_of(path):
    options = [o for field in FIELDS for o in ("-e", field)]
    for line in tshark(path, "-T", "fields", "-E", "occurrence=f", *options).splitlines():
        f = dict(zip(FIELDS, line.split("\t")))
        view = {"seq": int(f["tcp.seq"]), "next": int(f["tcp.nxtseq"]), "length": int(f["tcp.len"]),
                "window": int(f["tcp.window_size"]),
                "findings": {n for n in show_corpus.FINDINGS if f["tcp.analysis." + n]}}
        if f["tcp.flags.ack"] in ("1", "True"):
            view["ack"] = int(f["tcp.ack"])
        if f["tcp.analysis.duplicate_ack_num"]:
            view["duplicate_ack"] = int(f["tcp.analysis.duplicate_ack_num"])
            view["duplicate_ack_of"] = int(f["tcp.analysis.duplicate_ack_frame"])
        yield view


def graph_of(path):
    """(label, comment, whether to the right) of each packet in tshark's flow graph."""
    lines = tshark(path, "-q", "-z", "flow,tcp,network").splitlines()[2:]
    for label, arrow in zip(lines[::2], lines[1::2]):
        found = re.match(r"\|[\d.]+ *\| +(.*?) *\|? +\|(Seq = .*)$", label)
        assert found, label
        yield found.group(1), found.group(2), "->" in arrow


def label_of(packet):
    """The same from our JSON; tshark writes flags from FIN on, as we do."""
    label = ", ".join(packet["flags"]) or "<None>"
    label += " - Len: %d" % packet["length"] if packet["length"] else ""
    comment = "Seq = %d" % packet["seq"]
    return label[:20], comment + (" Ack = %d" % packet["ack"] if "ack" in packet else "")


def compare(system, flow):
    pulled = system.pull("id " + flow["id"], "--since", "@0", "--vantage", "all", path=system.path("one.pcapng"))
    ladder = system.json("show", flow["id"], "--full")
    packets = ladder["packets"]
    theirs = list(fields_of(pulled))
    assert len(theirs) == len(packets) == ladder["connection"]["packets"], (flow, len(theirs), len(packets))
    for number, (mine, other) in enumerate(zip(packets, theirs), 1):
        assert mine["packet"] == number and mine["seen"][0]["number"] == number, mine
        other["findings"] = sorted(other["findings"])
        mine = {**mine, "findings": sorted(mine["findings"])}
        for name, value in other.items():
            assert mine.get(name) == value, "packet %d of %s: %s %s, tshark %s" % (number, flow, name, mine.get(name), value)
        assert ("duplicate_ack" in mine) == ("duplicate_ack" in other), mine
    first = packets[0]["from"]
    for mine, (label, comment, right) in zip(packets, graph_of(pulled), strict=True):
        assert label_of(mine) == (label, comment), (mine, label, comment)
        assert right == (mine["from"] == first), (mine, label)
    return len(packets)


def against_tshark(system, corpus):
    packets = connections = 0
    for n, name in enumerate(CAPTURES):
        capture = "t%d" % n
        system.read("agent", os.path.join(corpus, name), capture=capture)
        for flow in system.flows("tcp", "--capture", capture, "--limit", str(CONNECTIONS)):
            packets += compare(system, flow)
            connections += 1
    assert connections > 10 and packets > 1000, (connections, packets)
    print("%d packets of %d connections as in tshark" % (packets, connections))


# --- Two vantages -----------------------------------------------------------------------------------------------------

AHEAD_NS, WAY_NS = 5_000_000, 300_000  # the server's clock, and what lies between
LOST = (7, 16)                         # packets that the server's side has not seen
SERVER = bytes([129, 174, 93, 170])


def at_server(path, out):
    """The capture as the server's agent would have made it: one hop further."""
    interfaces, packets, _ = pcapfile.read(path)
    seen = []
    for number, p in enumerate(packets, 1):
        to_server = p.data[30:34] == SERVER
        data = bytearray(p.data)
        data[22] = (data[22] + (-1 if to_server else 1)) & 255
        if number not in LOST:
            seen.append((p.time_ns + AHEAD_NS + (WAY_NS if to_server else -WAY_NS), bytes(data)))
    with open(out, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, interfaces[0].link_type))
        for time_ns, data in sorted(seen):
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(data), len(data)) + data)


def two_vantages(system, corpus):
    path = os.path.join(corpus, "zeek/captures/http__206_example_c.pcap")
    at_server(path, system.path("server.pcap"))
    system.read("web-1", system.path("server.pcap"), capture="both")
    system.read("client-1", path, capture="both")
    ladder = system.json("show", "port 19950", "--capture", "both")
    names = [v["vantage"].split("/")[0] for v in ladder["vantages"]]
    assert names == ["client-1", "web-1"], names
    assert (ladder["vantages"][1]["clock_ahead_ns"], ladder["vantages"][1]["away_ns"]) == (AHEAD_NS, WAY_NS), ladder["vantages"]
    for packet in ladder["packets"]:
        lost = packet["seen"][0]["number"] in LOST
        assert lost == ("not_seen_at" in packet) and lost == ("between_ns" not in packet), packet
        if not lost:
            assert packet["between_ns"] == WAY_NS + (AHEAD_NS if packet["from"] == "client" else -AHEAD_NS), packet
    # an id names a flow of one vantage; the connection is shown from both
    flow = system.flows("port 19950", "--capture", "both", "--on", "web-1")[0]
    assert len(system.json("show", flow["id"], "--capture", "both")["vantages"]) == 2
    assert len(system.json("show", flow["id"])["vantages"]) == 3  # that of the comparison before, too
    assert len(system.json("show", flow["id"][:10], "--on", "web-1")["vantages"]) == 1
    assert len(system.json("show", "port 19950", "--capture", "both", "--vantage", "auto")["vantages"]) == 1
    text = system.run("show", "port 19950", "--capture", "both").stdout
    assert "TIME B BETWEEN" in text and "not seen at B" in text and "segment before it not seen at B" in text, text


# --- Which connection -------------------------------------------------------------------------------------------------


def which_connection(system):
    several = system.run("show", "--capture", "both", check=(2,))
    assert several.stdout.count("\n") == 3 and "129.174.93.170:80" in several.stdout, several.stdout
    assert "client-1/http__206_example_c, web-1/server" in several.stdout, several.stdout
    assert "2 connections match: choose one by its id" in several.stderr, several.stderr
    listed = json.loads(system.run("show", "--capture", "both", "-o", "json", check=(2,)).stdout)
    assert [c["packets"] for c in listed] == [516, 553] and all(len(c["id"]) == 16 for c in listed), listed
    for c in listed:
        assert system.json("show", c["id"], "--capture", "both")["connection"]["packets"] == c["packets"]
    assert system.run("show", "-o", "svg", "--capture", "both", check=(2,)).stdout == ""
    none = system.run("show", "port 1", "--capture", "both", check=(1,))
    assert none.stdout == "" and "no connection matches" in none.stderr, none.stderr
    assert "which connection?" in system.run("show", check=(2,)).stderr
    assert "it is table, json, svg or html" in system.run("show", "7f3a", "-o", "csv", check=(2,)).stderr


# --- Drawings ---------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Counts rows; every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], 0

    def handle_starttag(self, tag, attributes):
        assert not {"src", "href"} & {name for name, _ in attributes}, attributes
        if tag != "meta":
            self.open.append(tag)
        self.rows += tag == "tr"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def on_terminal(system, width, *arguments):
    """What it prints to a terminal so wide."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(system.environment, FLEETDUMP_COLLECTOR=system.address, TERM="xterm", NO_COLOR="")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # progress, if it takes long
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        os.execv(os.path.join(fleet.BIN, "fleetdump"), ["fleetdump", *arguments])
    out = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, out
    return out.decode().replace("\r\n", "\n")


def drawings(system):
    which = ("port 19950", "--capture", "both")
    svg = system.run("show", *which, "-o", "svg").stdout
    assert xml.etree.ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.count("://") == 1
    page, text = Page(), system.run("show", *which, "-o", "html", "--full").stdout
    page.feed(text)
    assert page.open == [] and page.rows == 1 + 516 and "://" not in text, (page.open, page.rows)
    assert system.run("show", *which, "--limit", "3").stdout.endswith("513 packets more (--limit)\n")
    assert len(system.json("show", *which, "--limit", "3")["packets"]) == 3
    for width in (60, 80, 120, 200):
        drawn = on_terminal(system, width, "show", *which)
        assert "\033[" in drawn
        plain = re.sub(r"\033\[[0-9;]*m", "", drawn)
        longest = max(plain.split("\n"), key=len)
        assert len(longest) <= width, longest
        assert "│── SYN ─" in plain, plain[:2000]


# --- Datagrams --------------------------------------------------------------------------------------------------------


def datagrams(system, corpus):
    system.read("agent", os.path.join(corpus, "zeek/captures/dns__dns-binds.pcap"), capture="dns")
    flow = system.flows("udp port 53", "--capture", "dns", "--limit", "1")[0]
    ladder = system.json("show", flow["id"])
    assert ladder["connection"]["proto"] == "udp" and ladder["connection"]["application"] == "dns", ladder
    assert ladder["packets"][0]["said"].startswith("DNS query "), ladder
    assert "seq" not in ladder["packets"][0] and ladder["packets"][0]["findings"] == [], ladder
    text = system.run("show", flow["id"]).stdout
    assert " SEQ " not in text and " LEN" in text and "DNS query " in text, text


# --- What refused it --------------------------------------------------------------------------------------------------


def ip4(source, target, proto, body):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, bytes(source), bytes(target))
    return header + body


def an_icmp_error_is_shown_with_what_it_quotes(system):
    client, server, router = (10, 9, 0, 1), (10, 9, 0, 2), (10, 9, 0, 254)
    query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\3www\3lab\0" + struct.pack(">HH", 1, 1)

    def udp(port):
        return ip4(client, server, 17, struct.pack(">HHHH", port, 53, 8 + len(query), 0) + query)

    def unreachable(code, of):
        return struct.pack(">BBHI", 3, code, 0, 0) + of[:28]

    syn = ip4(client, server, 6, struct.pack(">HHIIBBHHH", 4002, 80, 1, 0, 5 << 4, 2, 1000, 0, 0))
    sent = [udp(4000), ip4(server, client, 1, unreachable(3, udp(4000))), udp(4001), ip4(router, client, 1, unreachable(1, udp(4001))),
            syn, ip4(router, client, 1, unreachable(13, syn)), ip4(server, client, 1, struct.pack(">BBHI", 8, 0, 0, 0))]
    with open(system.path("refused.pcap"), "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n, packet in enumerate(b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + packet for packet in sent):
            file.write(struct.pack("<IIII", 1_700_000_000 + n, 0, len(packet), len(packet)) + packet)
    system.read("web-1", system.path("refused.pcap"), capture="refused")
    for port, why in ((4000, "port unreachable"), (4001, "host unreachable"), (4002, "administratively prohibited")):
        for options in ((), ("--vantage", "auto")):
            first, error = system.json("show", "port %d" % port, "--capture", "refused", *options)["packets"]
            assert first["from"] == "client" and error["from"] == "server", (first, error)
            assert why in error["said"] and "quotes 10.9.0.1 port %d to 10.9.0.2" % port in error["said"], error
        text = system.run("show", "port %d" % port, "--capture", "refused").stdout
        assert " icmp " in text and text.count(" icmp ") == 1, text


def main():
    corpus = fleet.corpus()
    with fleet.Fleet() as system:
        against_tshark(system, corpus)
        two_vantages(system, corpus)
        which_connection(system)
        drawings(system)
        datagrams(system, corpus)
        an_icmp_error_is_shown_with_what_it_quotes(system)


if __name__ == "__main__":
    sys.exit(main())
