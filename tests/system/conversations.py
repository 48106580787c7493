"""Conversations of captures: what tshark counts between two ends, and what `fleetdump flows` says, both grouped by their ends, since
idle timeouts split flows and tshark does not. Not a test itself.

Ends are addresses and ports of the innermost headers; ICMP has Community IDs in the ports' place, ARP its protocol addresses. What has
no address is one group. Later fragments have no ports: they count between addresses alone.
"""

import collections
import json
import os

import corpus
import packet_corpus
import pcapfile

BATCHES = 2  # files, each read by its own tshark
PORTED = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
ICMP = ("icmp", "icmp6")
OTHER = ("no address",)
ARP = ("0x0806", "0x8035")  # and RARP

# Columns of packet-exceptions.tsv that make flows other than tshark's, too.
COLUMNS = ("*", "family", "addresses", "proto", "ports", "fragment", "community_id")


class Talk:
    """Packets and bytes by sender, and the Community IDs seen."""

    def __init__(self):
        self.packets, self.bytes, self.ids = collections.Counter(), collections.Counter(), set()

    def add(self, sender, packets, size):
        if packets:
            self.packets[sender] += packets
            self.bytes[sender] += size

    def differs(self, other, sizes):
        """What is another in ours (self) than in tshark's (other), or None."""
        if self.packets != other.packets:
            return "packets %s, tshark %s" % (dict(self.packets), dict(other.packets))
        if sizes and self.bytes != other.bytes:
            return "bytes %s, tshark %s" % (dict(self.bytes), dict(other.bytes))
        if other.ids and self.ids != other.ids:
            return "community ids %s, tshark %s" % (self.ids, other.ids)
        return None


class Talks:
    """All of one capture: `between` addresses alone, and by `ends`."""

    def __init__(self):
        self.between, self.ends = collections.defaultdict(Talk), collections.defaultdict(Talk)
        self.fragmented = set()  # pairs of addresses with later fragments

    def add(self, a, b, kind, packets, size, later=0, ports=(None, None), community_id=None):
        """Packets from a to b, of which `later` are later fragments; `kind` and `ports` tell conversations between them apart."""
        pair = tuple(sorted((a, b)))
        self.between[pair].add(a, packets, size)
        if later:
            self.fragmented.add(pair)
        if packets > later:
            sender, receiver = (a, ports[0]), (b, ports[1])
            talk = self.ends[(*kind, *sorted((sender, receiver), key=str))]
            talk.add(sender, packets - later, size)
            if community_id:
                talk.ids.add(community_id)

    def differences(self, other):
        """Yields (ends, what) where ours (self) are other than tshark's."""
        for pair in sorted(set(self.between) | set(other.between), key=str):
            what = self.between[pair].differs(other.between[pair], True)
            if what:
                yield pair, what
        for key in sorted(set(self.ends) | set(other.ends), key=str):
            pair = tuple(sorted(address for address, _ in key[-2:]))
            what = self.ends[key].differs(other.ends[key], pair not in self.fragmented | other.fragmented)
            if what:
                yield key, what


def exceptions():
    """Captures whose packets tshark sees otherwise, with the reasons in packet-exceptions.tsv."""
    return [path for path, frames, column, _ in corpus.lines("packet-exceptions.tsv") if frames != "-" and column in COLUMNS]


# --- tshark's ---------------------------------------------------------------------------------------------------------


def add_view(talks, view, size):
    """One packet as packet_corpus.tshark_view sees it."""
    net = view["nets"][-1] if view["nets"] else None
    if view["arp"][0]:
        talks.add(*view["arp"], ("arp",), 1, size)
    elif not net:
        talks.add("", "", OTHER, 1, size)
    elif net["fragment"] == 2:
        talks.add(net["src"], net["dst"], (), 1, size, later=1)
    elif view["ports"]:
        talks.add(net["src"], net["dst"], (PORTED[view["transport"]],), 1, size, ports=view["ports"], community_id=view["community_id"])
    elif view["icmp"]:
        talks.add(net["src"], net["dst"], ("icmp", view["community_id"]), 1, size)
    elif net["family"] == 4 and net["proto"] in PORTED:  # a header that is not there
        talks.add(net["src"], net["dst"], (PORTED[net["proto"]],), 1, size)
    else:
        talks.add(net["src"], net["dst"], ("other",), 1, size)


class Tshark:
    """Reads all captures while the test does something else."""

    def __init__(self, rows, folder):
        self.batches = [packet_corpus.Batch(os.path.join(folder, "batch%d.pcapng" % i)) for i in range(BATCHES)]
        self.sizes = [[] for _ in self.batches]
        for row in rows:
            self.write(row)
        config, self.running = packet_corpus.tshark_config(folder), []
        for batch in self.batches:
            batch.file.close()
            with open(batch.path + ".fields", "w") as out:
                self.running.append(packet_corpus.tshark_start(batch, config, out))

    def write(self, row):
        capture = pcapfile.open_capture(row["file"])
        i = min(range(BATCHES), key=lambda i: self.batches[i].file.tell())
        for frame, p in enumerate(capture.packets, 1):
            link = capture.interfaces[p.interface].link_type
            if link in packet_corpus.LINK_TYPES and p.wire < 1 << 31:
                self.batches[i].add(row["path"], frame, link, p.data, p.wire)
                self.sizes[i].append(p.wire)

    def talks(self):
        """Capture -> Talks."""
        found = collections.defaultdict(Talks)
        for batch, sizes, process in zip(self.batches, self.sizes, self.running):
            said = process.communicate()[1].decode(errors="replace")
            assert process.returncode == 0, "tshark: " + said
            with open(batch.path + ".fields") as lines:
                for (capture, _), size, line in zip(batch.origin, sizes, lines, strict=True):
                    add_view(found[capture], packet_corpus.tshark_view(line), size)
        return found


# --- Ours -------------------------------------------------------------------------------------------------------------


def kind_of(flow):
    if flow["proto"] in PORTED.values():
        return (flow["proto"],)
    if flow["proto"] in ICMP:
        return ("icmp", flow.get("community_id"))
    return ("arp",) if flow["ethertype"] in ARP else ("other",)


def add_flow(talks, flow):
    """One line of `fleetdump flows -o ndjson`."""
    if "orig_addr" not in flow or flow["family"] not in ("ip4", "ip6"):
        talks.add("", "", OTHER, flow["packets"], flow["bytes"])
        return
    kind = kind_of(flow)
    ported = kind[0] in PORTED.values()
    for side, other in (("orig", "resp"), ("resp", "orig")):
        talks.add(
            flow[side + "_addr"], flow[other + "_addr"], kind, flow[side + "_packets"], flow[side + "_bytes"], flow.get(side + "_later_fragments", 0),
            (flow.get(side + "_port"), flow.get(other + "_port")) if ported else (None, None), flow.get("community_id") if ported else None)


def of_flows(text):
    """Agent -> Talks."""
    found = collections.defaultdict(Talks)
    for flow in map(json.loads, text.splitlines()):
        add_flow(found[flow["agent"]], flow)
    return found
