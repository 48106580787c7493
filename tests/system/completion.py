#!/usr/bin/env python3
"""bash and zsh complete commands, options, columns, words of filters, and the names that the collector knows; of the daemons commands and options."""

import os
import shutil
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


def surroundings(system):
    return dict(system.environment, FLEETDUMP_COLLECTOR=system.address, PATH=fleet.BIN + ":" + os.environ["PATH"])


# What zsh gives a completion, for one that is not at its keyboard: what begins with the word at the cursor is completed.
ZSH = """words=("$@"); CURRENT=$#
typeset -g at=$words[-1]
compset() { [[ $1 == -P ]] && at=${at##${~2}} }
compadd() { shift ${@[(i)--]}; local word; for word; do [[ $word == $at* ]] && print -r -- $word; done; return 0 }
_files() { }
run() { . $script }
run "$@"
"""


def zsh_completions(system, words):
    """--option=value is one word there."""
    line = []
    for word in words:
        if word == "=" or (line and line[-1].endswith("=") and line[-1].startswith("--")):
            line[-1] += word
        else:
            line.append(word)
    script = os.path.join(SCRIPTS, "_fleetdump" if words[0] == "fleetdump" else "_fleetdump-daemons")
    done = subprocess.run(["zsh", "-f", "-c", "script=%s\n%s" % (script, ZSH), "zsh", *line], env=surroundings(system), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=True)
    assert not done.stderr, (words, done.stderr)
    return done.stdout.split()


def without_lists(words):
    """zsh keeps what stands before the last comma by itself."""
    return [w.rsplit(",", 1)[-1] for w in words]


def completions(system, words):
    environment = surroundings(system)
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
        for words, expected in CASES if shutil.which("zsh") else ():
            found = zsh_completions(system, words)
            assert set(without_lists(expected)) <= set(found) and (expected or not found), (words, found)
    print("%d lines completed%s: right" % (len(CASES), "" if shutil.which("zsh") else " (by bash alone: there is no zsh)"))


if __name__ == "__main__":
    sys.exit(main())
