#!/usr/bin/env python3
"""What does not speak our language at the collector's port, wrong addresses and folders in use: clear messages and exit
statuses, and the collector goes on for everybody else."""

import os
import random
import socket
import struct
import subprocess
import sys
import threading

import fleet

HELLO, WELCOME = 1, 2


def frame(kind, payload, version=1, length=None):
    return b"FD" + struct.pack("<BBI", version, kind, len(payload) if length is None else length) + payload


def send(system, data):
    """Sends, and gives what comes back until the collector closes (it must)."""
    host, port = system.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer
        except OSError:  # it closed before all was sent
            return b""


def garbage_at_the_port(system):
    rng = random.Random(5)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", rng.randbytes(100_000), b"F", b""):
        send(system, data)
    send(system, frame(HELLO, b"", version=9))
    send(system, frame(HELLO, b"x" * 100, length=1 << 31))
    send(system, frame(HELLO, rng.randbytes(500)))
    send(system, frame(77, b""))
    with open(system.path("collector.log"), errors="replace") as log:
        said = log.read()
    assert "not a fleetdump" in said, said
    assert "version" in said, said
    system.run("status")


def hundred_at_once(system):
    threads = [threading.Thread(target=send, args=(system, frame(HELLO, b"\x08\x01" * n))) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    system.run("status")


class FakeServer:
    """Answers every connection with the given bytes."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.answer = answer
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            connection, _ = self.socket.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)
        except OSError:
            pass


def not_a_collector(system):
    for answer, word in ((b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a fleetdump"), (frame(WELCOME, b"", version=9), "version"), (b"", "closed")):
        server = FakeServer(answer)
        done = system.run("status", "--collector", server.address, check=(1,))
        assert word in done.stderr and server.address in done.stderr, done.stderr


def nobody_there(system):
    done = system.run("status", "--collector", "127.0.0.1:1", check=(1,))
    assert "127.0.0.1:1" in done.stderr and "collector" in done.stderr, done.stderr
    done = system.run("status", "--collector", "no such host", check=(1, 2))
    assert "no such host" in done.stderr, done.stderr


def folder_in_use(system):
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "--data", system.path("store"), "--listen", "127.0.0.1:0",
                           "--insecure-plaintext"],
                          capture_output=True, text=True, timeout=60, env=system.environment)
    assert done.returncode == 1 and str(system.collector.pid) in done.stderr and "store" in done.stderr, done.stderr
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")],
                          capture_output=True, text=True, timeout=60, env=system.environment)
    assert done.returncode == 1 and str(system.collector.pid) in done.stderr, done.stderr


def it_says_where_it_listens(system):
    with open(system.path("collector.log")) as log:
        said = log.read()
    assert " listens on %s, data in %s" % (system.address, system.path("store")) in said, said


def folder_of_others(system):
    """Nothing is made where something else is, and nothing is checked where no store is."""
    folder = system.path("photos")
    os.mkdir(folder)
    for command, there, word in (([], ["a.jpg"], "folder of its own"), (["check"], ["a.jpg"], "no store"), (["reindex"], [], "no store")):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        for name in there:
            open(os.path.join(folder, name), "w").close()
        done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), *command, "--data", folder, "--listen", "127.0.0.1:0",
                               "--insecure-plaintext"],
                              capture_output=True, text=True, timeout=60, env=system.environment)
        assert done.returncode == 1 and folder in done.stderr and word in done.stderr, done.stderr
        assert os.listdir(folder) == there, os.listdir(folder)


def plain_text_has_to_be_asked_for(system):
    for options, allowed in (((), False), (("--insecure-plaintext",), True)):
        port_file = system.path("port.%d" % allowed)
        process = subprocess.Popen([os.path.join(fleet.BIN, "fleetdump-collector"), "--data", system.path("other"), "--listen", "127.0.0.1:0",
                                    "--port-file", port_file, *options], stderr=subprocess.PIPE, text=True, env=system.environment)
        if allowed:
            fleet.wait_until(lambda: os.path.exists(port_file) or process.poll() is not None, "the collector")
            assert process.poll() is None, process.communicate()[1]
            process.terminate()
        said = process.communicate(timeout=60)[1]
        assert "NOT encrypted" in said if allowed else process.returncode == 1 and "fleetdump-collector init" in said, said
        assert os.path.isdir(system.path("other")) == allowed  # nothing was made before
    done = system.run("status", check=(1,), environment={"FLEETDUMP_HOME": system.path("nowhere")})
    assert "fleetdump login" in done.stderr and system.path("nowhere") in done.stderr, done.stderr
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", system.agent_config("stray", insecure_plaintext="no", tls=system.path("none"))],
                          capture_output=True, text=True, timeout=60, env=system.environment)
    assert done.returncode == 1 and "fleetdump-agent join" in done.stdout + done.stderr and system.path("none") in done.stdout + done.stderr, done


def wrong_command_lines(system):
    for program, options in (("fleetdump-collector", ["--no-such-option"]), ("fleetdump-collector", ["no-such-command"]),
                             ("fleetdump-agent", ["--no-such-option"])):
        done = subprocess.run([os.path.join(fleet.BIN, program), *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and options[0].strip("-") in done.stderr, (program, done.returncode, done.stderr)
    bad = system.path("bad.conf")
    with open(bad, "w") as conf:
        conf.write("name = x\nno_such_key = 1\n")
    for program in ("fleetdump-collector", "fleetdump-agent"):
        done = subprocess.run([os.path.join(fleet.BIN, program), "--config", bad], capture_output=True, text=True, timeout=60)
        assert done.returncode in (1, 2) and "bad.conf" in done.stderr and "no_such_key" in done.stderr and "2" in done.stderr, done.stderr


def main():
    with fleet.Fleet() as system:
        for story in (garbage_at_the_port, hundred_at_once, not_a_collector, nobody_there, it_says_where_it_listens, folder_in_use, folder_of_others, plain_text_has_to_be_asked_for, wrong_command_lines):
            story(system)
            print(story.__name__.replace("_", " ") + ": right")


if __name__ == "__main__":
    sys.exit(main())
