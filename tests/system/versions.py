#!/usr/bin/env python3
"""Agents of an older and of a newer release go on working with this collector, and this release's agent with such collectors; who speaks another version of the
protocol is refused, and both sides say which versions met and what to do.

Other releases are made by a relay between agent and collector, which changes what passes: a newer one has further fields, messages and features, an older
one lacks what is not needed."""

import json
import os
import socket
import struct
import sys
import threading
import time

import fleet
import wire
from rights import make_capture

UNKNOWN_TYPE = 99
UNKNOWN_FIELDS = (wire.varint(1999 << 3) + wire.varint(7) + wire.varint(2000 << 3 | 2) + wire.varint(5) + b"later" +
                  wire.varint(2001 << 3 | 1) + b"12345678" + wire.varint(2002 << 3 | 5) + b"1234")
NOT_NEEDED = {"Hello": ("features", "labels", "addresses", "wall_ns", "mono_ns"), "Welcome": ("features", "collector", "wall_ns")}


def frame(number, payload, version=1):
    return b"FD" + struct.pack("<BBI", version, number, len(payload)) + payload


def without(name, payload, fields):
    """The message without these fields, all others as they came."""
    dropped, out, at = {wire.SCHEMA[name][f][0] for f in fields}, b"", 0
    while at < len(payload):
        begin = at
        key, at = wire.take_varint(payload, at)
        if key & 7 == 0:
            _, at = wire.take_varint(payload, at)
        elif key & 7 == 1:
            at += 8
        else:
            length, at = wire.take_varint(payload, at)
            at += length
        if key >> 3 not in dropped:
            out += payload[begin:at]
    return out


def with_software(name, payload, software):
    return without(name, payload, ("software",)) + wire.encode(name, {"software": software}) if name in ("Hello", "Welcome") else payload


def older(name, payload):
    """0.0.1: it knows nothing of what came later."""
    if name == "Status":
        payload = wire.encode("Status", {"json": "{}"})
    return [(wire.NUMBERS[name], with_software(name, without(name, payload, NOT_NEEDED.get(name, ())), "fleetdump 0.0.1"))]


def newer(name, payload):
    """99.0.0: each message has more fields, and between them stand some of a type of its own."""
    if name in NOT_NEEDED:
        payload = without(name, payload, ("features",)) + wire.encode(name, {"features": (1 << 64) - 1})
    if name == "Status":
        known = json.loads(wire.decode("Status", payload)["json"])
        payload = wire.encode("Status", {"json": json.dumps(dict(known, later={"a": [1, None]}))})
    return [(wire.NUMBERS[name], with_software(name, payload, "fleetdump 99.0.0") + UNKNOWN_FIELDS), (UNKNOWN_TYPE, b"later" * 20)]


class Relay:
    """A port before a collector; what passes goes through `change`, in the directions named."""

    def __init__(self, target, change, directions):
        self.target, self.change, self.directions = target, change, directions
        self.seen = set()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.server.close()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
                host, port = self.target.rsplit(":", 1)
                far = socket.create_connection((host, int(port)))
            except OSError:
                return
            for a, b, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self.pump, args=(a, b, way), daemon=True).start()

    def pump(self, a, b, way):
        read = a.makefile("rb")
        try:
            while len(header := read.read(8)) == 8:
                _, number, length = struct.unpack("<BBI", header[2:])
                payload, name = read.read(length), wire.NAMES[number]
                self.seen.add(name)
                for kind, data in self.change(name, payload) if way in self.directions else [(number, payload)]:
                    b.sendall(frame(kind, data))
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def log_of(system, name):
    with open(system.path(name + ".log"), errors="replace") as log:
        return log.read()


def works_behind(system, name, relay, capture):
    """Its chunks are stored and answered; it is asked, and ordered."""
    system.read(name, capture, capture="day-" + name, collector=relay.address)
    system.start_agent(name, collector=relay.address)
    agent, = fleet.wait_until(lambda: [a for a in system.json("agents") if a["agent"] == name and a["connected"]], name)
    rows = system.flows("tcp", "--capture", "day-" + name)
    assert rows and {r["agent"] for r in rows} == {name}, rows
    system.pull("tcp", "--capture", "day-" + name)
    done = system.run("capture", "start", "--on", name, "-i", "lo", "--for", "3s", "udp port 9", check=None)
    if os.geteuid() == 0:
        assert done.returncode == 0 and "%s: stopped: its time is over" % name in done.stderr + done.stdout, (done.stdout, done.stderr)
        assert {"Check", "Checked", "Orders", "CaptureState"} <= relay.seen, relay.seen
    assert {"Hello", "Welcome", "Stream", "StreamState", "Piece", "Ack"} <= relay.seen, relay.seen
    return agent


def knows_no_cutoff(system, name, older_than_it):
    """What it would not keep to it is not asked to do."""
    if os.geteuid() != 0:
        return
    limited = ("capture", "start", "--on", name, "-i", "lo", "--for", "1s", "--cutoff", "100", "udp port 9")
    done = system.run(*limited, check=(1,) if older_than_it else (0,))
    assert ("its release does not know --cutoff: upgrade it" in done.stderr) == older_than_it, done.stderr
    assert not older_than_it or "nothing was started" in done.stderr, done.stderr


def agents_of_other_releases(system, capture):
    for name, change, version, word in (("old", older, "0.0.1", "older"), ("new", newer, "99.0.0", "newer")):
        relay = Relay(system.address, change, ("up",))
        agent = works_behind(system, name, relay, capture)
        assert agent["software"] == "fleetdump " + version, agent
        assert system.json("agents", "--columns", "agent,software")
        found, = [f for f in system.json("doctor", "--on", name, check=(0, 1)) if f["check"] == "version" and name in f["found"]]
        assert found["verdict"] == "warning" and "fleetdump %s, which is %s than" % (version, word) in found["found"], found
        assert ("deploy " + name in found["mend"]) == (change is older), found
        knows_no_cutoff(system, name, change is older)
        system.stop_agent(name)
        relay.close()
    said = log_of(system, "collector")
    assert "sends messages of type %d, which this release" % UNKNOWN_TYPE in said, said


def collectors_of_other_releases(system, capture):
    for name, change, version in (("ours-1", older, "0.0.1"), ("ours-2", newer, "99.0.0")):
        relay = Relay(system.address, change, ("down",))
        works_behind(system, name, relay, capture)
        said = log_of(system, name)
        assert "is up (fleetdump %s)" % version in said, said
        assert ("sends messages of type %d" % UNKNOWN_TYPE in said) == (change is newer), said
        done = system.run("flows", "tcp", "--capture", "day-" + name, "--collector", relay.address)
        assert done.stdout.count("\n") > 1 and "sends messages" not in done.stderr, done.stderr
        system.stop_agent(name)
        relay.close()


def agents_of_another_protocol(system):
    host, port = system.address.rsplit(":", 1)
    hello = lambda **more: wire.encode("Hello", {"role": 1, "software": "fleetdump 7.0.0", "agent": "far", "install": b"0" * 16, **more})
    for protocol, what in ((2, "update the collector"), (0, "update the agent")):
        with socket.create_connection((host, int(port)), timeout=fleet.WAIT_S) as peer:
            peer.sendall(frame(wire.NUMBERS["Hello"], hello(protocol=protocol)))
            answer = peer.makefile("rb").read()
        assert answer[3] == wire.NUMBERS["Refuse"], answer
        text = wire.decode("Refuse", answer[8:])["text"]
        for word in ("fleetdump 7.0.0 speaks version %d of the protocol" % protocol, "version 1", what):
            assert word in text, (word, text)
            fleet.wait_until(lambda: word in log_of(system, "collector"), "the log to say " + word)
    with socket.create_connection((host, int(port)), timeout=fleet.WAIT_S) as peer:  # not even its frames are ours
        peer.sendall(frame(wire.NUMBERS["Hello"], hello(protocol=2), version=2))
        answer = peer.makefile("rb").read()
    text = wire.decode("Refuse", answer[8:])["text"]
    assert answer[3] == wire.NUMBERS["Refuse"] and "which speaks version 1 of the protocol, and not 2" in text, text
    words = ("it speaks version 2 of the protocol, and this program", "update this program")
    fleet.wait_until(lambda: all(w in log_of(system, "collector") for w in words), "the log to say %s" % (words,))


def collectors_of_another_protocol(system):
    """The agent keeps what it has, and says why; so does the command line."""
    welcome = wire.encode("Welcome", {"protocol": 3, "software": "fleetdump 8.0.0"})
    for version, words in ((1, ("fleetdump 8.0.0", "version 3 of the protocol", "version 1")), (3, ("it speaks version 3 of the protocol", "version 1"))):
        server = socket.create_server(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % server.getsockname()[1]

        def serve():
            while True:
                try:
                    peer, _ = server.accept()
                    peer.recv(65536)
                    peer.sendall(frame(wire.NUMBERS["Welcome"], welcome, version))
                    threading.Thread(target=peer.recv, args=(65536,), daemon=True).start()
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        name = "stays-%d" % version
        system.start_agent(name, collector=address)
        fleet.wait_until(lambda: all(w in log_of(system, name) for w in words), words)
        for link in ("control", "data"):  # doctor finds it there
            path = system.path("spool-" + name, "refused-" + link)
            fleet.wait_until(lambda: os.path.exists(path), path)
            with open(path) as left:
                assert "version 3 of the protocol" in left.read(), path
        said = log_of(system, name)
        assert "update th" in said and "of one release" in said and "is up" not in said, said
        done = system.run("status", "--collector", address, check=(1,))
        assert all(w in done.stderr for w in words) and "update th" in done.stderr, done.stderr
        system.stop_agent(name)
        server.close()


def main():
    with fleet.Fleet() as system:
        capture = make_capture(system.path("now.pcap"), time.time() - 600)
        for story, arguments in ((agents_of_other_releases, (capture,)), (collectors_of_other_releases, (capture,)),
                                 (agents_of_another_protocol, ()), (collectors_of_another_protocol, ())):
            story(system, *arguments)
            print(story.__name__.replace("_", " ") + ": right", flush=True)


if __name__ == "__main__":
    sys.exit(main())
