#!/usr/bin/env python3
# timeout: 600
"""Our decoder's view of every real packet that we have, against tshark's, and libpcap's where we call a packet plain.

The captures of FLEETDUMP_CORPUS with link types that we decode are written into a few pcapng files, which tshark (with
all protocols above transport switched off) and packet_dump (which see) both read. Community IDs are compared with those
that arkime's tests expect, too. Where something differs, tests/data/packet-exceptions.tsv has to say why. A line there
that is not needed fails too.

    packet_corpus.py [--every N] [--only WORD] [--show N] [--keep DIR]

takes every Nth capture (else FLEETDUMP_CORPUS_SHARE says so), those with WORD in their path, shows N differences a column, keeps the files.
"""
import collections
import fnmatch
import gzip
import json
import os
import pathlib
import struct
import subprocess
import sys

import corpus

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/data/packet-exceptions.tsv"
LINK_TYPES = {0, 1, 9, 12, 14, 50, 101, 104, 108, 113, 219, 228, 229, 276}
SNAPLEN_MAX = 262144
BATCHES = 2  # files, each read by its own tshark

# What tshark is to dissect: nothing above transport, no tunnel that we do not look through.
PROTOCOLS = set(
    """ah arp chdlc communityid dccp eth ethertype frame geneve gre hip icmp icmpv6 ieee8021ad ip ipv6 ipv6.dstopts
    ipv6.fraghdr ipv6.hopopts ipv6.routing ipv6.routing.type.crh ipv6.routing.type.mipv6 ipv6.routing.type.rt0
    ipv6.routing.type.srh llc loop mipv6 mpls null ppp pppoe pppoes pwethcw pwethheuristic pwethnocw raw sctp shim6 sll
    tcp udp udplite vlan vxlan""".split()
)
PREFERENCES = [
    "ip.defragment:FALSE",
    "ip.check_checksum:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.check_checksum:FALSE",
    "vxlan.udp.port:4789,8472",
]
FIELDS = """frame.number frame.protocols eth.src vlan.id ieee8021ad.id mpls.label ip.src ip.dst ip.proto ip.frag_offset
    ip.flags.mf ip.id ip.ttl ip.len ipv6.src ipv6.dst ipv6.nxt ipv6.plen ipv6.hlim ipv6.fraghdr.offset ipv6.fraghdr.more
    ipv6.fraghdr.ident arp.src.proto_ipv4 arp.dst.proto_ipv4 tcp.srcport tcp.dstport tcp.seq_raw tcp.ack_raw tcp.flags
    tcp.len tcp.window_size_value udp.srcport udp.dstport udp.length sctp.srcport sctp.dstport dccp.srcport dccp.dstport
    icmp.type icmp.code icmpv6.type icmpv6.code gre.key vxlan.vni geneve.vni communityid""".split()

# --- Reading captures, writing batches --------------------------------------------------------------------------------


def read_pcap(data):
    """Yields (link type, bytes, length on the wire)."""
    order = "<" if data[0] in (0xD4, 0x4D, 0x34) else ">"
    magic, link = struct.unpack_from(order + "I", data)[0], struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    header = 24 if magic == 0xA1B2CD34 else 16
    at = 24
    while at + header <= len(data):
        captured, wire = struct.unpack_from(order + "II", data, at + 8)
        at += header
        if captured > SNAPLEN_MAX or at + captured > len(data):
            return
        yield link, data[at : at + captured], wire
        at += captured


def read_pcapng(data):
    order, links, at = "<", [], 0
    while at + 12 <= len(data):
        kind = struct.unpack_from(order + "I", data, at)[0]
        if kind == 0x0A0D0D0A:
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        length = struct.unpack_from(order + "I", data, at + 4)[0]
        body = at + 8
        if length < 12 or length % 4 or at + length > len(data):
            return
        if kind == 1:
            links.append(struct.unpack_from(order + "HHI", data, body)[::2])
        elif kind == 6 and length >= 32:
            interface, _, _, captured, wire = struct.unpack_from(order + "5I", data, body)
            if interface >= len(links) or captured > length - 32:
                return
            yield links[interface][0], data[body + 20 : body + 20 + captured], wire
        elif kind == 3 and links:
            wire = struct.unpack_from(order + "I", data, body)[0]
            captured = min(wire, length - 16, links[0][1] or SNAPLEN_MAX)
            yield links[0][0], data[body + 4 : body + 4 + captured], wire
        at += length


def read_capture(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return []
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(data)
    magics = (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
    if len(data) >= 24 and any(struct.unpack_from(o + "I", data)[0] in magics for o in "<>"):
        return read_pcap(data)
    return []


class Batch:
    """A pcapng file of packets from many captures; `origin` holds (capture, frame there) for each of its packets."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.path, self.origin, self.links = path, [], {}
        self.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

    def block(self, kind, body):
        body += bytes(-len(body) % 4)
        self.file.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))

    def add(self, capture, frame, link, data, wire):
        if link not in self.links:
            self.links[link] = len(self.links)
            self.block(1, struct.pack("<HHI", link, 0, SNAPLEN_MAX))
        wire = max(wire, len(data))
        self.block(6, struct.pack("<5I", self.links[link], 0, len(self.origin), len(data), wire) + data)
        self.origin.append((capture, frame))


def write_batches(corpus, folder, every, only):
    batches = [Batch(os.path.join(folder, f"batch{i}.pcapng")) for i in range(BATCHES)]
    captures = sorted(p for p in corpus.glob("*/captures/**/*") if p.is_file())
    used = 0
    for path in captures[::every]:
        name = str(path.relative_to(corpus))
        if only not in name:
            continue
        batch = min(batches, key=lambda b: b.file.tell())
        before = len(batch.origin)
        for frame, (link, data, wire) in enumerate(read_capture(path), 1):
            if link in LINK_TYPES and wire < 1 << 31:
                batch.add(name, frame, link, data, wire)
        used += len(batch.origin) > before
    for batch in batches:
        batch.file.close()
    return batches, used


# --- What tshark sees -------------------------------------------------------------------------------------------------


def tshark_start(batch, config, out, fields=None, preferences=None, only="", aggregator=","):
    """tshark, which writes the fields of packets (that match `only`) to `out`; those of this test, unless others are named."""
    arguments = ["tshark", "-n", "-r", batch.path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=" + aggregator]
    arguments += ["-Y", only] if only else []
    for preference in preferences or PREFERENCES:
        arguments += ["-o", preference]
    for field in fields or FIELDS:
        arguments += ["-e", field]
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": config}
    return subprocess.Popen(arguments, stdout=out, stderr=subprocess.PIPE, env=environment)


def tshark_config(folder):
    config = os.path.join(folder, "wireshark")
    os.makedirs(config, exist_ok=True)
    listing = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True).stdout
    names = {line.split("\t")[2] for line in listing.splitlines()}
    missing = PROTOCOLS - names
    if missing:
        sys.exit(f"tshark does not know: {missing}")
    pathlib.Path(config, "disabled_protos").write_text("".join(n + "\n" for n in sorted(names - PROTOCOLS)))
    pathlib.Path(config, "enabled_protos").write_text("communityid\n")
    return config


class Fields:
    """One line of tshark's, each field a list that is used up from the front as the layers go by."""

    def __init__(self, line):
        self.values = {n: v.split(",") if v else [] for n, v in zip(FIELDS, line.rstrip("\n").split("\t"))}

    def take(self, name):
        values = self.values[name]
        return values.pop(0) if values else None

    def number(self, name):
        value = self.take(name)
        return None if value is None else int(value, 0) if value not in ("True", "False") else int(value == "True")


def net_layer(fields, version):
    """One IP header of tshark's, or None if it did not get so far."""
    if version == 4:
        net = dict(family=4, src=fields.take("ip.src"), dst=fields.take("ip.dst"), proto=fields.number("ip.proto"))
        offset, more = fields.number("ip.frag_offset"), fields.number("ip.flags.mf")
        net.update(id=fields.number("ip.id"), hop_limit=fields.number("ip.ttl"), length=fields.number("ip.len"))
    else:
        net = dict(family=6, src=fields.take("ipv6.src"), dst=fields.take("ipv6.dst"), proto=fields.number("ipv6.nxt"))
        length = fields.number("ipv6.plen")
        net.update(hop_limit=fields.number("ipv6.hlim"), length=None if length is None else length + 40)
        offset = more = None
    net["fragment"] = 2 if offset else 1 if more else 0
    return net if net["src"] and net["dst"] else None


PORTED = {"tcp": 6, "udp": 17, "udplite": 136, "sctp": 132, "dccp": 33}


def tshark_view(line):
    """The innermost packet and the one that it quotes, as dictionaries of what tshark knows."""
    fields = Fields(line)
    view = dict(nets=[], quoted=None, tcp=None, icmp=None, ports=None, udp_length=None)
    view["protocols"] = fields.take("frame.protocols")
    view["vlans"] = []
    view["mpls"] = len(fields.values["mpls.label"])
    view["mac"] = fields.take("eth.src")
    view["arp"] = (fields.take("arp.src.proto_ipv4"), fields.take("arp.dst.proto_ipv4"))
    view["community_id"] = fields.take("communityid")
    view["tunnel_id"] = None
    quoting = False
    for layer in (view["protocols"] or "").split(":"):
        if layer in ("ip", "ipv6"):
            net = net_layer(fields, 4 if layer == "ip" else 6)
            if quoting and view["quoted"] is None:
                view["quoted"] = net
            elif not quoting and net:
                view["nets"].append(net)
                view.update(tcp=None, icmp=None, ports=None, udp_length=None)
        elif layer == "ipv6.fraghdr" and not quoting and view["nets"]:
            net = view["nets"][-1]
            offset, more = fields.number("ipv6.fraghdr.offset"), fields.number("ipv6.fraghdr.more")
            net.update(fragment=2 if offset else 1 if more else 0, id=fields.number("ipv6.fraghdr.ident"))
        elif layer in PORTED:
            name = "udp" if layer == "udplite" else layer
            ports = (fields.number(name + ".srcport"), fields.number(name + ".dstport"))
            tcp = length = None
            if layer == "tcp":
                names = ("tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len")
                tcp = dict(zip(("seq", "ack", "flags", "window", "length"), map(fields.number, names)))
            elif name == "udp":
                length = fields.number("udp.length")
            if quoting and view["quoted"]:
                view["quoted"].setdefault("ports", ports)
            else:
                view.update(ports=ports, tcp=tcp, udp_length=length, transport=PORTED[layer])
        elif layer in ("icmp", "icmpv6"):
            if not quoting:
                view["icmp"] = (fields.number(layer + ".type"), fields.number(layer + ".code"))
            quoting = True
        elif layer in ("vlan", "ieee8021ad"):
            view["vlans"].append(fields.number(layer + ".id"))
        elif layer in ("gre", "vxlan", "geneve"):
            view["tunnel_id"] = fields.number(layer + (".key" if layer == "gre" else ".vni"))
    return view


# --- Comparison -------------------------------------------------------------------------------------------------------


def differences(ours, theirs):
    """Yields (column, ours, theirs)."""

    def differ(column, mine, other):
        if str(mine) != str(other):
            yield column, mine, other

    if ours["libpcap"]:
        yield "libpcap", ours["libpcap"], "plain"
    net = theirs["nets"][-1] if theirs["nets"] else None
    if theirs["arp"][0] and ours["ethertype"] in ("2054", "32821"):
        yield from differ("addresses", (ours["src"], ours["dst"]), theirs["arp"])
        return
    if not net:
        if ours["ethertype"] in ("2048", "34525") and ours["family"] in "46":
            yield "family", ours["family"], 0
        return
    if ours["family"] not in "46" or ours["ethertype"] not in ("2048", "34525"):
        yield "family", ours["family"], net["family"]
        return
    if theirs["mac"] and theirs["protocols"].startswith("eth"):
        yield from differ("mac", ours["mac0"], theirs["mac"])
    yield from differ("vlans", [int(v) for v in (ours["vlan0"], ours["vlan1"]) if v != "65535"], theirs["vlans"][:2])
    yield from differ("mpls", ours["mpls"], theirs["mpls"])
    yield from differ("addresses", (ours["src"], ours["dst"]), (net["src"], net["dst"]))
    yield from differ("fragment", ours["fragment"], net["fragment"])
    if ours["fragment"] != "0" or net["family"] == 4:
        yield from differ("id", ours["id"], net.get("id"))
    yield from differ("hop_limit", ours["hop_limit"], net["hop_limit"])
    if net["family"] == 4 and "ah" not in theirs["protocols"].split(":"):
        yield from differ("proto", ours["proto"], net["proto"])
    if len(theirs["nets"]) > 1:
        outer = theirs["nets"][0]
        yield from differ("outer", (ours["outer.src"], ours["outer.dst"]), (outer["src"], outer["dst"]))
    else:
        yield from differ("outer", ours["outer.family"], 0)
    if theirs["tunnel_id"] is not None and ours["tunnel"] != "none":
        yield from differ("tunnel_id", ours["tunnel_id"], theirs["tunnel_id"])
    ports = theirs["ports"] or (None, None)
    if theirs["ports"] or ours["end"] == "ok":  # tshark shows no ports of a header that is cut
        yield from differ("ports", tuple(None if ours[c] == "-" else int(ours[c]) for c in ("sport", "dport")), ports)
    if theirs["ports"]:
        yield from differ("proto", ours["proto"], theirs["transport"])
    tcp = theirs["tcp"]
    if tcp and ours["has_tcp"] == "1":
        for name in ("seq", "ack", "flags", "window"):
            mine = int(ours[name])
            yield from differ("tcp." + name, mine, (tcp[name] or 0) & 0xFF if name == "flags" else tcp[name])
        if tcp["length"] is not None:  # not in fragments
            yield from differ("tcp.length", ours["payload_length"], tcp["length"])
    elif tcp and ours["end"] == "ok":
        yield "tcp", "-", tcp
    if theirs["icmp"] and ours["end"] == "ok":
        yield from differ("icmp", (ours["icmp_type"], ours["icmp_code"]), tuple(map(str, theirs["icmp"])))
    if theirs["udp_length"] and ours["fragment"] == "0" and ours["end"] == "ok":
        if int(ours["payload_offset"]) + int(ours["payload_length"]) != int(ours["wire"]):  # else the frame ends first
            yield from differ("udp.length", int(ours["payload_length"]) + 8, theirs["udp_length"])
    quoted = theirs["quoted"]
    if quoted:
        yield from differ("quoted", (ours["quoted.src"], ours["quoted.dst"]), (quoted["src"], quoted["dst"]))
        mine = tuple(None if ours[c] == "-" else int(ours[c]) for c in ("quoted.sport", "quoted.dport"))
        yield from differ("quoted.ports", mine, quoted.get("ports", (None, None)))
    else:
        yield from differ("quoted", ours["quoted.family"], 0)
    # tshark has ids for later fragments too, and without ports takes the protocol from the first IP header.
    comparable = theirs["ports"] or theirs["icmp"] or len(theirs["nets"]) == 1
    if theirs["community_id"] and ours["end"] == "ok" and ours["fragment"] != "2" and comparable:
        yield from differ("community_id", ours["community_id"], theirs["community_id"])


class Exceptions:
    """The lines of the exceptions' file, and how often each was used."""

    def __init__(self, path):
        self.lines = [line.split("\t") for line in path.read_text().splitlines() if line and line[0] != "#"]
        self.used = [0] * len(self.lines)

    def excuse(self, capture, frame, column):
        for i, (pattern, frames, columns, _) in enumerate(self.lines):
            if frames in ("*", str(frame)) and columns in ("*", column) and fnmatch.fnmatchcase(capture, pattern):
                self.used[i] += 1
                return True
        return False

    def unused(self):
        return [line[:3] for line, used in zip(self.lines, self.used) if not used]


def arkime_ids(corpus, seen, exceptions, report):
    """Compares the Community IDs seen in each capture with those of arkime's sessions; returns how many those are."""
    count = 0
    for line in (corpus / "ORACLES.tsv").read_text().splitlines():
        capture, oracle, _, kind, _ = line.split("\t")
        if "communityId" not in kind or capture not in seen:
            continue
        sessions = json.loads((corpus / oracle).read_text())["sessions3"]
        expected = {session["body"].get("network", {}).get("community_id") for session in sessions} - {None}
        count += len(expected)
        for missing in sorted(expected - seen[capture]):
            if not exceptions.excuse(capture, "-", "arkime"):
                report["arkime"].append((capture, "-", "no such flow", missing, "-", "-"))
    return count


def compare(batch, dump, tshark, exceptions, report, seen):
    with open(dump) as mine, open(tshark) as others:
        columns = mine.readline().rstrip("\n").split("\t")
        packets = 0
        for (capture, frame), line, other in zip(batch.origin, mine, others, strict=True):
            ours = dict(zip(columns, line.rstrip("\n").split("\t"), strict=True))
            packets += 1
            seen[capture].add(ours["community_id"])
            for column, have, want in differences(ours, tshark_view(other)):
                if not exceptions.excuse(capture, frame, column):
                    report[column].append((capture, frame, have, want, other.split("\t")[1], ours["end"]))
    return packets


def run(corpus, folder, options):
    program = os.path.join(os.environ["FLEETDUMP_BIN"], "packet_dump")
    config = tshark_config(folder)
    batches, used = write_batches(corpus, folder, options.every, options.only)
    seen = collections.defaultdict(set)
    exceptions, report, packets = Exceptions(EXCEPTIONS), collections.defaultdict(list), 0
    processes = []
    for batch in batches:
        with open(batch.path + ".tshark", "w") as out:
            processes.append((batch, tshark_start(batch, config, out)))
    for batch, process in processes:
        complaint = process.communicate()[1].decode()
        if process.returncode:
            sys.exit(f"tshark failed: {complaint}")
        with open(batch.path + ".ours", "w") as out:
            subprocess.run([program, batch.path], stdout=out, check=True)
        packets += compare(batch, batch.path + ".ours", batch.path + ".tshark", exceptions, report, seen)
    ids = arkime_ids(corpus, seen, exceptions, report)
    for column, found in sorted(report.items(), key=lambda item: -len(item[1])):
        print(f"{column}: {len(found)} packets in {len({f[0] for f in found})} captures")
        for capture, frame, have, want, protocols, end in found[: options.show]:
            print(f"    {capture} {frame} ({end}; {protocols}): {have}, tshark {want}")
    unused = exceptions.unused() if options.every == 1 and not options.only else []
    for exception in unused:
        print("exception not needed:", *exception)
    print(f"{packets} packets of {used} captures, {ids} flows of arkime's, {sum(exceptions.used)} excused")
    return 1 if report or unused or packets == 0 else 0


if __name__ == "__main__":
    sys.exit(corpus.main(run))
