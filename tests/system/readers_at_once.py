#!/usr/bin/env python3
"""Several commands that read files at once fill the smallest spool with chunks that none of them can end: one after the other gives up, says why, and
keeps what it had; the others go on."""

import os
import random
import struct
import subprocess
import sys
import threading

import fleet

READERS, QUOTA, MIB = 6, "64M", 1 << 20
ROOM = 48 * MIB  # what commands that wait may use of it
PAYLOAD = 60000


def packets(rng, size):
    """Of bytes that do not shrink; all of one flow."""
    data = b""
    while len(data) < size:
        body = struct.pack(">HHHH", 1000, 2000, 8 + PAYLOAD, 0) + rng.randbytes(PAYLOAD)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
        frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + body
        data += struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame
    return data


def used(system):
    total = 0
    for folder, _, names in os.walk(system.path("spool-web-1")):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(folder, name))
            except FileNotFoundError:
                pass
    return total


def main():
    rng = random.Random(3)
    first, rest = packets(rng, ROOM // READERS - MIB // 2), packets(rng, 10 * MIB)
    with fleet.Fleet() as system:
        commands, config = [], system.agent_config("web-1", quota=QUOTA)
        for n in range(READERS):
            commands.append(subprocess.Popen([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, "--read", "-", "--capture", "c%d" % n],
                                             env=system.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE))
            commands[-1].stdin.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))

        def write_rest(command):
            try:
                command.stdin.write(rest)
                command.stdin.close()
            except BrokenPipeError:
                pass  # it gave up

        for command in commands:
            command.stdin.write(first)
            command.stdin.flush()
        fleet.wait_until(lambda: used(system) > ROOM - 7 * MIB, "all to write a chunk")
        writers = [threading.Thread(target=write_rest, args=(command,)) for command in commands]
        said = [None] * READERS

        def listen(n):
            said[n] = commands[n].stderr.read().decode()

        writers += [threading.Thread(target=listen, args=(n,)) for n in range(READERS)]
        for thread in writers:
            thread.start()
        codes = [command.wait(120) for command in commands]
        for thread in writers:
            thread.join()
        gave_up = [n for n in range(READERS) if codes[n]]
        assert gave_up and len(gave_up) < READERS, (codes, said)
        for n in gave_up:
            assert codes[n] == 1 and "none can go on" in said[n] and "raise the quota" in said[n], (codes[n], said[n])
        system.read("web-1", "-", capture="last", quota=QUOTA, check=False)  # ships what is left
        counts = {c["capture"]: c["packets"] for c in system.json("captures")}
        whole = (len(first) + len(rest)) // (PAYLOAD + 58)
        for n in range(READERS):
            assert counts["c%d" % n] == whole if n not in gave_up else 0 < counts["c%d" % n] < whole, (n, gave_up, counts, whole)
    print("%d of %d gave up: right" % (len(gave_up), READERS))


if __name__ == "__main__":
    sys.exit(main())
