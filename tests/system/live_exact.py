#!/usr/bin/env python3
# timeout: 600
"""What the fleet captured is what tcpdump beside each agent captured: packet for packet, bytes, lengths and nanoseconds, under thousands of
HTTP connections, DNS, a bulk transfer, pings, IPv6, fragments and injected VLAN tags. Where either dropped packets, its counter agrees with
the difference.

Times: what a host sends is stamped once for all listeners, so they are equal to the nanosecond. What arrives through a veth pair carries the
sender's departure time in the stamp's place (TCP's pacing), so that Linux lets each listener stamp for itself: two tcpdumps differ, too.
There the nearest packet of the same bytes counts, within STAMPS_NS.

FLEETDUMP_BULK=BYTES is the size of the bulk transfer (default 100M)."""

import collections
import json
import os
import struct
import sys
import time

import fleet
import lab
import pcapfile

BULK = os.environ.get("FLEETDUMP_BULK", "100M")
CONNECTIONS, LEAST = 3000, 8  # packets of each at the least: opened by 3, closed by 3, a question, an answer
PORTS = "tcp port 80 or udp port 53"
HOSTS = ("web-1", "client")
ARRIVAL_S = 300
STAMPS_NS = 50_000_000  # a listener may be interrupted between two stamps on a busy machine


def vlan_frames(count):
    """Ethernet frames with a VLAN tag, UDP port 53 in them: nobody's, but on the wire."""
    for n in range(count):
        payload = b"tagged %d" % n
        udp = struct.pack(">HHHH", 4000 + n, 53, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n, 0, 64, 17, 0, bytes((10, 66, 0, 9)), bytes((10, 66, 0, 8)))
        yield b"\xff" * 6 + b"\2\0\0\0\0\1" + struct.pack(">HHH", 0x8100, 7, 0x0800) + ip + udp


def traffic(system):
    web, client = "web-1", "client"
    system.host(client, "curl", "-s", "-Z", "--parallel-max", "20", "-H", "Connection: close", "-o", "/dev/null",
                "http://%s/?[1-%d]" % (system.ip(web), CONNECTIONS))
    for n in range(30):
        system.host(client, "dig", "+tries=1", "+time=2", "@" + system.ip(web), "host%d.example" % n, check=False)
    system.host(client, "curl", "-s", "-o", "/dev/null", "http://[%s]/" % system.ip6(web))
    system.host(client, "ping", "-q", "-c", "20", "-i", "0.01", system.ip(web))
    system.host(client, "ping", "-q", "-c", "20", "-i", "0.01", system.ip6(web))
    system.host(client, "ping", "-q", "-c", "20", "-i", "0.01", "-s", "4000", system.ip(web))  # fragments
    system.host(client, "ping", "-q", "-c", "20", "-i", "0.01", "-s", "4000", system.ip6(web))
    system.inject(client, vlan_frames(50))
    system.host(client, "iperf3", "-c", system.ip(web), "-n", BULK, "-p", "5201")
    system.host(client, "curl", "-s", "http://%s:81/" % system.ip(web), check=False)  # nobody listens


def pulled(path):
    """How often each packet is in the file, by interface name."""
    interfaces, items, damage = pcapfile.read(path)
    assert damage is None, damage
    found = collections.defaultdict(list)
    for p in items:
        found[interfaces[p.interface].name].append(p)
    return {name: counted(items) for name, items in found.items()}


def counted(items):
    return collections.Counter((p.time_ns, p.data, p.wire) for p in items)


def nearest_taken(missing, extra):
    """Takes away pairs of the same bytes whose times are near to each other, each packet once, in order."""
    by_bytes = collections.defaultdict(list)
    for (time_ns, data, wire), n in sorted(extra.items()):
        by_bytes[data, wire] += [time_ns] * n
    alone = []
    for (time_ns, data, wire), n in sorted(missing.items()):
        for _ in range(n):
            times = by_bytes[data, wire]
            near = next((t for t in times if abs(t - time_ns) <= STAMPS_NS), None)
            if near is None:
                alone.append((time_ns, data, wire))
            else:
                times.remove(near)
    return alone, [(t, *key) for key, times in by_bytes.items() for t in times]


def losses(manifest, agent):
    with open(manifest) as file:
        counters = next(a for a in json.load(file)["agents"] if a["agent"] == agent)["counters"]
    return counters.get("kernel_drops", 0)


def compare(system, name, filter_text, dumps, begin_ns, end_ns):
    """All that either has is paired; what then stands alone is judged, if it is of the time when both captured."""
    out, manifest = system.path(name + ".pcapng"), system.path(name + ".json")
    system.run("pull", filter_text, "--capture", name, "--vantage", "all", "--packets", "-w", out, "--manifest", manifest, check=(0, 3))
    ours = pulled(out)
    for host in HOSTS:
        path, (_, dropped) = dumps[host]
        theirs, mine = counted(lab.dumped(path)), ours["%s/eth0" % host]
        missing, extra = theirs - mine, mine - theirs
        mac = system.mac(host)
        sent = [key for key in missing if key[1][6:12] == mac]
        missing, extra = nearest_taken(missing, extra)
        missing, extra, sent = ([key for key in keys if begin_ns <= key[0] <= end_ns] for keys in (missing, extra, sent))
        lost = losses(manifest, host)
        print("%s on %s: %d packets; tcpdump dropped %d, we %d; %d missing, %d more; %d of those sent stamped otherwise" %
              (name, host, sum(mine.values()), dropped, lost, len(missing), len(extra), len(sent)), flush=True)
        assert sum(mine.values()) + lost >= LEAST * CONNECTIONS, "hardly any packets"
        assert len(missing) <= lost, "packets are missing that nobody counted: %r" % missing[:3]
        assert len(extra) <= dropped, "packets that tcpdump did not see: %r" % extra[:3]
        assert len(sent) <= lost, "packets that the host sent have other times: %r" % sent[:3]


def stop_captures(system, names):
    """Until all that they captured is at the collector."""
    for name in names:
        system.run("capture", "stop", "--no-wait", name)
    for name in names:
        fleet.wait_until(lambda: system.phases(name) == ["stopped"] * len(HOSTS), name + " to stop")
        packets = system.order(name)["packets"]
        fleet.wait_until(lambda: sum(c["packets"] for c in system.json("captures") if c["capture"] == name) >= packets,
                         "%d packets of %s to arrive" % (packets, name), ARRIVAL_S)


def main():
    with lab.Lab(*HOSTS) as system:
        system.nginx("web-1")
        system.spawn("web-1", "dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts", "--port=53", "--pid-file=", "-u", "root",
                     "--address=/example/10.1.2.3", log="dnsmasq.log")
        system.spawn("web-1", "iperf3", "-s", "-p", "5201", log="iperf3.log")
        for port in (53, 5201):
            system.wait_for_port("web-1", port)
        system.start_agents(*HOSTS)
        own = "not host %s" % system.listen
        dumps = {}
        for name, text in (("all", own), ("ports", "(%s) and %s" % (PORTS, own))):
            for host in HOSTS:
                path = system.path("%s-%s.pcap" % (host, name))
                dumps[name, host] = path, system.tcpdump(host, path, text)
        system.run("capture", "start", "--all", "--for", "10m", "--bytes", "none", "--name", "all", "--no-wait")
        system.run("capture", "start", "--all", "--for", "10m", "--bytes", "none", "--name", "ports", "--no-wait", PORTS)
        fleet.wait_until(lambda: system.running("all", len(HOSTS)) and system.running("ports", len(HOSTS)), "the captures to run")
        begin_ns = time.time_ns()
        traffic(system)
        end_ns = time.time_ns()
        stop_captures(system, ("all", "ports"))
        for key, (path, child) in dumps.items():
            dumps[key] = path, system.end_tcpdump(child)
        compare(system, "all", own, {host: dumps["all", host] for host in HOSTS}, begin_ns, end_ns)
        compare(system, "ports", PORTS, {host: dumps["ports", host] for host in HOSTS}, begin_ns, end_ns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
