#!/usr/bin/env python3
"""The command lines that README.md and the examples of --help show are ones that fleetdump takes: none of them is wrong use."""

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys

import fleet

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
ELSEWHERE = ("login", "deploy")  # they want a token of a collector that there is, or hosts: other tests have them


def command_lines(text):
    """Of the indented lines: without prompt, comment, and what follows in a pipe."""
    for line in text.splitlines():
        begin = re.match(r" {2,}(?:\$ )?(?:sudo )?(fleetdump .*)", line)
        if begin:
            words = shlex.shlex(begin.group(1), posix=True, punctuation_chars="|&<>;")
            words.whitespace_split, words.commenters = True, "#"
            command = []
            for word in words:
                if word in ("|", "&", "<", ">", ";", "&&"):
                    break
                command.append(word)
            yield command


def helps(system, *group):
    """What --help of each command says, with those below."""
    for name in system.run("complete", "commands", *group).stdout.split():
        below = () if name == "help" else (*group, name)
        if below and system.run("complete", "commands", *below).stdout.split():
            yield from helps(system, *below)
        elif below:
            yield system.run(*below, "--help", environment={"ARGP_HELP_FMT": "rmargin=400"}).stdout  # no line is taken apart


def attempt(system, command):
    return subprocess.run([os.path.join(fleet.BIN, "fleetdump"), *command[1:]], env=dict(system.environment, FLEETDUMP_COLLECTOR="127.0.0.1:1"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=system.folder, timeout=fleet.WAIT_S, check=False)


def main():
    with fleet.Fleet() as system:
        system.stop_collector()
        shown = [c for text in (README.read_text(), *helps(system)) for c in command_lines(text)]
        tried = [c for c in shown if c[1] not in ELSEWHERE]
        assert len(tried) > 60, tried
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # some try for a while to reach the collector
            for command, done in zip(tried, pool.map(lambda c: attempt(system, c), tried)):
                assert done.returncode in (0, 1), (command, done.returncode, done.stderr)
    print("%d command lines are right" % len(tried))


if __name__ == "__main__":
    sys.exit(main())
