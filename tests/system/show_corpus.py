#!/usr/bin/env python3
# timeout: 900
"""What `fleetdump show` says of TCP against tshark, for each segment of all captures of FLEETDUMP_CORPUS: relative
numbers and all of tcp.analysis.*.

The TCP segments of the captures are written into a few pcapng files, which tshark (without what stands above TCP) and
ladder_dump (which see) both read. Connections of several captures with the same ends follow each other there, for tshark
as for us. Exceptions stand in tests/data/show-exceptions.tsv, each with its reason; a line that is not needed fails
too. FLEETDUMP_CORPUS_SHARE=N takes every N-th capture.

    show_corpus.py [--only WORD] [--show N] [--keep DIR]

takes captures with WORD in their path, shows N differences a column, keeps the files.
"""
import collections
import concurrent.futures
import fnmatch
import os
import pathlib
import struct
import subprocess
import sys

import corpus
import packet_corpus
import pcapfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/data/show-exceptions.tsv"
BATCHES = 2  # files, each read by its own tshark

# ICMP errors quote segments, which tshark takes for segments of the connection.
PROTOCOLS = (packet_corpus.PROTOCOLS - {"icmp", "icmpv6"}) | {"mptcp"}
FINDINGS = """reused_ports retransmission fast_retransmission spurious_retransmission out_of_order lost_segment
    ack_lost_segment window_update window_full keep_alive keep_alive_ack duplicate_ack zero_window_probe zero_window
    zero_window_probe_ack""".split()
PREFERENCES = ["ip.defragment:FALSE", "ip.check_checksum:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
               "tcp.check_checksum:FALSE", "vxlan.udp.port:4789,8472"]
FIELDS = """frame.number tcp.seq tcp.ack tcp.nxtseq tcp.len tcp.flags tcp.window_size
    tcp.analysis.duplicate_ack_num tcp.analysis.duplicate_ack_frame tcp.analysis.acks_frame tcp.analysis.ack_rtt
    tcp.analysis.bytes_in_flight tcp.analysis.push_bytes_sent tcp.analysis.rto_frame tcp.analysis.rto
    tcp.analysis.initial_rtt ip.src ip.dst ipv6.src ipv6.dst""".split()
FIELDS += ["tcp.analysis." + name for name in FINDINGS]


class Batch:
    """A pcapng file of packets from many captures; `origin` holds (capture, frame there) for each of its packets."""

    def __init__(self, path):
        self.file, self.path, self.origin, self.links = open(path, "wb"), path, [], {}
        self.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

    def block(self, kind, body):
        body += bytes(-len(body) % 4)
        self.file.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))

    def add(self, capture, frame, link, packet):
        if link not in self.links:
            self.links[link] = len(self.links)
            self.block(1, struct.pack("<HHIHHB3xHH", link, 0, packet_corpus.SNAPLEN_MAX, 9, 1, 9, 0, 0))
        high, low = packet.time_ns >> 32, packet.time_ns & 0xFFFFFFFF
        self.block(6, struct.pack("<5I", self.links[link], high, low, len(packet.data), packet.wire) + packet.data)
        self.origin.append((capture, frame))


TIME_MOST_NS = 1 << 63  # from 2262 on: differences to packets of other captures would not fit


def packets_of(path):
    try:
        interfaces, packets, _ = pcapfile.read(path)
    except (OSError, EOFError, pcapfile.Damaged, subprocess.CalledProcessError):
        return
    for frame, packet in enumerate(packets, 1):
        link = interfaces[packet.interface].link_type
        if link in packet_corpus.LINK_TYPES and packet.wire < 1 << 31 and 0 <= packet.time_ns < TIME_MOST_NS:
            yield frame, link, packet


def write_batches(corpus, folder, share, only, exceptions):
    """Captures with exceptions stand alone: what differs there must not reach others."""
    batches = [Batch(os.path.join(folder, f"batch{i}.pcapng")) for i in range(BATCHES)]
    alone, captures = [], sorted(p for p in corpus.glob("*/captures/**/*") if p.is_file())
    for path in captures[::share]:
        name = str(path.relative_to(corpus))
        if only not in name:
            continue
        batch = min(batches, key=lambda b: b.file.tell())
        if any(fnmatch.fnmatchcase(name, line[0]) for line in exceptions.lines):
            batch = Batch(os.path.join(folder, f"alone{len(alone)}.pcapng"))
            alone.append(batch)
        for frame, link, packet in packets_of(path):
            batch.add(name, frame, link, packet)
    for batch in batches + alone:
        batch.file.close()
    return batches + alone


def read_by_both(batch, config, **tshark):
    with open(batch.path + ".tshark", "w") as out:
        process = packet_corpus.tshark_start(batch, config, out, **tshark)
        said = process.communicate()[1]
    if process.returncode:
        raise AssertionError("tshark failed: " + said.decode(errors="replace"))
    with open(batch.path + ".ours", "w") as out:
        subprocess.run([os.path.join(os.environ["FLEETDUMP_BIN"], "ladder_dump"), batch.path], stdout=out, check=True)


def read(batch, config):
    read_by_both(batch, config, fields=FIELDS, preferences=PREFERENCES, only="tcp")


def nanoseconds(text):
    """Of tshark's "-1.000200000"; 0 if there are none."""
    if not text:
        return 0
    seconds, fraction = text.lstrip("-").split(".")
    return (int(seconds) * 10**9 + int(fraction.ljust(9, "0"))) * (-1 if text[0] == "-" else 1)


def theirs(fields):
    """tshark's view in our columns."""
    def number(name):
        return int(fields[name] or "0", 0)

    view = {"seq": number("tcp.seq"), "ack": number("tcp.ack"), "next": number("tcp.nxtseq"), "length": number("tcp.len"),
            "flags": number("tcp.flags"), "window": number("tcp.window_size")}
    view["findings"] = " ".join(n for n in FINDINGS if fields["tcp.analysis." + n])
    view["duplicate"] = number("tcp.analysis.duplicate_ack_num")
    view["duplicate_of"] = number("tcp.analysis.duplicate_ack_frame")
    view["acks"] = number("tcp.analysis.acks_frame")
    view["acks_after"] = nanoseconds(fields["tcp.analysis.ack_rtt"])
    view["in_flight"] = number("tcp.analysis.bytes_in_flight")
    view["pushed"] = number("tcp.analysis.push_bytes_sent")
    view["rto_of"] = number("tcp.analysis.rto_frame")
    view["rto"] = nanoseconds(fields["tcp.analysis.rto"])
    return view


def same_ends(fields, line):
    """Whether the innermost addresses are ours; tshark does not say whether IPv4 or IPv6 is inside the other."""
    ends = (line["from"], line["to"])
    return any(ends == tuple(fields[f"{ip}.{end}"].split(",")[-1] for end in ("src", "dst")) for ip in ("ip", "ipv6"))


def ours(line):
    view = {name: value if name in ("findings", "from", "to", "words") else int(value) for name, value in line.items()}
    have = set(view["findings"].split())
    view["findings"] = " ".join(n for n in FINDINGS if n in have)
    if view["rto"] == 0:
        view["rto_of"] = 0
    if not view["whole"]:  # tshark shows the numbers as they are, and no length
        view.update(seq=view["raw_seq"], ack=view["raw_ack"], length=0)
    return view


def compare(batch, exceptions, report):
    mine = {}
    with open(batch.path + ".ours") as file:
        columns = file.readline().rstrip("\n").split("\t")
        for line in file:
            values = dict(zip(columns, line.rstrip("\n").split("\t"), strict=True))
            if values["seq"]:
                mine[int(values["frame"])] = values
    count = 0
    with open(batch.path + ".tshark") as file:
        for text in file:
            fields = dict(zip(FIELDS, text.rstrip("\n").split("\t")))
            frame = int(fields["frame.number"])
            capture, number = batch.origin[frame - 1]
            count += 1
            if frame not in mine:
                if not exceptions.excuse(capture, number, "segment"):
                    report["segment"].append((capture, number, "none", text.rstrip()))
                continue
            try:
                other = theirs(fields)
            except ValueError:
                if not exceptions.excuse(capture, number, "several"):
                    report["several"].append((capture, number, "one", text.rstrip()))
                continue
            line = mine.pop(frame)
            view = ours(line)
            if not same_ends(fields, line) and not exceptions.excuse(capture, number, "ends"):
                report["ends"].append((capture, number, line["from"], fields["ip.src"] or fields["ipv6.src"]))
            for column, value in other.items():
                if view[column] != value and not exceptions.excuse(capture, number, column):
                    report[column].append((capture, number, view[column], value))
    for frame in mine:
        capture, number = batch.origin[frame - 1]
        if not exceptions.excuse(capture, number, "segment"):
            report["segment"].append((capture, number, "one", "none"))
    return count


def run(corpus, folder, options):
    share = options.every
    packet_corpus.PROTOCOLS = PROTOCOLS | {n for n in all_protocols() if n.startswith("tcp.options.")}
    config = packet_corpus.tshark_config(folder)
    exceptions, report, count = packet_corpus.Exceptions(EXCEPTIONS), collections.defaultdict(list), 0
    batches = write_batches(corpus, folder, share, options.only, exceptions)
    with concurrent.futures.ThreadPoolExecutor(BATCHES) as pool:
        list(pool.map(lambda batch: read(batch, config), batches))
    for batch in batches:
        count += compare(batch, exceptions, report)
    for column, found in sorted(report.items(), key=lambda item: -len(item[1])):
        print(f"{column}: {len(found)} segments in {len({f[0] for f in found})} captures")
        for capture, frame, have, want in found[: options.show]:
            print(f"    {capture} {frame}: {have}, tshark {want}")
    unused = [line for line in exceptions.unused() if line[1] != "-"] if share == 1 and not options.only else []
    for exception in unused:
        print("exception not needed:", *exception)
    print(f"{count} segments compared, {sum(exceptions.used)} excused")
    return 1 if report or unused or count == 0 else 0


def all_protocols():
    listing = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True).stdout
    return {line.split("\t")[2] for line in listing.splitlines()}


if __name__ == "__main__":
    sys.exit(corpus.main(run))
