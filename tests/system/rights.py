#!/usr/bin/env python3
"""What users with roles and bounds see, with real certificates: all that tcpdump finds with both filters, and nothing else, by any way that leads to data.
A viewer's stolen certificate sees no packet."""

import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time

import fleet
import pcapfile
import wire

SECRET = b"SECRET-OF-THE-PAYLOAD"
FORCED = ("port 80", "src port 80", "not port 80", "host 10.0.0.1 or udp", "tcp[13] & 2 != 0", "ip and not tcp", "greater 200")
ASKED = ("", "tcp", "port 80 or port 53", "not tcp", "not (port 80)", "src host 10.0.0.1 or dst port 443", "tcp[13] & 16 != 0 or udp", "port 443) or (port 80")
SNAPLEN = 60


# ------------------------------------------------------------------ traffic

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ip4(source, target, proto, payload, ident=0, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, 64, proto, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return bytes(12) + b"\x08\x00" + head + payload


def tcp(source, sport, target, dport, seq, ack, flags, data=b""):
    return ip4(source, target, 6, struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 65535, 0, 0) + data)


def udp(source, sport, target, dport, data):
    return ip4(source, target, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)


def connection(client, sport, server, dport):
    yield tcp(client, sport, server, dport, 100, 0, 2)
    yield tcp(server, dport, client, sport, 500, 101, 18)
    yield tcp(client, sport, server, dport, 101, 501, 16, b"GET /" + SECRET * 10)
    yield tcp(server, dport, client, sport, 501, 316, 24, SECRET * 40)
    yield tcp(client, sport, server, dport, 316, 1341, 17)
    yield tcp(server, dport, client, sport, 1341, 317, 17)


def requests(client, sport, server, dport):
    """A connection whose first request is answered; the reply to the second never comes."""
    asked, said = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    yield tcp(client, sport, server, dport, 100, 0, 2)
    yield tcp(server, dport, client, sport, 500, 101, 18)
    yield tcp(client, sport, server, dport, 101, 501, 24, asked % b"one")
    yield tcp(server, dport, client, sport, 501, 101 + len(asked % b"one"), 24, said)
    yield tcp(client, sport, server, dport, 101 + len(asked % b"one"), 501 + len(said), 24, asked % b"two")
    yield tcp(server, dport, client, sport, 501 + len(said), 101 + len(asked % b"one" + asked % b"two"), 20)


def frames():
    yield from requests("10.0.0.1", 41000, "10.0.9.10", 8080)
    for port in (80, 443):
        for i in range(3):
            yield from connection("10.0.0.%d" % (1 + i), 40000 + i, "10.0.9.9", port)
    for i in range(4):
        yield udp("10.0.0.%d" % (1 + i), 5000, "10.0.9.53", 53, SECRET * 3)
        yield udp("10.0.9.53", 53, "10.0.0.%d" % (1 + i), 5000, SECRET * 5)
    big = struct.pack("!HHHH", 80, 7777, 8 + 1000, 0) + bytes(992)
    yield ip4("10.0.0.1", "10.0.9.7", 17, big[:800], 77, 0x2000)
    yield ip4("10.0.0.1", "10.0.9.7", 17, big[800:], 77, 100)
    yield bytes(12) + b"\x08\x06" + bytes(28)


def make_capture(path, begin_s):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames()):
            file.write(struct.pack("<IIII", int(begin_s) + i // 10, i % 10 * 1000, len(frame), len(frame)) + frame)
    return path


# ------------------------------------------------------------------ users

class User:
    """A user with a certificate, and a home of his own."""

    def __init__(self, system, name, *rights):
        self.system, self.name, self.home = system, name, system.path("home-" + name)
        system.authority.issue("user", name, self.home)
        self.become(*rights)

    def become(self, *rights):
        self.system.run("admin", "user", "add", self.name, *rights)

    def run(self, *arguments, check=(0,), **more):
        return self.system.run(*arguments, check=check, environment={"FLEETDUMP_HOME": self.home}, **more)

    def json(self, *arguments, check=(0,)):
        return json.loads(self.run(*arguments, "-o", "json", check=check).stdout)

    def refused(self, *arguments, says=""):
        done = self.run(*arguments, check=(1, 2))
        assert says in done.stderr, (arguments, done.stderr)
        return done

    def pull(self, text, *options):
        """The packets, and the manifest."""
        path, manifest = self.system.path("pulled.pcapng"), self.system.path("manifest.json")
        self.run("pull", text, "-w", path, "--manifest", manifest, "--vantage", "all", *options)
        interfaces, packets, damage = pcapfile.read(path)
        assert not damage, damage
        with open(manifest) as file:
            return interfaces, packets, json.load(file)


class Wire(wire.Client):
    """Speaks for itself with a certificate that it found."""

    def __init__(self, address, home):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(os.path.join(home, "ca.pem"))
        context.load_cert_chain(os.path.join(home, "cert.pem"), os.path.join(home, "key.pem"))
        self.context = context
        super().__init__(address)

    def connect(self, host, port):
        return self.context.wrap_socket(socket.create_connection((host, port), timeout=wire.WAIT_S))


def tcpdump(path, text):
    """(time, bytes, length) of each packet that it finds."""
    done = subprocess.run(["tcpdump", "-n", "-r", path, "-w", "-", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    with open(path + ".found", "wb") as file:
        file.write(done.stdout)
    return [(p.time_ns, p.data, p.wire) for p in pcapfile.read(path + ".found")[1]]


# ------------------------------------------------------------------ stories

def roles(system):
    """Each role may what it may, and no more."""
    viewer, analyst, operator = User(system, "vic", "--role", "viewer"), User(system, "ann", "--role", "analyst"), User(system, "oli", "--role", "operator")
    chunk, flow = system.json("chunks")[0]["chunk"], system.json("flows", "tcp", "--since", "1h")[0]["id"]
    for user in (viewer, analyst, operator):
        assert user.json("flows", "--since", "1h") and user.json("agents") and user.json("captures")
        assert [r["path"] for r in user.json("http", "port 8080", "--since", "1h", "--on", "web-1")] == ["/one", "/two"]
        user.refused("admin", "user", "list", says="takes the role admin")
        user.refused("admin", "user", "add", user.name, "--role", "admin", says="takes the role admin")
        user.refused("admin", "list", says="takes the role admin")
    for command in (["pull", "tcp", "-w", "/dev/null"], ["print", "tcp"], ["show", flow], ["export", chunk, "-w", "/dev/null"]):
        viewer.refused(*command, says="takes the role analyst")
    for user in (viewer, analyst):
        user.refused("capture", "start", "-A", "--for", "1s", "tcp", says="takes the role operator")
        user.refused("capture", "stop", "*", says="takes the role operator")
    assert analyst.pull("tcp")[1]
    operator.refused("capture", "stop", "*", says="there is no capture")
    stranger = User(system, "eve", "--role", "viewer")
    system.run("admin", "user", "remove", "eve")
    stranger.refused("flows", says="admin user add eve")
    assert "-> fleetdump login" in stranger.run("doctor", check=(1,)).stdout


def a_stolen_certificate_of_a_viewer_sees_no_packet(system):
    """By no request that there is."""
    User(system, "sly", "--role", "viewer")
    home, chunk = system.path("home-sly"), system.json("chunks")[0]["chunk"].split(".")
    for kind in range(1, 9):
        with Wire(system.address, home) as thief:
            thief.send("Query", kind=kind, until_ns=wire.UNTIL_EVER, link_type=0xFFFFFFFF, packets_only=1, epoch=bytes.fromhex(chunk[0]), seq=int(chunk[1]))
            answer = thief.answer()
            everything = answer["data"] + json.dumps(answer["manifest"]).encode() + answer["text"].encode()
            assert SECRET not in everything and b"GET /" not in everything, kind
            assert (answer["code"] == -13) == (kind in (wire.QUERIES["pull"], 7)), (kind, answer)
    with Wire(system.address, home) as thief:
        assert thief.command("start", wire.request("mine", filter=""))["code"] == -13
    with Wire(system.address, home) as thief:
        thief.send("Hello", protocol=1, role=2, agent="web-1")
        assert thief.receive()[0] == "Refuse"
    done = subprocess.run(["openssl", "s_client", "-connect", system.address], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert SECRET not in done.stdout


def bound_to_labels(system):
    """Of other agents there is nothing, not even a name."""
    user = User(system, "lea", "--role", "operator", "--label", "role=web")
    assert [a["agent"] for a in user.json("agents")] == ["web-1"]
    assert {f["agent"] for f in user.json("flows", "--since", "1h")} == {"web-1"}
    assert {r["agent"] for r in user.json("http", "--since", "1h")} == {"web-1"}
    assert {c["agents"] for c in user.json("captures")} == {"web-1"}
    assert {c["agent"] for c in user.json("chunks")} == {"web-1"}
    assert {i.name.split("/")[0] for i in user.pull("", "--link-type", "1")[0]} == {"web-1"}
    for command in (["flows", "--on", "db-1"], ["flows", "agent db-1"], ["pull", "tcp", "--on", "db-*", "-w", "/dev/null"]):
        done = user.run(*command, "--since", "1h")
        assert "db-1" not in done.stdout and "nothing found among what you may see" in done.stderr, done.stderr
    for kind in wire.QUERIES.values():
        with Wire(system.address, user.home) as peer:
            peer.send("Query", kind=kind, until_ns=wire.UNTIL_EVER, link_type=0xFFFFFFFF, agents=["*"])
            answer = peer.answer()
            assert b"db-1" not in answer["data"] + json.dumps(answer["manifest"]).encode(), kind
    other, = {c["chunk"] for c in system.json("chunks", "--on", "db-1") if c["kind"] == "chunk"}
    user.refused("export", other, "-w", "/dev/null", says="no such chunk among the agents")
    user.refused("status", says="cannot be held to the labels")
    user.refused("capture", "start", "-A", "--for", "1s", "tcp", says="--label role=web")
    for command in (["flows", "--since", "1h"], ["capture", "list"]):
        done = user.run(*command)
        assert "you may see only: agents with role=web" in done.stderr, done.stderr
    assert "web-1" in user.run("doctor").stdout
    nobody = User(system, "ned", "--role", "viewer", "--label", "role=none")
    done = nobody.run("agents")
    assert "among what you may see" in done.stderr and "ever" not in done.stderr, done.stderr
    assert nobody.json("agents") == []


def who_ordered_is_who_the_certificate_names(system):
    """Whatever account it is, and whatever the request says."""
    user = User(system, "otto", "--role", "operator")
    assert user.run("key", "new").stdout.startswith("operator otto ")
    assert user.run("key", "show").stdout.startswith("operator otto ")
    with Wire(system.address, user.home) as peer:
        assert peer.command("start", wire.request("unsigned", on=["db-1"]), partial=1)["code"] == 0
        done = peer.command("start", wire.request("signed", on=["db-1"], signature=bytes(97)), partial=1)
        assert done["code"] == -13 and "by 'tester@here', and the certificate is that of otto" in done["text"], done
    user.run("capture", "start", "--on", "db-1", "--partial", "--name", "mine", "--for", "1h", "--no-wait", "tcp", check=(0, 3))
    assert {c["capture"]: c["who"] for c in system.json("capture", "list")} == {"unsigned": "otto", "mine": "otto"}
    for name in ("unsigned", "mine"):
        user.run("capture", "stop", name, check=(0, 3))


def forced_filters(system):
    """Exactly the packets that tcpdump finds with both; text of the one cannot get at the other."""
    user = User(system, "fay", "--role", "viewer")
    capture, every = system.path("now.pcap"), 0
    for forced in FORCED:
        user.become("--role", "analyst", "--filter", forced, "--snaplen", str(SNAPLEN))
        for asked in ASKED:
            if ") or (" in asked:  # no filter by itself
                user.refused("pull", asked, "-w", "/dev/null")
                continue
            one, other = tcpdump(capture, forced), tcpdump(capture, asked)
            want = [(t, data[:SNAPLEN], length) for t, data, length in one if (t, data, length) in other]
            interfaces, packets, manifest = user.pull(asked, "--on", "web-1", "--packets")
            got = [(p.time_ns, p.data, p.wire) for p in packets]
            assert sorted(got) == sorted(want), (forced, asked, len(got), len(want))
            assert all(i.snaplen <= SNAPLEN for i in interfaces if i.name != "none")
            assert manifest["bounds"]["filter"] == forced and manifest["bounds"]["packets_cut"] == sum(w[2] > SNAPLEN for w in want)
            for a in manifest["agents"]:  # how much passed is withheld, and that is not 0; what was lost is said
                assert (a["chunks"], a["missing_packets"], a["counters"]["received"], a["counters"]["kept"]) == (None,) * 4, a
                assert a["counters"]["kernel_drops"] == 0, a
            every += len(got)
        # whole connections are no way around it
        want = [(t, data[:SNAPLEN], length) for t, data, length in tcpdump(capture, forced)]
        _, packets, _ = user.pull("bytes > 0 or bytes = 0", "--on", "web-1")
        assert {(p.time_ns, p.data, p.wire) for p in packets} <= set(want), forced
    assert every > 100
    user.refused("export", system.json("chunks")[0]["chunk"], "-w", "/dev/null", says="cannot be held to the filter")
    user.refused("chunks", says="cannot be held to the filter")
    assert all("packets" not in a for a in user.json("agents")) and all("packets" not in c for c in user.json("captures"))
    assert not any({"first", "last"} & set(c) for c in user.json("captures"))


def flows_that_only_partly_fit(system):
    user = User(system, "fio", "--role", "viewer", "--filter", "port 80")
    all80 = system.json("flows", "tcp and port 80", "--since", "1h", "--on", "web-1")
    seen = user.json("flows", "--since", "1h", "--on", "web-1")
    # the UDP flow from port 80 has a later fragment, which shows no port
    assert len(all80) == 3 and sorted(f["id"] for f in seen) == sorted(f["id"] for f in all80)
    assert "1 connection is left out" in user.run("flows", "--since", "1h", "--on", "web-1").stderr
    user.become("--role", "viewer", "--filter", "port 8080")
    assert {r["path"] for r in user.json("http", "port 8080 or not port 8080", "--since", "1h", "--on", "web-1")} == {"/one", "/two"}
    user.become("--role", "viewer", "--filter", "dst port 8080")
    done = user.run("http", "--since", "1h", "--on", "web-1", "-o", "json")
    assert json.loads(done.stdout) == [] and "2 exchanges are left out" in done.stderr, done.stderr
    user.become("--role", "viewer", "--filter", "src port 80")
    done = user.run("flows", "tcp", "--since", "1h", "--on", "web-1", "-o", "json")
    assert json.loads(done.stdout) == [] and "3 connections are left out" in done.stderr, done.stderr
    user.become("--role", "viewer", "--filter", "tcp[13] & 2 != 0")
    user.refused("flows", "--since", "1h", says="you are bound to")


def what_is_cut_off_cannot_be_asked_for(system):
    """Bytes beyond the snaplen match nothing."""
    deep = "tcp[60:4] = 0x%s" % (b"GET /" + SECRET * 10)[40:44].hex()
    user = User(system, "sam", "--role", "analyst")
    assert user.pull(deep)[1]
    user.become("--role", "analyst", "--snaplen", "80")
    assert not user.pull(deep)[1]
    assert user.pull("tcp[13] & 2 != 0")[1]
    user.refused("http", "--since", "1h", says="cannot be held to the snaplen")
    assert not any({"http_host", "status", "status_2xx"} & set(f) for f in user.json("flows", "--since", "1h"))


def no_older_than(system):
    """What lies before the range is not there; rows that reach over its beginning are left out."""
    user = User(system, "ron", "--role", "analyst", "--range", "30m")
    shown, = [l for l in system.run("admin", "user", "list").stdout.splitlines() if l.startswith("ron ")]
    assert "30m" in shown, shown
    assert system.json("flows", "--capture", "old")
    assert user.json("flows", "--capture", "old", "--since", "1d") == []
    assert system.json("http", "--capture", "old") and user.json("http", "--capture", "old", "--since", "1d") == []
    assert not user.pull("", "--capture", "old", "--since", "1d")[1]
    assert user.pull("tcp", "--capture", "now")[1]
    assert "nothing before" in user.run("flows", "--since", "1d").stderr
    times = {c["capture"]: (c.get("first"), c.get("last")) for c in user.json("captures")}
    assert times["old"] == (None, None) and all(times["now"]), times


def orders_of_others(system):
    """Who is bound sees of an order that reaches further that it is there, and how his own agents do; not what others look for, where, nor who."""
    secret = ("10.9.9.9", "db-1", "*-1", "tester")
    with wire.Agent(system, "web-5", ["role=web"], tls=system.security("web-5")["tls"]) as agent:
        lea = User(system, "lea", "--role", "operator", "--label", "role=web")
        fil = User(system, "fil", "--role", "operator", "--filter", "port 80")
        start = lambda run, name, *more: run("capture", "start", "--partial", "--no-wait", "--for", "1h", "--name", name, *more, check=(0, 3))
        start(system.run, "wide", "--on", "*-1", "--on", "web-5", "host 10.9.9.9")
        start(system.run, "narrow", "--label", "role=web", "host 10.9.9.8")
        start(lea.run, "lea-s", "--label", "role=web", "host 10.9.9.7")
        start(fil.run, "fil-s", "-A", "port 80")
        fleet.wait_until(lambda: set(agent.running.values()) == {"wide", "narrow", "lea-s", "fil-s"}, "all to run")
        system.run("capture", "stop", "wide", check=(0, 3))
        fleet.wait_until(lambda: "wide" not in agent.running.values(), "one to be stopped")

        def seen(user):
            with Wire(system.address, user.home) as peer:
                return {o["capture"]: o for o in peer.orders() if o["capture"] in ("wide", "narrow", "lea-s", "fil-s")}

        fleet.wait_until(lambda: {a["agent"]: a["phase"] for a in seen(lea)["wide"]["agents"]}.get("web-5") == "stopped", "it to be known")
        of_lea, of_fil = seen(lea), seen(fil)
        whole = lambda orders: {name: o["filter"] for name, o in orders.items() if o["filter"] is not None}
        assert whole(of_lea) == {"narrow": "host 10.9.9.8", "lea-s": "host 10.9.9.7"}, of_lea
        assert whole(of_fil) == {"fil-s": "port 80"}, of_fil
        for order in (of_lea["wide"], of_fil["wide"], of_fil["narrow"], of_lea["fil-s"]):
            assert all(order[key] is None for key in ("filter", "selector", "interfaces", "who")) and order["why"] == "", order
        assert of_lea["wide"]["state"] == "over" and {a["agent"] for a in of_lea["wide"]["agents"]} == {"web-1", "web-5"}, of_lea
        assert not any(word in json.dumps(of_lea["wide"]) for word in secret), of_lea["wide"]
        assert of_lea["narrow"]["who"] == "tester" and of_lea["narrow"]["selector"] == "-l 'role=web'", of_lea["narrow"]
        done = lea.run("capture", "show", "wide")
        assert "reaches further" in done.stderr and not any(word in done.stdout + done.stderr for word in secret), done
        assert "10.9.9.8; agents: -l 'role=web'; started by tester" in lea.run("capture", "show", "narrow").stderr
        assert "stopped by tester" in system.run("capture", "show", "wide").stdout
        system.run("capture", "stop", "*", check=(0, 3))


def filters_of_others(system):
    """What a capture was told to capture tells of whoever looks for it: not in the list of what is stored, nor in a file."""
    secret = "host 10.0.0.1 or port 53"
    bob = User(system, "bob", "--role", "operator", "--label", "role=web")
    start = lambda run, name, *more: run("capture", "start", "--partial", "--no-wait", "--for", "1h", "--name", name, *more, check=(0, 3))
    start(system.run, "theirs", "--on", "*-1", secret)
    start(bob.run, "bob-s", "--label", "role=web", "port 80")
    for name, text in (("theirs", secret), ("bob-s", "port 80"), ("nobody-s", secret)):
        system.read("web-1", system.path("now.pcap"), capture=name, options=["--filter", text], label="role=web")

    def of(user):
        return {c["capture"]: c.get("filter") for c in user.json("captures") if c["capture"] in ("theirs", "bob-s", "nobody-s")}

    def file_of(user, name):
        path = system.path("of-somebody.pcapng")
        user.run("pull", "", "--capture", name, "-w", path, "--manifest", path + ".json", check=(0, 3))
        with open(path, "rb") as file, open(path + ".json", "rb") as manifest:
            return file.read() + manifest.read()

    for bound in (["--label", "role=web"], ["--filter", "port 80"]):
        bob.become("--role", "operator", *bound)
        assert of(bob) == {"theirs": None, "nobody-s": None, "bob-s": "port 80"}, of(bob)
        assert secret not in bob.run("captures").stdout
        for name in ("theirs", "nobody-s"):
            assert secret.encode() not in file_of(bob, name), name
        assert b"\x0b\x00\x08\x00\0port 80" in file_of(bob, "bob-s")  # if_filter, as text
    bob.become("--role", "operator", "--snaplen", "60")  # tells nothing of who else looks
    for user in (system, bob):
        assert of(user) == {"theirs": secret, "nobody-s": secret, "bob-s": "port 80"}, of(user)
        assert secret.encode() in (file_of(user, "theirs"))
    system.run("capture", "stop", "*", check=(0, 3))


def main():
    with fleet.Fleet(tls=True) as system:
        now = time.time()
        capture = make_capture(system.path("now.pcap"), now - 600)
        make_capture(system.path("old.pcap"), now - 7200)
        system.read("web-1", capture, capture="now", label="role=web")
        system.read("web-1", system.path("old.pcap"), capture="old", label="role=web")
        system.read("db-1", capture, capture="now", label="role=db")
        for story in (roles, a_stolen_certificate_of_a_viewer_sees_no_packet, bound_to_labels, who_ordered_is_who_the_certificate_names, forced_filters, flows_that_only_partly_fit,
                      what_is_cut_off_cannot_be_asked_for, no_older_than, orders_of_others, filters_of_others):
            story(system)
            print(story.__name__.replace("_", " ") + ": right", flush=True)


if __name__ == "__main__":
    sys.exit(main())
