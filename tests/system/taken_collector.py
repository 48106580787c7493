#!/usr/bin/env python3
# timeout: 600
"""A collector that was broken into: it is there in the place of the real one, with everything that that has (its address, here; connections are plain text, so
that nothing but the orders' own signatures can help), sees what operators sign, and sends to agents what it likes. Nothing starts, nothing is widened or
prolonged, nothing outside what was signed is read, and the agent neither ends nor grows. Each story on hosts of its own. Arguments name stories."""

import copy
import ctypes
import json
import os
import random
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time

import fleet
import lab
import wire
from namespaces import CLONE_NEWNET

MINUTE_NS = 60 * 10**9
GROWTH_KIB = 16 << 10  # of all the agent's processes, over a flood: allocators keep something


def enter(namespace):
    """This thread, for the sockets that it makes."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Link:
    """A connection that came, from its HELLO on."""

    def __init__(self, sock, taken):
        self.socket, self.taken, self.lock = sock, taken, threading.Lock()

    def send(self, name, **message):
        payload = wire.encode(name, message)
        self.raw(b"FD" + struct.pack("<BBI", 1, wire.NUMBERS[name], len(payload)) + payload)

    def raw(self, data):
        with self.lock:
            self.socket.sendall(data)

    def take(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise wire.Closed()
            data += piece
        return data

    def receive(self):
        header = self.take(8)
        _, number, length = struct.unpack("<BBI", header[2:])
        return wire.NAMES[number], wire.decode(wire.NAMES[number], self.take(length))


class Taken:
    """The collector's double. `states`: what agents tell of captures, as it comes; `signed`: requests that operators sent, as they sent them."""

    def __init__(self, system):
        self.system, self.states, self.checked, self.signed = system, [], {}, []
        self.controls = {}  # agent: Link
        self.server = None
        self.open = True
        self.said = threading.Condition()

    def listen(self, address):
        """On the hub, where the collector was: sockets belong to the namespace that they were made in."""
        host, port = address.rsplit(":", 1)
        with open("/proc/self/ns/net") as own, open("/run/netns/" + self.system.namespace(lab.HUB)) as hub:
            enter(hub)
            try:
                self.server = socket.create_server((host, int(port)))
            finally:
                enter(own)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.open = False
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def accept(self):
        while self.open:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(Link(sock, self),), daemon=True).start()

    def serve(self, link):
        try:
            _, hello = link.receive()
            link.send("Welcome", protocol=1, software="fleetdump 0.1", collector="hub", wall_ns=time.time_ns())
            if hello["role"] == wire.ROLES["control"]:
                self.controls[hello["agent"]] = link
            while True:
                self.hear(link, *link.receive())
        except (wire.Closed, OSError):
            pass

    def hear(self, link, name, message):
        if name == "CaptureState":
            with self.said:
                self.states.append(message)
                self.said.notify_all()
        elif name == "Checked":
            with self.said:
                self.checked[message["token"]] = message
                self.said.notify_all()
        elif name == "Clock":
            link.send("Clock", **dict(message, received_ns=time.time_ns(), replied_ns=time.time_ns()))
        elif name == "Query":
            link.send("Result", data=json.dumps([{"agent": a, "connected": True, "labels": []} for a in ("web-1", "web-2")]).encode(), end_of_block=True)
            link.send("Done", manifest="{}")
        elif name == "Command":
            self.signed.append(message["request"])
            link.send("Done", code=-13, text="taken: what it signed is ours now")
        elif name == "Stream":
            link.send("StreamState", epoch=message["epoch"])

    # ------------------------------------------------------------- what it does to agents
    def control(self, agent="web-1"):
        fleet.wait_until(lambda: agent in self.controls, "the agent at the taken collector")
        return self.controls[agent]

    def order(self, *requests, agent="web-1", **more):
        self.control(agent).send("Orders", orders=[{"request": r, "left_ns": wire.UNTIL_EVER, **more} for r in requests])

    def state(self, identity, *phases):
        """What an agent says last of the capture, once it is in one of these phases."""
        number = [wire.PHASES[p] for p in phases]

        def last():
            found = [s for s in self.states if s["id"] == identity]
            return found[-1] if found and found[-1]["phase"] in number else None

        return fleet.wait_until(last, "the capture to be " + " or ".join(phases))

    def ran(self, identity):
        """What an agent said of the capture when it ran, which may be over by now."""
        return fleet.wait_until(lambda: [s for s in self.ever_ran() if s["id"] == identity], "the capture to run")[-1]

    def forget(self, request, agent="web-1"):
        """What has ended leaves the agent's list with the orders that follow."""
        self.order(agent=agent)
        self.states = [s for s in self.states if s["id"] != request["id"]]

    def refused(self, request, *words, agent="web-1", **more):
        self.forget(request, agent)
        self.order(request, agent=agent, **more)
        text = self.state(request["id"], "refused")["text"]
        assert not words or any(w in text for w in words), (words, text)

    def ever_ran(self):
        return [s for s in self.states if s["phase"] == wire.PHASES["running"]]


class Fallen(lab.Lab):
    """A lab whose collector is taken over once agents trust an operator."""

    def __init__(self, *hosts, policy=None):
        super().__init__(*hosts)
        self.keys, self.own_policy = None, policy or {}

    def __enter__(self):
        super().__enter__()
        self.keys = self.run("key", "new", "--name", "alice").stdout
        for agent in self.hosts:
            self.policy(agent, **{"unsigned": "no", **self.own_policy})
            with open(self.path(agent + ".operators"), "w") as file:
                file.write(self.keys)
            os.chmod(self.path(agent + ".operators"), 0o644)
        self.stop_collector()
        self.taken = Taken(self)
        self.taken.listen(self.address)
        return self

    def __exit__(self, *what):
        if getattr(self, "taken", None):
            self.taken.close()
        super().__exit__(*what)

    def signed(self, *options, words=("icmp",)):
        """What an operator signs: the taken collector reads along."""
        before = len(self.taken.signed)
        self.run("capture", "start", *(() if "--dry-run" in options else ("--no-wait",)), *options, *words, check=(1,))
        assert len(self.taken.signed) == before + 1
        request = self.taken.signed[-1]
        assert len(request["signature"]) == 97, request
        return {key: value for key, value in request.items() if value not in ("", b"", 0, [])}

    def agent(self, name="web-1"):
        return self.start_agent(name)

    def tree(self, name="web-1"):
        """The agent's processes: {pid: resident KiB}."""
        pid = self.agents[name].pid
        out = subprocess.run(["ps", "-o", "pid=,rss=,comm=", "--pid", str(pid), "--ppid", str(pid)], stdout=subprocess.PIPE, text=True, check=True).stdout
        rows = [line.split() for line in out.splitlines()]
        return {int(row[0]): int(row[1]) for row in rows if row[2] not in ("fleetdump-cap", "fleetdump-check")}

    def listens(self, host="web-1"):
        """Packet sockets on the host: who reads there."""
        return self.host(host, "cat", "/proc/net/packet").stdout.splitlines()[1:]

    def untouched(self, name="web-1"):
        """Nothing runs, and the agent is the one that it was."""
        assert self.agents[name].poll() is None
        fleet.wait_until(lambda: not self.listens(name), "who listened there to end")


# --------------------------------------------------------------------- stories

def nothing_starts_that_nobody_signed():
    with Fallen("web-1") as system:
        system.agent()
        taken = system.taken
        plain = wire.request("mine")
        taken.refused(plain, "nobody has signed")
        taken.refused(wire.request("for-ever", seconds=0, filter="", interfaces=["any"], snaplen=262144), "nobody has signed")
        baseline = wire.request("baseline", seconds=0, filter="", keep=2)
        taken.order(baseline)  # what stands always waits until the policy has it
        assert "'baseline = yes'" in taken.state(baseline["id"], "waiting")["text"]
        taken.refused(wire.request("guess", signature=b"\1" + secrets.token_bytes(96)), "none of those", "signed")
        taken.refused(wire.request("long", signature=secrets.token_bytes(256)), "none of a form")
        taken.refused(wire.request("short", signature=b"\1"), "none of a form")
        assert not taken.ever_ran()
        system.untouched()


def nothing_signed_is_changed():
    """Widened by any field, prolonged, for another host: the signature is of other bytes then."""
    with Fallen("web-1", "web-2") as system:
        system.agent()
        taken, good = system.taken, system.signed("--on", "web-1", "-s", "96", "-i", "eth0", "--name", "mine", "--rate", "1k")
        changes = ({"filter": ""}, {"filter": "tcp or udp"}, {"interfaces": ["any"]}, {"interfaces": []}, {"snaplen": 262144}, {"snaplen": 0},
                   {"bytes": 0}, {"rate": 0}, {"packets": 1 << 40}, {"end_ns": 0}, {"end_ns": good["end_ns"] + MINUTE_NS},
                   {"expires_ns": wire.UNTIL_EVER}, {"issued_ns": good["issued_ns"] - 1}, {"on": ["*"]}, {"on": []}, {"labels": ["a=b"], "on": []},
                   {"name": "other"}, {"who": "bob@there"}, {"companions": 1 - good.get("companions", 0)}, {"start_ns": good["issued_ns"] + 10**9},
                   {"nonce": secrets.token_bytes(16)}, {"id": secrets.token_bytes(16)}, {"keep": 2})
        for change in changes:
            taken.refused({key: value for key, value in {**good, **change}.items() if value not in (0, [])}, "has not signed this", "not meant for this agent")
        for at in (0, 1, 33, 40, 96):
            broken = bytearray(good["signature"])
            broken[at] ^= 1
            taken.refused({**good, "signature": bytes(broken)}, "none of", "has not signed")
        assert not taken.ever_ran()
        system.untouched()
        taken.forget(good)
        taken.order(good)  # and as it was signed it runs
        state = taken.state(good["id"], "running")
        assert state["interfaces"] == ["eth0"] and state["left_ns"] <= MINUTE_NS, state


def another_host_s_order_is_not_for_this_one():
    with Fallen("web-1", "web-2") as system:
        system.agent("web-2")
        good = system.signed("--on", "web-1")
        system.taken.refused(good, "not meant for this agent", agent="web-2")
        system.untouched("web-2")


def an_end_stays_an_end():
    """left_ns is the collector's, and so are the clocks that it tells."""
    with Fallen("web-1") as system:
        system.agent()
        good = system.signed("--on", "web-1", "--for", "3s")
        system.taken.order(good, left_ns=wire.UNTIL_EVER)
        assert system.taken.ran(good["id"])["left_ns"] <= 3 * 10**9
        system.taken.state(good["id"], "stopped")
        system.taken.order(good, left_ns=wire.UNTIL_EVER)  # it is there, and over
        time.sleep(0.5)
        assert system.taken.state(good["id"], "stopped")
        system.untouched()


def nothing_is_played_twice():
    """After STOP, after its end, behind a restart of the agent, with its spool and without its orders' files."""
    with Fallen("web-1") as system:
        system.agent()
        taken, good = system.taken, system.signed("--on", "web-1", "--for", "20s")
        taken.order(good)
        taken.state(good["id"], "running")
        taken.order()
        taken.state(good["id"], "stopped")
        taken.refused(good, "was here before")
        system.stop_agent("web-1")
        taken.controls.clear()
        system.agent()
        taken.refused(good, "was here before")
        late = system.signed("--on", "web-1", "--for", "2s")
        time.sleep(2.5)
        taken.order(late)  # held back, within the minute that starting may take: it runs as long as was signed, and once
        assert taken.ran(late["id"])["left_ns"] <= 2 * 10**9
        taken.state(late["id"], "stopped")
        taken.refused(late, "was here before", "has expired")
        dry = system.signed("--on", "web-1", "--dry-run")
        taken.refused(dry, "has not signed this")  # that was for a check
        system.untouched()


def the_host_s_policy_narrows_what_was_signed_too():
    with Fallen("web-1", policy={"snaplen": 64, "duration": "10s", "interface": "eth*"}) as system:
        system.agent()
        good = system.signed("--on", "web-1", "--for", "10m", "-i", "any,eth0", words=())
        system.taken.order(good)
        state = system.taken.state(good["id"], "running")
        assert state["interfaces"] == ["eth0"] and state["left_ns"] <= 10 * 10**9 and "at most 64 bytes" in state["text"], state


def floods_and_garbage_do_no_harm():
    with Fallen("web-1") as system:
        system.agent()
        taken = system.taken
        good = system.signed("--on", "web-1")
        wrong = dict(good, filter="tcp")
        link = taken.control()
        generator = random.Random(5)

        def answers():
            """Asks until it does: in a flood answers to checks get lost, whoever asks has a time limit."""
            link.send("Check", token=1, request=wrong)
            time.sleep(0.1)
            return 1 in taken.checked

        def flood(rounds):
            for number in range(rounds):
                many = [dict(wrong, id=generator.randbytes(16)) for _ in range(64)]
                link.send("Orders", orders=[{"request": r, "left_ns": wire.UNTIL_EVER} for r in many])
                link.send("Check", token=1000 + number, request=dict(wrong, id=generator.randbytes(16)))
                link.send("Check", token=5000 + number, request=wire.request("x"))
                link.send("Flush", token=number + 1, capture="*")
            link.send("Orders")
            taken.checked.pop(1, None)
            fleet.wait_until(answers, "an answer behind the flood")

        flood(20)
        before = system.tree()
        flood(200)
        after = system.tree()
        assert set(before) == set(after), (before, after)  # nobody was restarted
        assert sum(after.values()) - sum(before.values()) < GROWTH_KIB + fleet.quarantine_kib(len(after)), (before, after)
        assert not taken.ever_ran() and all(c["code"] != 0 for c in taken.checked.values())
        audit = system.path("spool-web-1.audit")
        assert sum(os.path.getsize(os.path.join(audit, f)) for f in os.listdir(audit)) < 1 << 20, "a flood fills no disk"
        system.untouched()
        # What is no message ends the connection, not the agent
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"FD" + struct.pack("<BBI", 1, wire.NUMBERS["Orders"], 0xFFFFFFFF), b"FD" + struct.pack("<BBI", 1, 250, 4) + b"abcd",
                     b"FD" + struct.pack("<BBI", 1, wire.NUMBERS["Orders"], 1 << 20) + generator.randbytes(1 << 20),
                     b"FD" + struct.pack("<BBI", 1, wire.NUMBERS["Check"], 300) + generator.randbytes(300)):
            taken.controls.clear()
            try:
                link.raw(junk)
                link.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            link = taken.control()
        too_much = copy.deepcopy(good)
        too_much["on"] = ["web-1"] + ["host-%d" % n for n in range(4000)]
        taken.refused(too_much, "at most")
        assert set(system.tree()) == set(before)
        taken.forget(good)
        taken.order(good)
        taken.state(good["id"], "running")


STORIES = (nothing_starts_that_nobody_signed, nothing_signed_is_changed, another_host_s_order_is_not_for_this_one, an_end_stays_an_end,
           nothing_is_played_twice, the_host_s_policy_narrows_what_was_signed_too, floods_and_garbage_do_no_harm)


if __name__ == "__main__":
    sys.exit(lab.tell(STORIES))
