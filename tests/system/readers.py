#!/usr/bin/env python3
"""What pull gives is read by everybody: tcpdump, tshark, capinfos and mergecap, from a file and from a pipe, also when nothing was
found. What a filter selects is what tcpdump selects from the original."""

import os
import random
import struct
import subprocess
import sys

import fleet

FILTERS = ("", "udp", "not udp", "port 53", "src port 53", "host 10.0.0.3", "dst 10.1.0.1 and greater 200", "udp[4:2] > 100", "net 10.0.0.0/30")


def make_capture(path):
    rng = random.Random(9)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(500):
            there, flow, payload = rng.random() < 0.5, rng.randrange(20), rng.randbytes(rng.randrange(300))
            ends = [(bytes([10, 0, 0, flow % 5]), 1024 + flow), (bytes([10, 1, 0, 1]), 53 if flow % 2 else 443)]
            (src, sport), (dst, dport) = ends if there else reversed(ends)
            proto = 17 if flow % 3 else 132
            body = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), n, 0, 64, proto, 0, src, dst)
            packet = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + body
            file.write(struct.pack("<IIII", 1_700_000_000 + n, n, len(packet), len(packet)) + packet)


def output(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr)
    return done.stdout


def lines(path, *filter_text):
    return output("tcpdump", "-nvr", path, *filter_text).splitlines()


def filters_select_what_tcpdump_selects(system, capture):
    for text in FILTERS:
        pulled = system.pull(text, "--capture", "readers")
        assert lines(pulled) == lines(capture, text), text


def all_readers(system, capture):
    for text, count in (("", 500), ("host 192.0.2.1", 0)):
        pulled = system.pull(text, "--capture", "readers")
        assert len(output("tcpdump", "-nr", pulled).splitlines()) == count
        assert len(output("tshark", "-r", pulled).splitlines()) == count
        assert "%d" % count in output("capinfos", "-McT", pulled)
        output("mergecap", "-w", system.path("merged.pcapng"), pulled, capture)
        assert len(output("tcpdump", "-nr", system.path("merged.pcapng")).splitlines()) == 500 + count


def pipes(system):
    pull = [os.path.join(fleet.BIN, "fleetdump"), "pull", "--collector", system.address, "--capture", "readers", "-w", "-"]
    for text, reader in (("", ["tcpdump", "-nr", "-"]), ("", ["tshark", "-r", "-"]), ("host 192.0.2.1", ["tcpdump", "-nr", "-"])):
        with subprocess.Popen(pull + [text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=system.environment) as source:
            read = output(*reader, stdin=source.stdout)
        assert source.returncode == 0 and len(read.splitlines()) == (0 if text else 500), (text, reader)


def main():
    with fleet.Fleet() as system:
        capture = system.path("readers.pcap")
        make_capture(capture)
        system.read("web-1", capture)
        filters_select_what_tcpdump_selects(system, capture)
        all_readers(system, capture)
        pipes(system)
    print("%d filters, four readers, pipes: right" % len(FILTERS))


if __name__ == "__main__":
    sys.exit(main())
