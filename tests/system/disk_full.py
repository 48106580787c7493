#!/usr/bin/env python3
"""Full disks on either side: a clear state, nothing lost, and it goes on by itself when there is room. Small file systems
(tmpfs) are made and removed here, so this needs root."""

import contextlib
import json
import os
import random
import struct
import subprocess
import sys

import fleet
import pcapfile

MB = 1 << 20


@contextlib.contextmanager
def small_disk(path, size):
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def grow(path, size):
    subprocess.run(["mount", "-o", "remount,size=%d" % size, path], check=True)


def make_capture(path, megabytes):
    """Packets of random bytes (nothing compresses), one minute of packet time each 2 MB."""
    rng = random.Random(11)
    count = megabytes * MB // 1400
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(count):
            payload = rng.randbytes(1358)
            udp = struct.pack(">HHHH", 1000 + n % 9, 5000, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xFFFF, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
            frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + udp
            file.write(struct.pack("<IIII", 1_700_000_000 + n * 60 * 1400 // (2 * MB), n % 1_000_000, len(frame), len(frame)) + frame)
    return count


def log_of(system, name):
    with open(system.path(name), errors="replace") as log:
        return log.read()


def all_there(system, capture, count):
    _, packets, damage = pcapfile.read(system.pull("", "--capture", capture))
    assert damage is None and len(packets) == count, "%d of %d packets (%s)" % (len(packets), count, damage)


def check_doctors(system):
    """Both say that nothing is taken in; what is to be kept at the most fits on that disk."""
    findings = {}
    for program, options in (("fleetdump", []), ("fleetdump-collector", ["--config", system.path("collector.conf")])):
        done = subprocess.run([os.path.join(fleet.BIN, program), "doctor", "-o", "json", *options], stdout=subprocess.PIPE, text=True, check=False,
                              env=dict(system.environment, FLEETDUMP_COLLECTOR=system.address))
        findings[program] = {one["check"]: one for one in json.loads(done.stdout)}
        assert done.returncode == 1 and findings[program]["disk"]["verdict"] == "failure", done.stdout
    assert "takes nothing in" in findings["fleetdump"]["disk"]["found"] and "nothing more is written" in findings["fleetdump-collector"]["disk"]["found"], findings
    assert "retain_bytes = 6553K " in findings["fleetdump-collector"]["retention"]["mend"], findings


def check_audit(system, disk):
    """Where not even a line fits, doctor does not find the audit good."""
    filler = os.path.join(disk, "filler")
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    done = subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "doctor", "-o", "json", "--config", system.path("collector.conf")],
                          stdout=subprocess.PIPE, text=True, check=False, env=system.environment)
    audit, = [one for one in json.loads(done.stdout) if one["check"] == "audit"]
    assert audit["verdict"] == "failure" and "cannot be written" in audit["found"], audit
    os.unlink(filler)


def collector_full(system):
    """The collector's disk fills up while chunks come in: it says so, the agent keeps them, and all arrives once there is room."""
    capture = system.path("full.pcap")
    count = make_capture(capture, 24)
    system.stop_collector()
    with small_disk(system.path("store"), 8 * MB) as disk:
        system.start_collector()
        system.read("web-1", capture, capture="full", options=["--no-wait"])
        system.start_agent("web-1")
        fleet.wait_until(lambda: "agents keep their chunks" in log_of(system, "collector.log"), "the collector to say that it is full")
        assert "has" in system.json("status")["problem"]  # it still answers
        check_doctors(system)
        check_audit(system, disk)
        greeted = lambda: log_of(system, "collector.log").count("agent web-2 connected")
        before = greeted()
        system.start_agent("web-2")  # and greets
        fleet.wait_until(lambda: greeted() >= before + 2, "an agent to be greeted by a full collector")
        assert os.listdir(system.path("spool-web-1")), "the agent forgot what the collector could not store"
        grow(disk, 128 * MB)
        fleet.wait_until(lambda: not [n for n in os.listdir(system.path("spool-web-1")) if len(n) == 32], "the spool to empty")
        assert "takes chunks again" in log_of(system, "collector.log")
        assert not system.json("status").get("problem")
        all_there(system, "full", count)
        system.stop_agent("web-1")
        system.stop_agent("web-2")
        system.stop_collector()
    system.start_collector()


def spool_full(system):
    """The agent's disk is too small for the file while nobody ships: an error that says so. With a shipper it waits and goes on."""
    capture = system.path("spool.pcap")
    count = make_capture(capture, 24)
    with small_disk(system.path("spool-db-1"), 8 * MB):
        address, system.address = system.address, "127.0.0.1:1"  # nobody listens
        done = system.read("db-1", capture, capture="stuck", options=["--no-wait"], check=False)
        system.address = address
        assert done.returncode == 1, "exit %d with a full spool that nobody empties" % done.returncode
        assert "spool" in done.stderr and ("free" in done.stderr or "room" in done.stderr), done.stderr
    with small_disk(system.path("spool-db-2"), 8 * MB):
        system.read("db-2", capture, capture="through")
        all_there(system, "through", count)


def output_full(system):
    """pull onto a full disk: an error, and no file under the final name or beside it."""
    with small_disk(system.path("small"), 1 * MB) as disk:
        done = system.run("pull", "", "--capture", "through", "-w", os.path.join(disk, "out.pcapng"), check=(1,))
        assert "out.pcapng" in done.stderr and "No space left" in done.stderr, done.stderr
        assert os.listdir(disk) == [], os.listdir(disk)


def main():
    if os.geteuid() != 0:
        fleet.skip("small file systems need root")
    with fleet.Fleet() as system:
        collector_full(system)
        spool_full(system)
        output_full(system)
    print("full disks on either side: said, survived, gone on")


if __name__ == "__main__":
    sys.exit(main())
