#!/usr/bin/env python3
"""Many at once: agents that ship, two commands from each spool, while others ask all kinds of questions and partitions are closed under them. Nobody is
refused, each answer is whole or says what is missing, and in the end everything is there once. Run with the thread sanitizer,
this is the test of what the collector's threads share."""

import os
import random
import struct
import subprocess
import sys
import threading

import fleet
import pcapfile

FLOWS = 300
PACKETS = 6000
SECONDS = 600  # of packet time: ten chunks a capture
AGENTS = ("web-1", "web-2", "db-1")


def make_capture(path, seed):
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(PACKETS):
            flow = rng.randrange(FLOWS)
            payload = rng.randbytes(rng.randrange(400))
            udp = struct.pack(">HHHH", 1024 + flow, 80 if flow % 2 else 53, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xFFFF, 0, 64, 17, 0, b"\x0a\0\0" + bytes([seed]), b"\x0a\1\0\1")
            packet = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + udp
            file.write(struct.pack("<IIII", 1_700_000_000 + n * SECONDS // PACKETS, n % 1_000_000, len(packet), len(packet)) + packet)


class Reader(threading.Thread):
    """Asks one question again and again until `enough` is set; keeps the first answer that is not right."""

    def __init__(self, system, enough, *question):
        super().__init__()
        self.system, self.enough, self.question = system, enough, question
        self.asked, self.wrong = 0, None
        self.start()

    def run(self):
        while self.wrong is None and (self.asked == 0 or not self.enough.is_set()):
            done = self.system.run(*self.question, check=None, binary=True)
            self.asked += 1
            if done.returncode not in (0, 3) or (done.returncode == 3) != (b"missing" in done.stderr.encode()):
                self.wrong = "fleetdump %s: exit %d: %s" % (" ".join(self.question), done.returncode, done.stderr)


def questions(system):
    return (["flows", "", "--capture", "*", "--by", "agent,server"], ["flows", "port 80 and bytes > 1k", "--capture", "web-*", "-o", "json"],
            ["pull", "", "--capture", "*", "-w", system.path("all.pcapng")], ["pull", "port 53", "--capture", "db-*", "-w", "-"],
            ["captures"], ["agents", "-o", "json"], ["status"], ["chunks", "--capture", "*"])


def ship(system):
    jobs = []
    for seed, name in enumerate(AGENTS):
        capture = system.path(name + ".pcap")
        make_capture(capture, seed + 1)
        for which in ("", "-again"):
            command = system.read_command(name, capture, capture=name + which)
            jobs.append(subprocess.Popen(command, env=system.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"))
    for job in jobs:
        said = job.communicate(timeout=600)[1]
        assert job.returncode == 0, said


def everything_once(system):
    for name in AGENTS:
        _, wanted, _ = pcapfile.read(system.path(name + ".pcap"))
        for capture in (name, name + "-again"):
            _, found, damage = pcapfile.read(system.pull("", "--capture", capture))
            assert damage is None and [(p.time_ns, p.data) for p in sorted(found)] == [(p.time_ns, p.data) for p in sorted(wanted)], capture
            flows = system.flows("", "--capture", capture, "--by", "agent")
            assert [(f["agent"], f["packets"]) for f in flows] == [(name, PACKETS)], flows


def main():
    with fleet.Fleet(tls=True) as system:
        system.stop_collector()
        system.config["partition"] = "1s"
        system.config["max_queries"] = 64  # all readers are one user, who may ask a quarter of them
        system.start_collector()
        enough = threading.Event()
        readers = [Reader(system, enough, *q) for q in questions(system)]
        try:
            ship(system)
        finally:
            enough.set()
            for reader in readers:
                reader.join()
        wrong = [reader.wrong for reader in readers if reader.wrong]
        assert not wrong, "\n".join(wrong)
        everything_once(system)
        system.stop_collector()
        subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")], check=True,
                       stdout=subprocess.DEVNULL, env=system.environment)
        print("%d captures of %d agents, %d answers meanwhile: all right" % (2 * len(AGENTS), len(AGENTS), sum(reader.asked for reader in readers)))


if __name__ == "__main__":
    sys.exit(main())
