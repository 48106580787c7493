#!/usr/bin/env python3
# timeout: 900
"""Every capture of the corpus goes in by `fleetdump-agent --read`, and comes back from `fleetdump pull` with the same packets (bytes,
lengths, nanosecond times, interfaces, in order of time) and from `fleetdump flows` with the flows, packets, bytes and Community IDs
that tshark counts, grouped by their ends. Of a damaged file, what was readable before. What a file says it lacks is what the answer
says is missing.

The captures are read by some agents at once, each its own; a batch of them is one capture of the whole fleet, and is pulled as one.

    pull_corpus.py [CAPTURE...]    only these

Captures whose packets differ stand in tests/data/pull-exceptions.tsv, those whose flows do in tests/data/conversation-exceptions.tsv or
packet-exceptions.tsv, each with its reason."""

import collections
import concurrent.futures
import json
import os
import sys
import tempfile

import conversations
import corpus
import fleet
import pcapfile

AGENTS = 24
READERS = 4  # agents that read at once: they wait for the disk


class Entry:
    """A capture and the agent that reads it."""

    def __init__(self, agent, row):
        self.agent, self.row, self.capture = agent, row, pcapfile.open_capture(row["file"])
        self.wrong = self.flows = None

    def wanted(self, link):
        """Packets of the link type, as they are to come back."""
        names = ["%s/%s" % (self.agent, name) for name in pcapfile.names(self.row["file"], self.capture.interfaces)]
        of_link = [i.link_type == link for i in self.capture.interfaces]
        return sorted((p.time_ns, p.data, p.wire, names[p.interface]) for p in self.capture.packets if of_link[p.interface])

    def lost(self):
        """What the answer has to say is missing."""
        sums = [sum(lost[i] for lost in self.capture.lost.values()) for i in (0, 1)]
        return {name: n for name, n in zip(("kernel_drops", "interface_drops"), sums) if n}


def read_all(system, entries, name):
    def read(entry):
        done = system.read(entry.agent, entry.row["file"], capture=name, options=["--no-wait"], check=False)
        entry.wrong = corpus.check_read(done, entry.row["file"], entry.capture)

    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read, entries))
    spools = [system.path("spool-" + entry.agent) for entry in entries]
    fleet.wait_until(lambda: not any(len(item) >= 32 for spool in spools for item in os.listdir(spool)), "the spools to be empty")


def check_answer(done, manifest, entries):
    """Whether exit status and manifest say what is missing, and nothing else."""
    lost = {entry.agent: entry.lost() for entry in entries if entry.lost()}
    said = {agent["agent"]: agent["counters"] for agent in manifest["agents"]}
    said = {name: {c: n for c, n in counters.items() if c.endswith("drops") and n} for name, counters in said.items()}
    said = {name: counters for name, counters in said.items() if counters}
    if done.returncode != (3 if lost else 0):
        return "pull: exit %d, lost is %s: %s" % (done.returncode, lost, done.stderr)
    return None if said == lost else "the manifest says that %s is missing, not %s" % (said, lost)


def pull(system, name, link, entries):
    """Packets of each agent. What is wrong with the answer as a whole is wrong with each of its captures."""
    path, manifest = system.path("pulled.pcapng"), system.path("manifest.json")
    done = system.run("pull", "", "-w", path, "--manifest", manifest, "--capture", name, "--vantage", "all", "--packets", "--link-type", str(link), check=None)
    if done.returncode not in (0, 3):
        return {}, "pull: exit %d: %s" % (done.returncode, done.stderr)
    with open(manifest) as file:
        wrong = check_answer(done, json.load(file), entries)
    pulled, got = pcapfile.open_capture(path), collections.defaultdict(list)
    times = [p.time_ns for p in pulled.packets]
    if pulled.damage or pulled.refused:
        wrong = "the pulled file is damaged: %s" % (pulled.damage or pulled.refused)
    elif times != sorted(times):
        wrong = "the pulled packets are not in order of time"
    elif any(i.link_type != link for i in pulled.interfaces):
        wrong = "another link type in the file"
    for p in pulled.packets:
        name = pulled.interfaces[p.interface].name
        got[name.split("/")[0]].append((p.time_ns, p.data, p.wire, name))
    return got, wrong


def difference(want, got):
    if len(want) != len(got):
        return "%d packets instead of %d" % (len(got), len(want))
    for w, g in zip(want, sorted(got)):
        if w != g:
            return "packet at %d (%d of %d bytes, %s) came back as %d (%d of %d bytes, %s)" % (
                w[0], len(w[1]), w[2], w[3], g[0], len(g[1]), g[2], g[3])
    return None


def check_batch(system, name, entries):
    links = {i.link_type for entry in entries for i in entry.capture.interfaces}
    for link in sorted(links):
        wanted = [(entry, entry.wanted(link)) for entry in entries]
        if not any(want for _, want in wanted):
            continue
        got, wrong = pull(system, name, link, entries)
        for entry, want in wanted:
            entry.wrong = entry.wrong or wrong or difference(want, got.get(entry.agent, []))
    done = system.run("flows", "", "--capture", name, "-o", "ndjson", check=(0, 3))
    flows = conversations.of_flows(done.stdout)
    for entry in entries:
        entry.flows = flows[entry.agent]


def main():
    rows = corpus.captures(corpus.chosen())
    packets, talks = corpus.Verdicts("pull-exceptions.tsv"), corpus.Verdicts("conversation-exceptions.tsv", conversations.exceptions())
    count, found = 0, {}
    with tempfile.TemporaryDirectory() as folder, fleet.Fleet() as system:
        tshark = conversations.Tshark(rows, folder)
        agents = ["agent-%d" % i for i in range(AGENTS)]
        for agent in agents:
            system.start_agent(agent)
        for number, batch in enumerate(corpus.batches(rows, AGENTS)):
            name = "batch-%d" % number
            entries = [Entry(agent, row) for agent, row in zip(agents, batch)]
            read_all(system, entries, name)
            check_batch(system, name, entries)
            for entry in entries:
                packets.add(entry.row["path"], entry.wrong)
                count += 0 if entry.wrong else len(entry.capture.packets)
                found[entry.row["path"]] = entry.flows
        theirs = tshark.talks()
    conversed = sum(len(theirs[path].ends) for path in theirs)
    for path in theirs:
        talks.add(path, "; ".join("%s: %s" % d for d in list(found[path].differences(theirs[path]))[:3]))
    return packets.status("%d packets the same" % count) | talks.status("%d conversations" % conversed)


if __name__ == "__main__":
    sys.exit(main())
