#!/usr/bin/env python3
"""bash completes commands, options, columns, words of filters, and the names that the collector knows; of the daemons commands and options."""

import os
import subprocess
import sys

import fleet

SCRIPTS = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "completion")

# The words of the line as bash takes them apart -> what is among the completions of the last one.
CASES = (
    (["fleetdump", "fl"], ["flows"]),
    (["fleetdump", "help", "pu"], ["pull"]),
    (["fleetdump", "flows", "--li"], ["--limit="]),
    (["fleetdump", "pull", "--vantage", "=", "a"], ["all", "auto"]),
    (["fleetdump", "flows", "-o", "nd"], ["ndjson"]),
    (["fleetdump", "show", "-o", ""], ["table", "json", "svg", "html"]),
    (["fleetdump", "show", "commun"], ["community-id"]),
    (["fleetdump", "flows", "--columns", "=", "client,orig_p"], ["client,orig_port", "client,orig_packets"]),
    (["fleetdump", "flows", "--capture", "mon"], ["monday"]),
    (["fleetdump", "pull", "--on", "web-1,db"], ["web-1,db-1"]),
    (["fleetdump", "flows", "port"], ["port", "portrange"]),
    (["fleetdump", "flows", "--since", ""], []),
    (["fleetdump", "admin", "re"], ["revoke"]),
    (["fleetdump", "admin", "revoke", "w"], ["web-1"]),
    (["fleetdump", "admin", "enroll", "--ttl", "=", "1"], ["1h", "1d"]),
    (["fleetdump", "admin", "approve", ""], []),
    (["fleetdump", "admin", "user", "a"], ["add"]),
    (["fleetdump", "admin", "user", "add", "x", "--role", "=", "an"], ["analyst"]),
    (["fleetdump", "admin", "user", "remove", ""], ["ann"]),
    (["fleetdump", "audit", "show", "--event", "=", "re"], ["refused"]),
    (["fleetdump", "audit", "show", "--who", ""], ["ann"]),
    (["fleetdump-agent", "jo"], ["join"]),
    (["fleetdump-agent", "--re"], ["--read"]),
    (["fleetdump-agent", "join", "--coll"], ["--collector="]),
    (["fleetdump-agent", "-c", ""], []),
    (["fleetdump-agent", "--config", "=", "x"], []),
    (["fleetdump-collector", ""], ["serve", "check", "reindex", "init", "doctor"]),
    (["fleetdump-collector", "doctor", "--out"], ["--output="]),
    (["fleetdump-collector", "doctor", ""], []),
)


def completions(system, words):
    environment = dict(system.environment, FLEETDUMP_COLLECTOR=system.address, PATH=fleet.BIN + ":" + os.environ["PATH"])
    script, function = ("fleetdump", "_fleetdump") if words[0] == "fleetdump" else ("fleetdump-daemons", "_fleetdump_daemon")
    done = subprocess.run(["bash", "-c", '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }\n' + function +
                           ' "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf "%s\\n" "${COMPREPLY[@]}"',
                           os.path.join(SCRIPTS, script + ".bash"), *words], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def main():
    with fleet.Fleet() as system:
        capture = system.path("monday.pcap")
        with open(capture, "wb") as file:
            file.write(bytes.fromhex("d4c3b2a1020004000000000000000000000004000100000000000000000000000e0000000e000000") + bytes(14))
        for agent in ("web-1", "db-1"):
            system.read(agent, capture)
        assert system.run("admin", "user", "add", "ann", "--role", "admin").returncode == 0
        for words, expected in CASES:
            found = completions(system, words)
            assert set(expected) <= set(found) and (expected or not found), (words, found)
    print("%d lines completed: right" % len(CASES))


if __name__ == "__main__":
    sys.exit(main())
