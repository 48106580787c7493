"""Speaks the fleet's protocol as proto/fleetdump.proto and common/net/message.h describe it, as agents and clients of a test's own. Not a
test itself.

with wire.Client(system.address) as client:
    done = client.command("start", request("http", on=["web-*"]))
"""

import json
import os
import pathlib
import re
import secrets
import socket
import ssl
import struct
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 60
UNTIL_EVER = (1 << 64) - 1
ROLES = {"control": 1, "data": 2, "client": 3}
COMMANDS = {"check": 1, "start": 2, "stop": 3, "remove": 4}
PHASES = {"pending": 1, "refused": 2, "waiting": 3, "running": 4, "stopped": 5, "failed": 6, "missed": 7}
QUERIES = {"agents": 1, "captures": 2, "status": 3, "flows": 4, "pull": 5, "orders": 8, "exchanges": 9}


def read_schema():
    """{message: {field: (number, type, repeated)}}"""
    schema, fields = {}, None
    for line in (ROOT / "proto/fleetdump.proto").read_text().splitlines():
        begin = re.match(r"message (\w+) {", line)
        field = re.match(r"\s+(repeated )?(\w+) (\w+) = (\d+);", line)
        if begin:
            fields = schema.setdefault(begin.group(1), {})
        elif field and fields is not None:
            fields[field.group(3)] = (int(field.group(4)), field.group(2), bool(field.group(1)))
    return schema


SCHEMA = read_schema()
NUMBERS = {name.title().replace("_", ""): int(number) for name, number in
           re.findall(r"MESSAGE_(\w+) = (\d+)", (ROOT / "common/net/message.h").read_text())}
NAMES = {number: name for name, number in NUMBERS.items()}


# --------------------------------------------------------------------- protobuf

def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def encode_value(kind, value):
    """(wire type, bytes)"""
    if kind == "fixed64":
        return 1, struct.pack("<Q", value)
    if kind == "sint32":
        return 0, varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind in ("uint32", "uint64", "bool"):
        return 0, varint(int(value))
    data = value.encode() if kind == "string" else bytes(value) if kind == "bytes" else encode(kind, value)
    return 2, varint(len(data)) + data


def encode(name, message):
    out = b""
    for field, value in message.items():
        number, kind, repeated = SCHEMA[name][field]
        for one in value if repeated else [value]:
            wire, data = encode_value(kind, one)
            out += varint(number << 3 | wire) + data
    return out


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def decode_value(kind, raw):
    if kind == "sint32":
        return raw >> 1 if raw & 1 == 0 else -(raw >> 1) - 1
    if kind == "string":
        return raw.decode()
    if kind in ("uint32", "uint64", "bool", "fixed64", "bytes"):
        return raw
    return decode(kind, raw)


def default(kind, repeated):
    return [] if repeated else {"string": "", "bytes": b""}.get(kind, 0 if kind in ("uint32", "uint64", "bool", "fixed64", "sint32") else None)


def decode(name, data):
    numbers = {number: (field, kind, repeated) for field, (number, kind, repeated) in SCHEMA[name].items()}
    message = {field: default(kind, repeated) for field, (_, kind, repeated) in SCHEMA[name].items()}
    at = 0
    while at < len(data):
        key, at = take_varint(data, at)
        if key & 7 == 0:
            raw, at = take_varint(data, at)
        elif key & 7 == 1:
            raw, at = struct.unpack_from("<Q", data, at)[0], at + 8
        else:
            length, at = take_varint(data, at)
            raw, at = data[at:at + length], at + length
        field, kind, repeated = numbers[key >> 3]
        value = decode_value(kind, raw)
        if repeated:
            message[field].append(value)
        else:
            message[field] = value
    return message


# --------------------------------------------------------------------- connections

class Closed(Exception):
    pass


class Peer:
    """A connection that was welcomed; `refused` says why if it was not. `tls`: a folder with ca.pem, cert.pem, key.pem."""

    def __init__(self, address, role, agent="", labels=(), install=None, tls=None):
        host, port = address.rsplit(":", 1)
        self.tls = tls
        self.socket = self.connect(host, int(port))
        self.lock = threading.Lock()
        self.refused = None
        self.send("Hello", protocol=1, role=ROLES[role], software="wire.py", agent=agent, labels=list(labels),
                  install=install or agent.encode().ljust(16, b"\1")[:16], wall_ns=time.time_ns())
        name, message = self.receive()
        if name == "Refuse":
            self.refused = message["text"]

    def connect(self, host, port):
        plain = socket.create_connection((host, port), timeout=WAIT_S)
        if not self.tls:
            return plain
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(os.path.join(self.tls, "ca.pem"))
        context.load_cert_chain(os.path.join(self.tls, "cert.pem"), os.path.join(self.tls, "key.pem"))
        return context.wrap_socket(plain)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def send(self, name, **message):
        payload = encode(name, message)
        with self.lock:
            self.socket.sendall(b"FD" + struct.pack("<BBI", 1, NUMBERS[name], len(payload)) + payload)

    def take(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise Closed()
            data += piece
        return data

    def receive(self):
        header = self.take(8)
        assert header[:2] == b"FD", header
        _, number, length = struct.unpack("<BBI", header[2:])
        return NAMES[number], decode(NAMES[number], self.take(length))


class Client(Peer):
    def __init__(self, address, tls=None):
        super().__init__(address, "client", tls=tls)

    def answer(self):
        """Until DONE: its code, text, manifest, and the bytes before it."""
        data = b""
        while True:
            name, message = self.receive()
            if name == "Result":
                data += message["data"]
            elif name == "Done":
                message["manifest"] = json.loads(message["manifest"]) if message["manifest"] else None
                return dict(message, data=data)
            else:
                raise AssertionError((name, message))

    def command(self, kind, request=None, **more):
        """Agents have all the time to answer that there is, unless `wait_ms` is given."""
        self.send("Command", kind=COMMANDS[kind], **({"request": request} if request else {}), **{"wait_ms": WAIT_S * 1000, **more})
        return self.answer()

    def query(self, kind, **more):
        self.send("Query", kind=QUERIES[kind], **{"until_ns": UNTIL_EVER, "link_type": 0xFFFFFFFF, **more})
        return self.answer()

    def orders(self, which=""):
        done = self.query("orders", capture=which)
        assert done["code"] == 0, done
        return json.loads(done["data"])

    def order(self, which):
        one, = self.orders(which)
        return one


def request(name, seconds=60, **more):
    now = time.time_ns()
    return {"id": secrets.token_bytes(16), "nonce": secrets.token_bytes(16), "name": name, "filter": "tcp port 80", "issued_ns": now,
            "end_ns": now + int(seconds * 1e9) if seconds else 0, "who": "tester@here", **more}


def phases(order):
    return {a["agent"]: a["phase"] for a in order["agents"]}


# --------------------------------------------------------------------- an agent

class Agent:
    """Its control connection, served by a thread. Runs what it is ordered, also while it is not connected, and says so.

    code, text  what it answers to CHECK (0: it can); None: nothing
    flushes     whether it answers FLUSH
    """

    def __init__(self, system, name, labels=(), tls=None):
        self.system, self.name, self.labels, self.tls = system, name, labels, tls
        self.code, self.text, self.flushes = 0, "", True
        self.running = {}  # id: name
        self.orders = None  # of the last ORDERS: names
        self.seen = []  # names of all messages that came
        self.peer = self.thread = None

    def __enter__(self):
        return self.connect()

    def __exit__(self, *_):
        self.leave()

    def connect(self):
        self.orders = None
        self.peer = Peer(self.system.address, "control", self.name, self.labels, tls=self.tls)
        assert not self.peer.refused, self.peer.refused
        for identity in self.running:
            self.tell(identity, "running")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def leave(self):
        if self.peer:
            self.peer.close()
            self.thread.join(WAIT_S)
        self.peer = None

    def tell(self, identity, phase, text="", packets=0):
        self.peer.send("CaptureState", id=identity, phase=PHASES[phase], text=text, interfaces=["eth0"], packets=packets, bytes=100 * packets,
                       left_ns=UNTIL_EVER)

    def serve(self):
        try:
            while True:
                self.take(*self.peer.receive())
        except (Closed, OSError):
            pass

    def take(self, name, message):
        self.seen.append(name)
        if name == "Orders":
            self.take_orders(message["orders"])
        elif name == "Check" and self.code is not None:
            self.peer.send("Checked", token=message["token"], code=self.code, text=self.text, interfaces=["eth0"], packets_per_s=10,
                           bytes_per_s=1000, free_bytes=1 << 30)
        elif name == "Flush" and self.flushes:
            self.peer.send("Flushed", token=message["token"])

    def take_orders(self, orders):
        now = {o["request"]["id"]: o["request"]["name"] for o in orders}
        for identity in list(self.running):
            if identity not in now:
                del self.running[identity]
                self.tell(identity, "stopped", "stopped by the collector's word", 5)
        for identity, name in now.items():
            if identity not in self.running:
                self.running[identity] = name
                self.tell(identity, "running", packets=1)
        self.orders = sorted(now.values())
