#!/usr/bin/env python3
"""A download that goes on is listed while it does, as far as it came, and once when it has ended. Needs root, like all that captures."""

import os
import socket
import sys

import fleet

AGENT = CAPTURE = "live-1"
BODY = 300000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY
REQUEST = b"GET /long HTTP/1.1\r\nHost: test.example\r\n\r\n"


def receive(end, n):
    while n:
        got = len(end.recv(n))
        assert got, "the other end closed"
        n -= got


def downloads(system):
    return [(x["path"], x["outcome"], x.get("reply_body")) for x in system.json("http", "--since", "10m", "--capture", CAPTURE)]


def start(system, port):
    system.start_agent(AGENT)
    fleet.wait_until(lambda: [a for a in system.json("agents") if a["agent"] == AGENT and a["connected"]], "the agent to connect")
    system.run("capture", "start", "--on", AGENT, "-i", "lo", "--for", "10m", "--name", CAPTURE, "--no-wait", "tcp port %d" % port)
    phase = lambda: [a["phase"] for o in system.json("capture", "list") if o["capture"] == CAPTURE for a in o["agents"]]
    fleet.wait_until(lambda: phase() == ["running"], "the capture to run")


def main():
    if os.geteuid() != 0:
        print("skipped: it needs root")
        return 77
    with fleet.Fleet() as system, socket.create_server(("127.0.0.1", 0)) as listening:
        start(system, listening.getsockname()[1])
        with socket.create_connection(listening.getsockname()) as client, listening.accept()[0] as server:
            client.sendall(REQUEST)
            receive(server, len(REQUEST))
            server.sendall(HEAD + bytes(BODY // 2))
            receive(client, len(HEAD) + BODY // 2)
            fleet.wait_until(lambda: downloads(system) == [("/long", "running", BODY // 2)], "the download to be listed")
            assert "1 of 1 exchanges had not ended" in system.run("http", "--since", "10m", "--capture", CAPTURE).stderr
            server.sendall(bytes(BODY - BODY // 2))
            receive(client, BODY - BODY // 2)
            fleet.wait_until(lambda: downloads(system) == [("/long", "complete", BODY)], "its end")
            done = system.run("http", "outcome = running or status = 200", "--since", "10m", "--capture", CAPTURE, "--by", "outcome")
            assert "complete" in done.stdout and "running" not in done.stdout and "not ended" not in done.stderr, (done.stdout, done.stderr)
        system.run("capture", "stop", CAPTURE, check=(0, 3))
        system.stop_agent(AGENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
