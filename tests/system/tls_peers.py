#!/usr/bin/env python3
"""Peers that speak TLS badly, or for others: refused with a reason in the log, and nothing of them stays: no memory, no descriptors.
And the other way round: agents and the command line at collectors that are none."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import certificates
import fleet

HELLO, STATUS, REFUSE = 1, 9, 3
CONTROL, CLIENT = 1, 3  # roles
AGAIN = 150             # times that each is tried, to see what grows
GROWTH_MB = 12          # of which the allocator may keep some
SLOW, SESSIONS = 400, 40


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def frame(kind, payload):
    return b"FD" + struct.pack("<BBI", 1, kind, len(payload)) + payload


def hello(role, agent=""):
    name = agent.encode()
    return frame(HELLO, b"\x08\x01\x10" + bytes([role]) + (b"\x2a" + varint(len(name)) + name if name else b"") + b"\x32\x10" + bytes(16))


class Peers:
    """Whoever wants to talk to the collector of a fleet."""

    def __init__(self, system):
        self.system = system
        self.other = certificates.Authority(system.path("other-authority"), "others")
        host, port = system.address.split(":")
        self.where = host, int(port)
        self.count = 0

    def certificate(self, name, kind="agent", authority=None, **more):
        folder = self.system.path("peer-" + name)
        if not os.path.isdir(folder):
            (authority or self.system.authority).issue(kind, name, folder, trusted=self.system.authority, **more)
        return folder

    def said(self):
        """What the collector's log says, since the last call."""
        with open(self.system.path("collector.log"), errors="replace") as log:
            text = log.read()
        new, self.count = text[self.count:], len(text)
        return new

    def log_says(self, *words):
        seen = [""]

        def there():
            seen[0] += self.said()
            return all(w in seen[0] for w in words)
        try:
            fleet.wait_until(there, str(words))
        except AssertionError:
            raise AssertionError("the log does not say %s but: %s" % (words, seen[0])) from None

    def s_client(self, *options, folder=None, given=b""):
        """openssl s_client: (exit status, what it printed)."""
        own = ["-cert", folder + "/cert.pem", "-key", folder + "/key.pem"] if folder else []
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % self.where, "-CAfile", self.system.authority.path("ca.pem"), "-quiet", *own,
                               *options], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.returncode, done.stdout.decode(errors="replace")

    def talk(self, folder, data=b"", cut=False):
        """As a client of that certificate (None: of none): what came back until the end. `cut`: goes without a word
        after the first answer."""
        context = ssl.create_default_context(cafile=self.system.authority.path("ca.pem"))
        context.check_hostname = False
        if folder:
            context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
        answer = b""
        with socket.create_connection(self.where, timeout=30) as plain:
            try:
                with context.wrap_socket(plain) as secure:
                    secure.sendall(data)
                    while piece := secure.recv(65536):
                        answer += piece
                        if cut:  # only our half: unread bytes would turn the end into a reset
                            secure.shutdown(socket.SHUT_WR)
                            cut = False
            except (ssl.SSLError, OSError):
                pass
        return answer


# ------------------------------------------------------------- at the collector
def old_versions(peers):
    folder = peers.certificate("web-1")
    for version in ("-tls1_2", "-tls1_1", "-tls1"):
        status, text = peers.s_client(version, "-cipher", "ALL:@SECLEVEL=0", folder=folder)
        assert status != 0, text
        peers.log_says("refused", "older version of TLS")


def bad_certificates(peers):
    for name, word, more in (("expired", "agent expired, was good until", {"days": (-40, -10)}), ("early", "agent early, is good only from", {"days": (10, 40)}),
                             ("stranger", "agent stranger, is not of the authority that is trusted here", {"authority": peers.other}),
                             ("nameless", "does not say who it is of", {"names": ""}),
                             ("twice", "more than one identity", {"names": "URI:fleetdump://agent/twice,URI:fleetdump://user/tester"}),
                             ("hub-2", "collector hub-2, is made for another purpose", {"kind": "collector", "names": "URI:fleetdump://collector/hub-2"})):
        folder = peers.certificate(name, **more)
        peers.s_client("-ign_eof", folder=folder, given=hello(CONTROL, name))
        peers.log_says("127.0.0.1:", "refused", word)
    folder = peers.certificate("alone")  # signed by itself
    certificates.openssl("req", "-x509", "-key", folder + "/key.pem", "-subj", "/CN=x", "-addext", "subjectAltName=URI:fleetdump://agent/alone",
                         "-out", folder + "/cert.pem")
    peers.s_client("-ign_eof", folder=folder, given=hello(CONTROL, "alone"))
    peers.log_says("agent alone", "not of the authority that is trusted here")


def organisations_own(peers):
    """What an authority makes that cannot write our URI, and other kinds of keys."""
    for name, key in (("rsa-1", ("rsa:2048",)), ("ec-1", ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))):
        folder = peers.certificate(name, subject="/OU=fleetdump-agent/CN=" + name, names="", key=key)
        peers.talk(folder, hello(CONTROL, name), cut=True)
        peers.log_says("agent %s connected" % name)


def speaking_for_others(peers):
    web, user = peers.certificate("web-1"), peers.certificate("eve", kind="user")
    for folder, data, words in ((web, hello(CONTROL, "db-1"), ("agent web-1", "agent db-1")), (web, hello(CLIENT), ("agent web-1", "a user")),
                                (user, hello(CONTROL, "web-1"), ("user eve", "agent web-1")), (None, hello(CONTROL, "web-1"), ("no certificate came", "join")),
                                (None, hello(CLIENT), ("no certificate came", "login")), (None, frame(STATUS, b""), ("begins with a HELLO",))):
        answer = peers.talk(folder, data)
        assert answer[:2] == b"FD" and answer[3] == REFUSE and all(w.encode() in answer for w in words), (words, answer)
        peers.log_says("refused", *words)


def cut_and_oversized(peers):
    folder = peers.certificate("web-1")
    peers.talk(folder, hello(CONTROL, "web-1"), cut=True)
    peers.log_says("web-1", "was cut off")
    peers.talk(folder, b"FD\x01\x01" + struct.pack("<I", 1 << 20) + bytes(100_000))
    peers.log_says("65536")
    huge = peers.certificate("huge", names=",".join(["URI:fleetdump://agent/huge"] + ["DNS:%d.%s.example" % (n, "x" * 40) for n in range(900)]))
    peers.talk(huge, hello(CONTROL, "huge"))
    peers.log_says("its certificates are larger than is taken")
    with socket.create_connection(peers.where, timeout=30) as plain:
        plain.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(1000))
    peers.log_says("before TLS was agreed on")


def no_tls_at_all(peers):
    with socket.create_connection(peers.where, timeout=30) as plain:
        plain.sendall(hello(CONTROL, "web-1"))
        answer = plain.recv(65536)
    assert answer[3] == REFUSE and b"encrypted" in answer, answer
    peers.log_says("refused", "does not speak TLS", "insecure_plaintext")
    with socket.create_connection(peers.where, timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.recv(65536)
    peers.log_says("does not speak TLS")


def memory_mb(pid):
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def nothing_grows(peers):
    pid = peers.system.collector.pid
    kinds = [(peers.certificate("stranger"), b""), (peers.certificate("huge"), b""), (None, hello(CLIENT)), (peers.certificate("web-1"), b"F" * 20000),
             (peers.certificate("web-1"), hello(CONTROL, "db-1"))]

    def all_of_them(times):
        threads = [threading.Thread(target=lambda k=k: [peers.talk(*k) for _ in range(times)]) for k in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    all_of_them(10)
    before = memory_mb(pid), files(pid)
    all_of_them(AGAIN)
    fleet.wait_until(lambda: files(pid) <= before[1], "the connections to be closed")
    grown = memory_mb(pid) - before[0]
    assert grown < GROWTH_MB + fleet.quarantine_kib() / 1024, "%d refused connections: %.1f MB more" % (AGAIN * len(kinds), grown)
    print("%d refused connections: %+.1f MB" % (AGAIN * len(kinds), grown))


def the_slow(peers):
    """Slowloris: handshakes that never end take all places. Who has something to say gets in nevertheless, and soon all is as before."""
    pid = peers.system.collector.pid
    before = memory_mb(pid), files(pid)
    peers.said()
    slow = []
    for _ in range(SLOW):
        s = socket.create_connection(peers.where, timeout=30)
        try:
            s.sendall(b"\x16\x03\x01\x02\x00\x01")
        except OSError:
            pass
        slow.append(s)
    most = files(pid)
    assert most <= before[1] + SESSIONS + 20, "%d files for %d sessions" % (most, SESSIONS)

    def answered():
        return peers.system.run("status", check=None).returncode == 0
    fleet.wait_until(answered, "the collector to answer although all places are taken")
    fleet.wait_until(lambda: files(pid) <= before[1] + 1, "the slow ones to be left")
    peers.log_says("its place was needed", "did not agree on TLS in time")
    grown = memory_mb(pid) - before[0]
    assert grown < GROWTH_MB + fleet.quarantine_kib() / 1024, "%.1f MB more" % grown
    for s in slow:
        s.close()


# ------------------------------------------------------------- at agents and users
class Impostor:
    """Says it is the collector: with that certificate, or in plain text."""

    def __init__(self, folder=None, version=None):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if folder else None
        if folder:
            self.context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
            self.context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
        self.heard = b""  # of what was meant for a collector
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            with plain:
                try:
                    with (self.context.wrap_socket(plain, server_side=True) if self.context else plain) as connection:
                        got = connection.recv(65536)
                        self.heard += got if self.context else b""
                        connection.sendall(frame(2, b"\x08\x01"))
                except OSError:
                    pass


def collectors_that_are_none(peers):
    system = peers.system
    stranger = certificates.Authority(system.path("third"), "third").issue("collector", "hub", system.path("third-hub"))
    user = system.authority.issue("user", "eve", system.path("eve-hub"), names="URI:fleetdump://user/eve", days=(-1, 30))
    old = system.authority.issue("collector", "hub", system.path("old-hub"), days=(-40, -10))
    good = system.path("tls-collector")
    for impostor, word in ((Impostor(stranger), "not of the authority that is trusted here"), (Impostor(user), "made for another purpose"), (Impostor(old), "was good until"),
                           (Impostor(good, ssl.TLSVersion.TLSv1_2), "TLS"), (Impostor(), "")):
        done = system.run("status", "--collector", impostor.address, check=(1,))
        assert word in done.stderr and impostor.address in done.stderr, done.stderr
        assert impostor.heard == b"", impostor.heard
        impostor.socket.close()
    impostor = Impostor(stranger)
    system.start_agent("web-9", collector=impostor.address)
    said = lambda: open(system.path("web-9.log"), errors="replace").read()
    fleet.wait_until(lambda: "not of the authority that is trusted here" in said(), "the agent to say why")
    assert impostor.heard == b"", impostor.heard
    system.stop_agent("web-9")
    impostor.socket.close()


def agents_that_are_not_let_in(peers):
    system = peers.system
    owner = certificates.ship_user()
    system.authority.issue("agent", "web-8", system.path("tls-web-8"), days=(-40, -10), owner=owner)
    system.start_agent("web-8")
    fleet.wait_until(lambda: "its time is over" in open(system.path("web-8.log"), errors="replace").read(), "the agent to say why")
    peers.log_says("agent web-8", "was good until", "the clock here says")
    system.authority.issue("agent", "web-8", system.path("tls-web-8"), owner=owner)  # renewed while it runs
    fleet.wait_until(lambda: [a["connected"] for a in system.json("agents") if a["agent"] == "web-8"] == [True], "the renewed certificate to be used")
    system.stop_agent("web-8")
    problem = lambda: [a.get("problem", "") for a in system.json("agents") if a["agent"] == "web-8"][0]
    fleet.wait_until(lambda: [a["connected"] for a in system.json("agents") if a["agent"] == "web-8"] == [False], "its end to be known")
    peers.talk(system.path("tls-web-8"), hello(CONTROL, "db-1"))
    fleet.wait_until(lambda: "may not speak for agent db-1" in problem(), "the list of agents to say that it was refused")
    system.authority.issue("agent", "web-8", system.path("tls-web-8"), days=(-40, -10), owner=owner)
    system.start_agent("web-8")
    fleet.wait_until(lambda: "agent web-8, was good until" in problem(), "the list of agents to say that its certificate is over")
    assert "web-8 is away since" in (said := system.run("doctor", check=None).stdout) and "was good until" in said, said
    system.stop_agent("web-8")
    system.authority.issue("agent", "web-8", system.path("tls-web-8"), owner=owner)
    system.start_agent("web-8")
    fleet.wait_until(lambda: "refused" not in problem(), "it to be let in")
    system.stop_agent("web-8")
    for what, word in ((lambda f: os.chmod(f + "/key.pem", 0o644), "chmod 600"), (lambda f: os.unlink(f + "/ca.pem"), "ca.pem")):
        what(system.path("tls-web-8"))
        system.start_agent("web-8")
        fleet.wait_until(lambda w=word: w in open(system.path("web-8.log"), errors="replace").read(), "the agent to say why")
        system.stop_agent("web-8")
        os.chmod(system.path("tls-web-8", "key.pem"), 0o600)
    system.start_agent("web-7", tls=system.path("peer-web-1"))
    fleet.wait_until(lambda: "set name = web-1" in open(system.path("web-7.log"), errors="replace").read(), "the agent to say why")
    system.stop_agent("web-7")


def main():
    system = fleet.Fleet(tls=True)
    system.config["max_sessions"] = SESSIONS
    with system:
        peers = Peers(system)
        for story in (old_versions, bad_certificates, organisations_own, speaking_for_others, cut_and_oversized, no_tls_at_all, nothing_grows, the_slow,
                      collectors_that_are_none, agents_that_are_not_let_in):
            began = time.monotonic()
            story(peers)
            print("%s: right (%.1f s)" % (story.__name__.replace("_", " "), time.monotonic() - began), flush=True)
        system.run("status")


if __name__ == "__main__":
    sys.exit(main())
