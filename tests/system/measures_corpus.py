#!/usr/bin/env python3
# timeout: 900
"""What flow rows say of TCP (retransmissions, acks, windows, round trips, handshakes, waits) against tshark, per connection and direction, on
all captures of FLEETDUMP_CORPUS.

The TCP segments of the captures stand in a few files (as in show_corpus.py), which tshark and `fleetdump-agent --read` both read. tshark says what
each segment is; here that is counted, and round trips are timed by Karn's rule as agent/capture/tcp_measures.h says it. Compared are the connections
whose ends are those of one capture alone and that are one flow for us: tshark knows no timeouts. Exceptions stand in
tests/data/measures-exceptions.tsv, each with its reason. FLEETDUMP_CORPUS_SHARE=N takes every N-th capture.

    measures_corpus.py [--only WORD] [--show N] [--keep DIR]
"""
import collections
import json
import os
import pathlib
import subprocess
import sys

import corpus
import fleet
import packet_corpus
import show_corpus

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/data/measures-exceptions.tsv"
COUNTED = {"retransmission": "retrans", "spurious_retransmission": "spurious", "fast_retransmission": "fast", "out_of_order": "out_of_order",
           "duplicate_ack": "dup_acks", "zero_window": "zero_windows", "window_full": "full_windows", "keep_alive": "keep_alives"}
NOT_NEW = ("retransmission", "out_of_order", "keep_alive", "zero_window_probe")
FIELDS = """frame.number frame.time_epoch tcp.seq_raw tcp.nxtseq tcp.ack_raw tcp.len tcp.flags tcp.srcport tcp.dstport tcp.options.mss_val
    tcp.options.wscale.shift tcp.options.sack_perm tcp.analysis.initial_rtt ip.src ip.dst ipv6.src ipv6.dst""".split()
FIELDS += ["tcp.analysis." + name for name in show_corpus.FINDINGS]
SYN, FIN, RST, ACK = 2, 1, 4, 16  # tshark takes a refusal (RST+ACK) for the end of a handshake, we do not
COMPARED_LEAST = 0.8  # of the connections


def before(a, b):
    return (a - b) % (1 << 32) >= 1 << 31


class End:
    """What one end of a connection sent."""

    def __init__(self):
        self.sums, self.rtts, self.timed, self.syn = collections.Counter(), [], None, {}


class Connection:
    """As tshark's segments add up."""

    def __init__(self):
        self.ends, self.captures, self.waits, self.asked, self.syn_ns, self.answer, self.handshake, self.refused = {}, set(), [], None, None, None, None, False

    def end(self, who):
        return self.ends.setdefault(who, End())

    def segment(self, sender, receiver, s, originator):
        end, other = self.end(sender), self.end(receiver)
        for name, column in COUNTED.items():
            end.sums[column] += name in s.findings
        if "retransmission" in s.findings:
            end.sums["retrans_bytes"] += s.length
        if s.flags & SYN:
            self.take_syn(end, s)
        if s.flags & (SYN | ACK | RST) == ACK and self.syn_ns is not None and self.handshake is None:
            self.handshake = max(0, s.time_ns - self.syn_ns)
            assert self.refused or s.initial_rtt in (0, self.handshake), (s.initial_rtt, self.handshake)
        self.refused |= bool(s.flags & RST)
        if s.flags & ACK and other.timed and not before(s.ack, other.timed[0]):
            other.rtts.append(max(0, s.time_ns - other.timed[1]))
            other.timed = None
        new = not any(name in s.findings for name in NOT_NEW)
        if s.length or s.flags & (SYN | FIN):
            if end.timed and not new and before(s.seq, end.timed[0]):
                end.timed = None
            elif not end.timed and new:
                end.timed = ((s.seq + s.length + bool(s.flags & (SYN | FIN))) % (1 << 32), s.time_ns)
        if s.length and new:
            self.take_turn(sender == originator, s.time_ns)

    def take_syn(self, end, s):
        end.syn = end.syn or {"initial_seq": s.seq, "mss": s.mss, "window_scale": s.scale, "sack": s.sack}
        if not s.flags & ACK:
            self.syn_ns = s.time_ns
        elif self.syn_ns is not None and self.answer is None:
            self.answer = max(0, s.time_ns - self.syn_ns)

    def take_turn(self, originator, now):
        if originator:
            self.asked = now
        elif self.asked is not None:
            self.waits.append(max(0, now - self.asked))
            self.asked = None

    def row(self, who):
        """In the columns of one direction; 0 and what is not known do not stand there."""
        end = self.ends.get(who) or End()
        row = {**end.sums, **end.syn, "rtt_count": len(end.rtts), "rtt_sum": sum(end.rtts)}
        if end.rtts:
            row.update(rtt_min=min(end.rtts), rtt_max=max(end.rtts))
        return {name: value for name, value in row.items() if value}

    def both(self):
        row = {"replies": len(self.waits), "wait_sum": sum(self.waits), "wait_max": max(self.waits, default=0), "syn_answer": self.answer,
               "handshake": self.handshake}
        return {name: value for name, value in row.items() if value}


PER_END = {*COUNTED.values(), "retrans_bytes", "rtt_count", "rtt_sum", "rtt_min", "rtt_max", "mss", "window_scale", "sack", "initial_seq"}
OF_BOTH = ("replies", "wait_sum", "wait_max", "syn_answer", "handshake")
SUMS = {*COUNTED.values(), "retrans_bytes", "rtt_count", "rtt_sum", "replies", "wait_sum"}
LEAST = {"rtt_min"}


class Segment:
    def __init__(self, fields):
        def number(name):
            return int(fields[name].split(",")[0] or "0", 0)

        seconds, fraction = fields["frame.time_epoch"].split(".")
        self.time_ns = int(seconds) * 10**9 + int(fraction)
        self.seq, self.ack, self.length, self.flags = (number("tcp." + n) for n in ("seq_raw", "ack_raw", "len", "flags"))
        self.findings = {n for n in show_corpus.FINDINGS if fields["tcp.analysis." + n]}
        self.mss, self.scale = number("tcp.options.mss_val"), min(14, number("tcp.options.wscale.shift"))
        self.sack = int(bool(fields["tcp.options.sack_perm"]))
        self.initial_rtt = show_corpus.nanoseconds(fields["tcp.analysis.initial_rtt"].split(",")[0])


def ends_of(fields):
    """Innermost; tshark does not say whether IPv4 or IPv6 is inside the other: such a segment is left alone."""
    if fields["ip.src"] and fields["ipv6.src"]:
        return None
    ip = "ip" if fields["ip.src"] else "ipv6"
    if "," in fields["tcp.srcport"]:
        return None
    return tuple((fields[f"{ip}.{end}"].split(",")[-1], int(fields["tcp.%sport" % end])) for end in ("src", "dst"))


def theirs(batch, flows):
    """Connections by their ends, and those of which something could not be read."""
    connections, odd = collections.defaultdict(Connection), set()
    with open(batch.path + ".tshark") as file:
        for text in file:
            fields = dict(zip(FIELDS, text.rstrip("\n").split("\t")))
            ends = ends_of(fields)
            if not ends:
                continue
            key = tuple(sorted(ends))
            if len(flows.get(key, ())) != 1:
                continue
            capture, _ = batch.origin[int(fields["frame.number"]) - 1]
            connection = connections[key]
            connection.captures.add(capture)
            try:
                s = Segment(fields)
            except ValueError:  # several headers in one packet
                odd.add(key)
                continue
            connection.segment(*ends, s, flows[key][0]["client"])
    return connections, odd


def merge(rows):
    """The rows of one flow as one."""
    merged = {}
    for row in rows:
        for name, value in row.items():
            column = name.split(".")[0]
            if column in SUMS:
                merged[name] = merged.get(name, 0) + value
            elif column in LEAST:
                merged[name] = min(merged.get(name, value), value)
            elif column in ("wait_max", "rtt_max"):
                merged[name] = max(merged.get(name, 0), value)
            else:
                merged[name] = value
    return merged


def address(row, end):
    return row["addr.%d" % end]


def ours(batch, folder):
    """Flows of TCP by their ends."""
    out = batch.path + ".chunks"
    config = os.path.join(folder, "agent.conf")
    with open(config, "w") as file:
        file.write("name = test\n")
    command = [os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, "--read", batch.path, "--keep", "flows", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heads = sorted(str(path) for path in pathlib.Path(out).glob("*.head"))
    rows = collections.defaultdict(list)
    dump = subprocess.run([os.path.join(fleet.BIN, "head_dump"), *heads], stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in map(json.loads, dump.splitlines()):
        if "item" not in line and line.get("proto") == 6 and line.get("has_ports"):
            rows[line["flow"]].append(line)
    flows = collections.defaultdict(list)
    for of_flow in rows.values():
        row = merge(of_flow)
        ends = [(address(row, i), row["port.%d" % i]) for i in (0, 1)]
        row["ends"], row["client"] = ends, ends[row["originator"]]
        flows[tuple(sorted(ends))].append(row)
    return flows


def wanted(row, connection):
    """Yields (column, ours, tshark's) of what has to be the same."""
    for i, who in enumerate(row["ends"]):
        other = connection.row(who)
        for column in sorted(PER_END):
            yield "%s.%d" % (column, i), row.get("%s.%d" % (column, i), 0), other.get(column, 0)
    other = connection.both()
    for column in OF_BOTH:
        yield column, row.get(column, 0), other.get(column, 0)


def compare(batch, folder, exceptions, report):
    flows = ours(batch, folder)
    connections, odd = theirs(batch, flows)
    compared = 0
    for key, connection in connections.items():
        if len(connection.captures) > 1 or key in odd or key[0] == key[1]:
            continue
        compared += 1
        [capture] = connection.captures
        for column, have, want in wanted(flows[key][0], connection):
            if have != want and not exceptions.excuse(capture, "%s:%d" % key[0], column.split(".")[0]):
                report[column.split(".")[0]].append((capture, key, have, want))
    return compared, len(flows)


def run(corpus, folder, options):
    share = options.every
    packet_corpus.PROTOCOLS = show_corpus.PROTOCOLS | {n for n in show_corpus.all_protocols() if n.startswith("tcp.options.")}
    config = packet_corpus.tshark_config(folder)
    exceptions, report = packet_corpus.Exceptions(EXCEPTIONS), collections.defaultdict(list)
    batches = show_corpus.write_batches(corpus, folder, share, options.only, packet_corpus.Exceptions(show_corpus.EXCEPTIONS))
    running = []
    for batch in batches:
        with open(batch.path + ".tshark", "w") as out:
            running.append(packet_corpus.tshark_start(batch, config, out, fields=FIELDS, preferences=show_corpus.PREFERENCES, only="tcp"))
    compared = total = 0
    for batch, process in zip(batches, running):
        said = process.communicate()[1]
        assert process.returncode == 0, said
        here, flows = compare(batch, folder, exceptions, report)
        compared, total = compared + here, total + flows
    for column, found in sorted(report.items(), key=lambda item: -len(item[1])):
        print(f"{column}: {len(found)} connections in {len({f[0] for f in found})} captures")
        for capture, key, have, want in found[: options.show]:
            print(f"    {capture} {key}: {have}, tshark {want}")
    unused = exceptions.unused() if share == 1 and not options.only else []
    for exception in unused:
        print("exception not needed:", *exception)
    print(f"{compared} of {total} connections compared, {sum(exceptions.used)} excused")
    return 1 if report or unused or compared < COMPARED_LEAST * total else 0


if __name__ == "__main__":
    sys.exit(corpus.main(run))
