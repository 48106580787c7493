#!/usr/bin/env python3
"""What has expired is said: by age or size, rows and packets or packets alone, an answer names what it lacks, and its exit status
is 3. Nothing is said to those who ask for something else."""

import json
import struct
import sys

import fleet

SECOND = 10**9


def make_capture(path, start, packets=600):
    """One flow, a packet a second: a chunk each minute."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(packets):
            payload = bytes(n * i % 251 for i in range(1000))
            udp = struct.pack(">HHHH", 5000, 53, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xFFFF, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
            packet = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + udp
            file.write(struct.pack("<IIII", start + n, 0, len(packet), len(packet)) + packet)
    return path


def status(system):
    return system.json("status")


def restart(system, **config):
    system.stop_collector()
    system.config = {"partition": "1s", **config}
    system.start_collector()


def expire_packets(system):
    restart(system, retain_packet_bytes="1")
    fleet.wait_until(lambda: status(system)["body_bytes"] == 0, "packets to expire")
    assert system.flows("", "--capture", "monday")[0]["packets"] == 600
    done = system.run("pull", "", "--capture", "monday", "-w", "-", check=(3,), binary=True)
    assert "expired" in done.stderr, done.stderr


def expire_all(system):
    restart(system, retain_bytes="1")
    fleet.wait_until(lambda: status(system)["chunks"] == 0, "chunks to expire")
    for command in (["flows", ""], ["pull", "", "-w", system.path("none.pcapng")]):
        done = system.run(*command, "--capture", "mon*", check=(3,))
        assert "web-1" in done.stderr and "2023-11-14 22:13:20" in done.stderr and "expired" in done.stderr, done.stderr
    pulled = system.run("pull", "", "--capture", "monday", "-w", system.path("none.pcapng"), "--manifest", "-", check=(3,))
    agent, = json.loads(pulled.stdout)["agents"]
    assert not agent["complete"] and agent["expired_streams"] == 1 and agent["expired_since"] == "2023-11-14T22:13:20.000000000Z", agent


def others_are_not_told(system):
    system.run("flows", "", "--capture", "tues*")
    done = system.run("flows", "", "--capture", "tuesday", check=(1,))
    assert "no capture is called 'tuesday'" in done.stderr, done.stderr
    system.run("flows", "", "--capture", "monday", "--on", "web-2")
    system.run("flows", "port 53 and not agent web-1", "--capture", "monday")
    system.run("flows", "agent web-1", "--capture", "monday", check=(3,))
    system.run("flows", "", "--since", "2023-11-15T00:00:00Z", "--until", "2023-11-16T00:00:00Z")
    system.run("flows", "", "--since", "2023-11-14T00:00:00Z", "--until", "2023-11-16T00:00:00Z", check=(3,))


def the_rest_stays(system):
    restart(system, retain_bytes="0")
    system.read("web-1", make_capture(system.path("tuesday.pcap"), 1_700_100_000))
    assert system.flows("", "--capture", "tuesday")[0]["packets"] == 600


def main():
    with fleet.Fleet() as system:
        restart(system)
        system.read("web-1", make_capture(system.path("monday.pcap"), 1_700_000_000))
        for story in (expire_packets, expire_all, others_are_not_told, the_rest_stays):
            story(system)
            print(story.__name__.replace("_", " ") + ": right")


if __name__ == "__main__":
    sys.exit(main())
