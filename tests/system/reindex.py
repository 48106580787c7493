#!/usr/bin/env python3
"""fleetdump-collector reindex: what is lost of the indexes is made anew, and what cannot be is said, with an exit status of its own."""

import glob
import os
import subprocess
import sys
import time

import fleet
from cli_follow import write_pcap


def reindex(system):
    return subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "reindex", "--data", system.path("store")], capture_output=True,
                          text=True, timeout=fleet.WAIT_S, env=system.environment)


def lose(system, pattern):
    """The collector stops, and files of that name are lost with their logs."""
    system.stop_collector()
    lost = glob.glob(system.path("store", pattern))
    assert lost, pattern
    for path in lost:
        for end in ("", "-wal", "-shm"):
            if os.path.exists(path + end):
                os.unlink(path + end)
    done = reindex(system)
    system.start_collector()
    return done


def check(system):
    return subprocess.run([os.path.join(fleet.BIN, "fleetdump-collector"), "check", "--data", system.path("store")], capture_output=True,
                          text=True, timeout=fleet.WAIT_S, env=system.environment)


def all_is_there(system):
    """Whole, and nothing is said to be on its way: the stream has ended."""
    assert len(system.flows("port 53", "--capture", "files")) == 100


def main():
    with fleet.Fleet() as system:
        path = system.path("a.pcap")
        write_pcap(path, [(time.time_ns() - 10**9 + i, 53) for i in range(100)])
        system.read("web-1", path, capture="files")
        all_is_there(system)
        system.stop_collector()
        done = reindex(system)
        assert done.returncode == 0 and " 0 things could not be restored" in done.stdout, done
        system.start_collector()
        done = lose(system, "catalog.db")
        assert done.returncode == 3 and "captures that were ordered are lost" in done.stdout and "stand above" in done.stderr, done
        all_is_there(system)
        done = lose(system, "partitions/*/flows.db")
        assert done.returncode == 0 and " 100 rows; 0 things" in done.stdout, done
        all_is_there(system)
        lose(system, "partitions/*/flows.db")
        lose(system, "catalog.db")
        all_is_there(system)
        system.read("web-1", path, capture="more")
        assert len(system.flows("port 53", "--capture", "more")) == 100
        system.stop_collector()
        done = check(system)
        assert done.returncode == 0, done
    print("right")


if __name__ == "__main__":
    sys.exit(main())
