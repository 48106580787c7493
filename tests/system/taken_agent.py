#!/usr/bin/env python3
"""An agent that was taken over: it has web-1's certificate and sends what it likes. It cannot speak for another, see what others sent, order
anything, write outside of its own streams, or harm the collector: each try is refused with a reason, nothing grows, and web-2's data stays as it was.

taken_agent.py [STORY...]"""

import hashlib
import json
import os
import secrets
import socket
import ssl
import struct
import subprocess
import sys

import fleet
import wire

HEAD, BODY = 1, 2  # enum part
PIECE = 256 << 10
MEMORY_MIB = 192  # what a collector with almost nothing in it may have grown by, under all that
BOMB_MIB = 512


class Taken(wire.Peer):
    """A connection with web-1's certificate."""

    def __init__(self, system, role, agent="web-1", **more):
        folder = system.security("web-1")["tls"]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(os.path.join(folder, "ca.pem"))
        self.context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
        self.log_at = os.path.getsize(system.path("collector.log"))
        try:
            super().__init__(system.address, role, agent, **more)
        except wire.Closed:  # what is larger than a message may be
            self.refused = "closed, as web-1 sees"

    def connect(self, host, port):
        return self.context.wrap_socket(socket.create_connection((host, port), timeout=wire.WAIT_S))

    def stream(self, epoch, capture="x"):
        """Names it: the answer, as receive gives it."""
        self.send("Stream", epoch=epoch, capture=capture)
        return self.receive()

    def part(self, epoch, seq, part, data, total=None):
        for at in range(0, len(data), PIECE):
            self.send("Piece", epoch=epoch, seq=seq, part=part, total=len(data) if total is None else total, offset=at, data=data[at:at + PIECE])

    def refusal(self, word):
        """The next message must be a refusal that says so, or the end of the connection."""
        name, message = self.receive()
        assert name == "Refuse" and word in message["text"], (word, name, message)
        return message


def turned_away(system, peer, *words):
    """It is told one of the words, or the connection ends and the collector's log has one of them."""
    try:
        while True:
            name, message = peer.receive()
            if name == "Refuse":
                assert any(word in message["text"] for word in words), (words, message)
                return
            assert name in ("StreamState", "Orders", "Clock", "Ack"), (name, message)
    except (wire.Closed, OSError):
        said = lambda: contents(system.path("collector.log"))[peer.log_at:].decode(errors="replace")
        fleet.wait_until(lambda: any(word in said() for word in words), "the log to say one of %s" % (words,))


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Chunk:
    """One of web-1's, made by a real agent and then changed."""

    def __init__(self, system, *changes, capture="taken"):
        self.epoch = secrets.token_bytes(16)
        self.folder = system.path("chunk-" + self.epoch.hex())
        pcap = system.path("one.pcap")
        if not os.path.exists(pcap):
            write_pcap(pcap, 40)
        system.read("web-1", pcap, capture=capture, options=["--out", self.folder])
        tool = [os.path.join(fleet.BIN, "chunk_tool"), "forge", self.folder + "/%016x.head" % 0, self.folder + "/%016x.pcapng.zst" % 0, self.folder + "/forged"]
        done = subprocess.run(tool + ["epoch=" + self.epoch.hex(), *changes], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.head, self.body = contents(self.folder + "/forged.head"), contents(self.folder + "/forged.body")


def write_pcap(path, packets):
    """UDP from 10.9.0.1 to 10.9.0.2, port 7000."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for n in range(packets):
            payload = b"packet %06d of somebody" % n
            udp = struct.pack(">HHHH", 4000, 7000, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xffff, 0, 64, 17, 0, bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]))
            frame = bytes(12) + b"\x08\x00" + ip + udp
            file.write(struct.pack("<IIII", 1700000000 + n // 1000, n % 1000, len(frame), len(frame)) + frame)


def memory_kib(system):
    with open("/proc/%d/status" % system.collector.pid) as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def others_data(system):
    """What a user sees of web-2."""
    path = system.pull("udp port 7000", "--capture", "honest")
    assert b"packet 000299 of somebody" in contents(path)
    rows = system.flows("agent 'web-2'", "--capture", "honest")
    return hashlib.sha256(contents(path)).hexdigest(), json.dumps(rows, sort_keys=True)


def honest_stream(system):
    """The epoch of web-2's stream: as much as a taken-over agent could guess, and more."""
    for chunk in system.json("chunks", "--capture", "honest"):
        return bytes.fromhex(chunk["chunk"][:32])
    raise AssertionError("nothing of web-2 is stored")


# --------------------------------------------------------------------- stories

def it_cannot_greet_as_another(system, _):
    for role in ("control", "data"):
        for name in ("web-2", "", "../web-2", "web-1/../web-2", "WEB-1", "web-1 ", "x" * 300):
            with Taken(system, role, name) as peer:
                assert peer.refused and "web-1" in peer.refused, (role, name, peer.refused)


def it_is_no_user(system, _):
    with Taken(system, "client", "") as peer:
        assert peer.refused and "may not speak for a user" in peer.refused, peer.refused
    messages = {
        "Query": {"kind": wire.QUERIES["flows"], "until_ns": wire.UNTIL_EVER, "link_type": 0xFFFFFFFF},
        "Command": {"kind": wire.COMMANDS["start"], "request": wire.request("mine")},
        "Admin": {"kind": 5, "json": '{"name":"eve","role":"admin"}'},
        "Orders": {"orders": []},
        "Check": {"token": 1, "request": wire.request("mine")},
        "Result": {"data": b"x", "end_of_block": True},
    }
    for role in ("control", "data"):
        for name, message in messages.items():
            with Taken(system, role) as peer:
                assert not peer.refused, peer.refused
                peer.send(name, **message)
                try:
                    while True:
                        got, answer = peer.receive()
                        assert got in ("Refuse", "Orders", "Welcome", "Clock"), (role, name, got, answer)
                        if got == "Refuse":
                            break
                except (wire.Closed, OSError):
                    pass
    assert not system.json("capture", "list")


def it_cannot_touch_anothers_stream(system, epoch):
    with Taken(system, "data") as peer:
        peer.send("Stream", epoch=epoch, capture="honest")
        assert peer.refusal("web-2")["epoch"] == epoch
    for seq in (0, 1, 2, 1 << 40):
        forged = Chunk(system, "agent=web-2", "seq=%d" % seq, capture="honest")
        with Taken(system, "data") as peer:
            peer.send("Stream", epoch=epoch, capture="honest")
            peer.refusal("web-2")
            peer.part(epoch, seq, HEAD, forged.head)  # of a refused stream nothing is looked at
            peer.part(epoch, seq, BODY, forged.body)
            peer.send("BodyFate", epoch=epoch, seq=seq, state=3, gap=1)
            assert peer.stream(secrets.token_bytes(16))[0] == "StreamState"  # the others of the connection go on


def it_cannot_send_in_anothers_name(system, _):
    forged = Chunk(system, "agent=web-2", capture="honest")
    with Taken(system, "data") as peer:
        assert peer.stream(forged.epoch)[0] == "StreamState"
        peer.part(forged.epoch, 0, HEAD, forged.head)
        peer.refusal("agent web-1 sends it")
    head_of_another_stream = Chunk(system)
    with Taken(system, "data") as peer:
        epoch = secrets.token_bytes(16)
        assert peer.stream(epoch)[0] == "StreamState"
        peer.part(epoch, 0, HEAD, head_of_another_stream.head)
        peer.refusal("names another")


def the_same_number_with_other_content_is_refused(system, _):
    one = Chunk(system)
    with Taken(system, "data") as peer:
        assert peer.stream(one.epoch, "taken")[0] == "StreamState"
        peer.part(one.epoch, 0, HEAD, one.head)
        peer.part(one.epoch, 0, BODY, one.body)
        acks = [peer.receive() for _ in range(2)]
        assert acks[-1][0] == "Ack" and acks[-1][1]["body_next"] == 1, acks
    other = Chunk(system, "epoch=" + one.epoch.hex(), "capture=taken2")
    with Taken(system, "data") as peer:
        assert peer.stream(one.epoch, "taken")[1]["head_next"] == 1
        peer.part(one.epoch, 0, HEAD, other.head)
        peer.refusal("hash")
    path = system.pull("udp port 7000", "--capture", "taken", check=(0, 3))  # its stream has not ended
    assert b"packet 000039 of somebody" in contents(path)


def sizes_and_counts_are_held_to(system, _):
    epoch = secrets.token_bytes(16)
    for part, total in ((HEAD, (64 << 20) + 1), (BODY, 1 << 62), (HEAD, 0), (BODY, (1 << 64) - 1)):
        with Taken(system, "data") as peer:
            peer.stream(epoch)
            peer.part(epoch, 0, part, b"x", total=total)
            turned_away(system, peer, "allowed are", "reaches over the total", "piece")
    for pieces in ([(1, b"x")], [(0, b"xx"), (1, b"x")], [(0, b"x"), (1 << 63, b"x")], [(0, b"x"), ((1 << 64) - 1, b"xx")]):  # that do not follow
        with Taken(system, "data") as peer:
            peer.stream(epoch)
            for offset, data in pieces:
                peer.send("Piece", epoch=epoch, seq=0, part=HEAD, total=3, offset=offset, data=data)
            turned_away(system, peer, "item 0", "reaches over the total")
    with Taken(system, "data") as peer:
        peer.send("Piece", epoch=epoch, seq=0, part=HEAD, total=1, offset=0, data=b"x")
        turned_away(system, peer, "not named before")
    with Taken(system, "data") as peer:  # in turns, since the collector reads no more than it answers
        peer.socket.settimeout(wire.WAIT_S)
        try:
            for _ in range(5000):
                peer.send("Stream", epoch=secrets.token_bytes(16), capture="x" * 200)
                name, message = peer.receive()
                if name == "Refuse":
                    assert "too many streams" in message["text"], message
                    break
            else:
                raise AssertionError("5000 streams on one connection")
        except wire.Closed:
            pass
    with Taken(system, "control") as peer:
        peer.socket.sendall(b"FD" + struct.pack("<BBI", 1, wire.NUMBERS["Status"], 0xFFFFFFFF))
        turned_away(system, peer, "4294967295", "too large", "bytes")
    with Taken(system, "data") as peer:
        peer.socket.sendall(b"FD" + struct.pack("<BBI", 1, wire.NUMBERS["Stream"], 200) + secrets.token_bytes(200))
        turned_away(system, peer, "message", "Stream")


def bodies_that_never_end_do_not_add_up(system, _):
    """Many connections, each with a part of a body: the collector keeps that of the newest."""
    def bodies():
        fds = "/proc/%d/fd" % system.collector.pid
        return sum("memfd:body" in os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds))

    peers = []
    for _ in range(6):
        epoch = secrets.token_bytes(16)
        peers.append(Taken(system, "data"))
        peers[-1].stream(epoch)
        peers[-1].send("Piece", epoch=epoch, seq=0, part=BODY, total=100 << 20, offset=0, data=bytes(PIECE))
        peers[-1].stream(secrets.token_bytes(16))  # all before it has been read
    for peer in peers[:-1]:
        peer.refusal("connected anew")
    fleet.wait_until(lambda: bodies() == 1, "one body to be left")
    for peer in peers:
        peer.socket.close()


def bombs_do_not_go_off(system, _):
    """512 MiB in one frame, with a head that is right about everything else; and heads that are nothing but a bomb."""
    zeros = subprocess.run("head -c %dM /dev/zero | zstd -19 --single-thread -c" % BOMB_MIB, shell=True, check=True, capture_output=True).stdout
    bomb = system.path("bomb.zst")
    with open(bomb, "wb") as file:
        file.write(zeros)
    chunk = Chunk(system, "frame=" + bomb, capture="bomb")
    before = memory_kib(system)
    with Taken(system, "data") as peer:
        peer.stream(chunk.epoch, "bomb")
        peer.part(chunk.epoch, 0, HEAD, chunk.head)
        peer.part(chunk.epoch, 0, BODY, chunk.body)
        answers = [peer.receive() for _ in range(2)]  # taken or refused; it is looked into when somebody asks
    done = system.run("pull", "udp port 7000", "--capture", "bomb", "-w", system.path("bomb.pcapng"), check=None)
    if answers[-1][0] == "Ack":
        assert done.returncode != 0 and done.stderr, (done.returncode, done.stderr)
    assert not os.path.exists(system.path("bomb.pcapng")) or os.path.getsize(system.path("bomb.pcapng")) < 1 << 20
    assert memory_kib(system) - before < (MEMORY_MIB << 10) + fleet.quarantine_kib(), (before, memory_kib(system))
    with Taken(system, "data") as peer:
        epoch = secrets.token_bytes(16)
        peer.stream(epoch)
        peer.part(epoch, 0, HEAD, zeros)
        peer.refusal("head")


def names_are_no_paths(system, _):
    for name in ("../../../../tmp/fleetdump-taken", "/tmp/fleetdump-taken", "a\nb\x1b[31m", "..", "x" * 255):
        chunk = Chunk(system, "capture=" + name)
        for said in (name, "x"):  # in the message, or in the head alone
            with Taken(system, "data") as peer:
                try:
                    peer.stream(chunk.epoch, said)
                    peer.part(chunk.epoch, 0, HEAD, chunk.head)
                    peer.receive()
                except (wire.Closed, OSError):
                    fleet.wait_until(lambda: b"control characters" in contents(system.path("collector.log")), "the log to say why")
    with Taken(system, "control", labels=["role=../../x", "a=" + "b" * 60]) as peer:
        peer.receive()
    assert not os.path.exists("/tmp/fleetdump-taken")
    said = contents(system.path("collector.log"))
    assert b"\x1b" not in said
    listed = system.run("captures").stdout
    assert "\x1b" not in listed, listed


STORIES = (it_cannot_greet_as_another, it_is_no_user, it_cannot_touch_anothers_stream, it_cannot_send_in_anothers_name,
           the_same_number_with_other_content_is_refused, sizes_and_counts_are_held_to,
           bodies_that_never_end_do_not_add_up, bombs_do_not_go_off, names_are_no_paths)


def main():
    with fleet.Fleet(tls=True) as system:
        write_pcap(system.path("honest.pcap"), 300)
        system.read("web-2", system.path("honest.pcap"), capture="honest")
        before, epoch, memory = others_data(system), honest_stream(system), memory_kib(system)
        assert len(epoch) == 16
        for story in STORIES:
            if len(sys.argv) > 1 and story.__name__ not in sys.argv[1:]:
                continue
            story(system, epoch)
            assert others_data(system) == before, story.__name__
            assert system.collector.poll() is None, story.__name__
            print(story.__name__)
        assert memory_kib(system) - memory < (MEMORY_MIB << 10) + fleet.quarantine_kib(), (memory, memory_kib(system))
        assert {a["agent"] for a in system.json("agents")} == {"web-1", "web-2"}, system.json("agents")
        system.stop_collector()
        done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")], capture_output=True, text=True)
        print(done.stdout.strip().splitlines()[-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
