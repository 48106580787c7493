#!/usr/bin/env python3
"""The same answer in all formats, and what stands beside it: notes about limits, and why there is nothing."""

import csv
import io
import json
import os
import struct
import subprocess
import sys

import fleet
import pcapfile


def make_capture(path):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(30):
            body = struct.pack(">HHHH", 1024 + n, (53, 80)[n % 2], 8 + n, 0) + bytes(n)
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), n, 0, 64, 17, 0, bytes([10, 0, 0, n % 3]), b"\x0a\1\0\1")
            packet = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + body
            file.write(struct.pack("<IIII", 1_700_000_000 + n, 0, len(packet), len(packet)) + packet)


def one_answer_in_all_formats(system):
    for command in (["flows", "--capture", "monday"], ["flows", "--by", "server", "--capture", "monday"], ["captures"], ["chunks", "--capture", "monday"]):
        rows = system.json(*command)
        assert rows
        assert [json.loads(line) for line in system.run(*command, "-o", "ndjson").stdout.splitlines()] == rows
        text = system.run(*command, "-o", "csv").stdout
        assert "\r" not in text, "a pipe of cut and awk sees line ends that are not theirs"
        table = list(csv.DictReader(io.StringIO(text)))
        assert len(table) == len(rows)
        for mine, row in zip(table, rows):
            for key, value in row.items():
                if not isinstance(value, (dict, list)) and value is not None:
                    assert mine[key] == str(value), (key, mine[key], value)
        for format in ("table", "wide"):
            lines = system.run(*command, "-o", format).stdout.splitlines()
            assert len(lines) == len(rows) + 1
            assert system.run(*command, "-o", format, "--no-header").stdout.splitlines() == lines[1:]


def columns_sort_limit(system):
    done = system.run("flows", "port 53", "--capture", "monday", "--columns", "client,bytes", "--sort", "-bytes", "--limit", "2", "-o", "csv")
    assert done.stdout == "client,bytes\n10.0.0.1:1052,70\n10.0.0.2:1050,68\n", done.stdout
    assert "first 2 of 15 flows" in done.stderr, done.stderr
    done = system.run("flows", "--capture", "monday", "--by", "resp_port", "--top", "1", "-o", "csv", "--columns", "resp_port,flows,bytes")
    assert done.stdout.splitlines()[1].startswith("80,15,"), done.stdout


def nothing_explains_itself(system):
    for command in (["flows", "port 9"], ["flows", "bytes > 1G"], ["pull", "port 9", "-w", "/dev/null"]):
        done = system.run(*command, "--capture", "*day")
        assert "web-1 (everything)" in done.stderr and "web-1 ('udp port 53')" in done.stderr, done.stderr
    done = system.run("flows", "--capture", "mondax", check=(1,))
    assert "did you mean 'monday'?" in done.stderr, done.stderr
    done = system.run("flows", "--since", "1h")
    assert "monday on web-1 (2023-11-14 22:13:20" in done.stderr and "'udp port 53', 2023" in done.stderr, done.stderr


def places_choose_packets(system):
    """The words agent and capture mean for packets what they mean for flows."""
    for words, wanted in (("agent web-1", 30), ("agent 'web-*' and capture monday", 30), ("capture friday or port 80", 30), ("agent web-2", 0),
                          ("not agent web-1", 0), ("not capture monday", 15), ("capture friday and port 80", 0)):
        path = system.path("places.pcapng")
        system.run("pull", words, "--capture", "*day", "--vantage", "all", "-w", path)
        found = len(pcapfile.read(path)[1])
        flows = sum(row["packets"] for row in system.json("flows", words, "--capture", "*day"))
        assert found == flows == wanted, (words, found, flows)


def packets_of_a_pull_are_told(system):
    done = system.run("pull", "port 1024", "--capture", "monday", "-w", system.path("one.pcapng"))
    assert "web-1: 1 packet, 42" in done.stderr, done.stderr
    done = system.run("agents")
    assert " ago" in done.stdout or " now " in done.stdout, done.stdout


def examples_in_help_can_be_copied(system):
    """No line of an example is broken."""
    done = system.run("complete", "commands")
    helps = [["fleetdump", name, "--help"] for name in done.stdout.split()] + [["fleetdump-agent", "--help"], ["fleetdump-collector", "--help"]]
    for program, *rest in helps:
        text = subprocess.run([os.path.join(fleet.BIN, program), *rest], stdout=subprocess.PIPE, text=True, check=True).stdout
        block = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        assert block and all(line.startswith("  ") and len(line) < 80 for line in block), (program, rest, block)


def main():
    with fleet.Fleet(tls=True) as system:
        capture = system.path("monday.pcap")
        make_capture(capture)
        system.read("web-1", capture)
        system.read("web-1", capture, capture="friday", options=["--filter", "udp port 53"])
        for story in (one_answer_in_all_formats, columns_sort_limit, nothing_explains_itself, places_choose_packets, packets_of_a_pull_are_told,
                      examples_in_help_can_be_copied):
            story(system)
            print(story.__name__.replace("_", " ") + ": right")


if __name__ == "__main__":
    sys.exit(main())
