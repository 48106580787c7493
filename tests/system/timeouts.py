#!/usr/bin/env python3
"""How long a flow may be silent, and how long a DNS query waits for its answer, stands in agent.conf: for files that are read and for live captures.
What is out of range is refused where it stands."""

import os
import socket
import struct
import subprocess
import sys
import time

import fleet
from rights import tcp, udp

SYN, ACK, BOTH = 2, 16, 18
PAUSE_S = {"udp": 90, "tcp": 1200}  # longer than the usual timeouts
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def make_capture(path):
    """A UDP and a TCP conversation, each with a pause."""
    conversation = [(0, tcp(CLIENT, 40000, SERVER, 80, 100, 0, SYN)), (0, tcp(SERVER, 80, CLIENT, 40000, 500, 101, BOTH)),
                    (0, tcp(CLIENT, 40000, SERVER, 80, 101, 501, ACK)), (1, udp(CLIENT, 5000, SERVER, 53, b"?")),
                    (1 + PAUSE_S["udp"], udp(CLIENT, 5000, SERVER, 53, b"?")), (PAUSE_S["tcp"], tcp(CLIENT, 40000, SERVER, 80, 101, 501, ACK, b"again"))]
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for at, frame in conversation:
            file.write(struct.pack("<IIII", 1_700_000_000 + at, 0, len(frame), len(frame)) + frame)
    return path


def flows(system, capture):
    return [len(system.flows(proto, "--capture", capture)) for proto in ("tcp", "udp")]


def files(system):
    path = make_capture(system.path("pauses.pcap"))
    for name, expected, keys in (("usual", [2, 2], {}), ("long", [1, 1], {"timeout_tcp": "1h", "timeout_udp": "2m"}), ("udp", [2, 1], {"timeout_udp": "90s"}),
                                 ("short", [2, 2], {"timeout_udp": "89s", "timeout_tcp": "1199s"})):
        system.read("web-1", path, capture=name, **keys)
        assert flows(system, name) == expected, (name, flows(system, name))


def what_is_out_of_range(system):
    for value, words in (("0s", "from 1.0s to"), ("2d", "from 1.0s to"), ("60", "60"), ("soon", "soon")):
        config = system.agent_config("web-1", timeout_tcp_closed=value)
        done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, "--check"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        with open(config) as file:
            line = file.read().splitlines().index("timeout_tcp_closed = " + value) + 1
        assert done.returncode and "timeout_tcp_closed" in done.stdout and words in done.stdout, done.stdout
        assert "%s:%d:" % (config, line) in done.stdout or "%s, line %d" % (config, line) in done.stdout, done.stdout


def live(system):
    if os.geteuid() != 0:
        print("live captures: skipped, they need root")
        return
    system.start_agent("live-1", timeout_udp="1s")
    fleet.wait_until(lambda: [a for a in system.json("agents") if a["agent"] == "live-1" and a["connected"]], "the agent to connect")
    with socket.socket(type=socket.SOCK_DGRAM) as here, socket.socket(type=socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        here.bind(("127.0.0.1", 0))
        filter_text = "udp and src port %d" % here.getsockname()[1]
        system.run("capture", "start", "--on", "live-1", "-i", "lo", "--for", "10m", "--name", "live", "--no-wait", filter_text)
        phase = lambda: [a["phase"] for o in system.json("capture", "list") if o["capture"] == "live" for a in o["agents"]]
        fleet.wait_until(lambda: phase() == ["running"], "the capture to run")
        for _ in range(2):
            here.sendto(b"?", there.getsockname())
            time.sleep(1.1)  # longer than the timeout
        system.run("capture", "stop", "live", check=(0, 3))
        packets = lambda: sum(c["packets"] for c in system.json("captures") if c["capture"] == "live" and not c["open_streams"])
        fleet.wait_until(packets, "the packets")
    found = system.flows("udp", "--capture", "live")
    assert len({f["id"] for f in found}) == len(found) == 2, found
    system.stop_agent("live-1")


QUERY = b"\x42\x42\1\0\0\1\0\0\0\0\0\0\6silent\3foo\0\0\1\0\1"  # A


def queries(system):
    """Nobody answers: that is known while the flow goes on, seconds later."""
    if os.geteuid() != 0:
        print("live captures: skipped, they need root")
        return
    system.start_agent("live-2", timeout_dns_query="1s", timeout_udp="10m")
    fleet.wait_until(lambda: [a for a in system.json("agents") if a["agent"] == "live-2" and a["connected"]], "the agent to connect")
    with socket.socket(type=socket.SOCK_DGRAM) as here, socket.socket(type=socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        here.bind(("127.0.0.1", 0))
        here.connect(there.getsockname())
        system.run("capture", "start", "--on", "live-2", "-i", "lo", "--for", "10m", "--name", "queries", "--no-wait",
                   "udp and port %d" % here.getsockname()[1])
        phase = lambda: [a["phase"] for o in system.json("capture", "list") if o["capture"] == "queries" for a in o["agents"]]
        fleet.wait_until(lambda: phase() == ["running"], "the capture to run")
        here.send(QUERY)
        unanswered = lambda: [x["dns_name"] for x in system.json("dns", "unanswered", "--since", "10m", "--capture", "queries")]
        fleet.wait_until(unanswered, "the query to be unanswered")
        assert unanswered() == ["silent.foo"], unanswered()
        assert [f["end_reason"] for f in system.flows("udp", "--capture", "queries")] == ["ongoing"]
        system.run("capture", "stop", "queries", check=(0, 3))
    system.stop_agent("live-2")


def main():
    with fleet.Fleet() as system:
        for story in (files, what_is_out_of_range, live, queries):
            story(system)
            print(story.__name__.replace("_", " ") + ": right")


if __name__ == "__main__":
    sys.exit(main())
