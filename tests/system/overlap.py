#!/usr/bin/env python3
"""A standing capture of flows beside captures of packets: each connection is listed once, a pull takes packets where they were kept, and
lacks something only where nobody kept them."""

import sys
import time

import fleet
import lab


LISTEN = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('0.0.0.0', 5353)); print('listening on', flush=True)\nwhile 1: s.recv(100)"
SEND = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM)\nfor n in range(10): s.sendto(b'hello', (sys.argv[1], 5353))"


def talk(system):
    """Ten packets of a new connection; returns when it began."""
    begun = "@%.6f" % time.time()
    system.host("client", "python3", "-c", SEND, system.ip("web-1"))
    return begun


def start(system, name, *options):
    system.run("capture", "start", "--name", name, "--no-wait", "--for", "10m", *options, "udp")
    fleet.wait_until(lambda: set(system.phases(name)) == {"running"}, name + " to run")


def talks(system):
    rows = system.flows("udp port 5353")
    assert all(row["packets"] == 10 for row in rows), rows
    return rows


def pull(system, *options, check=(0,)):
    done = system.run("pull", "udp port 5353", "-w", system.path("pulled.pcapng"), *options, check=check)
    counted = system.host("client", "tcpdump", "-nr", system.path("pulled.pcapng"), "udp").stdout.count("\n")
    return counted, done.stderr


def main():
    system = lab.Lab("web-1", "client")
    system.config["baseline"] = "yes"
    with system:
        system.start_agents("web-1", "client")
        system.spawn("web-1", "python3", "-c", LISTEN, log="listener")
        fleet.wait_until(lambda: "listening" in open(system.path("listener")).read(), "somebody to talk to")
        fleet.wait_until(lambda: system.phases("baseline") == ["running"] * 2, "the baseline to run")
        talk(system)
        rows = talks(system)
        assert sorted(row["agent"] for row in rows) == ["client", "web-1"], rows
        counted, said = pull(system, check=(3,))
        assert counted == 0 and "packets were not kept" in said, (counted, said)
        print("flows alone: listed, and their packets are missing: right")

        start(system, "packets", "--on", "client")
        since = talk(system)
        rows = talks(system)
        assert sorted(row["agent"] for row in rows) == ["client"] * 2 + ["web-1"] * 2, rows
        counted, said = pull(system, check=(3,))
        assert counted == 10 and "packets were not kept" in said, (counted, said)  # of the first
        counted, said = pull(system, "--since", since)
        assert counted == 10, (counted, said)
        counted, said = pull(system, "--since", since, "--vantage", "all", check=(3,))
        assert counted == 10 and "web-1: packets were not kept" in said, (counted, said)
        print("packets of the client beside flows of both: each connection once, packets from where they are: right")

        start(system, "more", "--on", "client", "--keep", "flows")
        start(system, "again", "--on", "client")
        since = talk(system)
        rows = talks(system)
        assert sorted(row["agent"] for row in rows) == ["client"] * 3 + ["web-1"] * 3, rows
        assert pull(system, "--since", since)[0] == 10
        print("four captures on one interface: right")


if __name__ == "__main__":
    sys.exit(main())
