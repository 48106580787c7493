#!/usr/bin/env python3
"""What answers lack is said, and what several captures saw is told once: captures on one host beside each other, at rates that are too
high, of dead agents, and questions after what is not there."""

import datetime
import glob
import json
import os
import re
import signal
import sys
import time

import fleet
import lab
import pcapfile


def start(system, name, *options, agents=1, lasts="10m", filter_text="tcp port 80"):
    system.run("capture", "start", "--name", name, "--no-wait", "--for", lasts, *options, filter_text)
    fleet.wait_until(lambda: system.running(name, agents), name + " to run")


def finish(system, *names):
    """The captures are over, and what they captured has come."""
    for name in names:
        system.run("capture", "stop", name, check=(0, 3))
    whole = lambda: {c["capture"] for c in system.json("captures") if not c["open_streams"]}
    fleet.wait_until(lambda: set(names) <= whole(), "all to come")


def streams(system, host, name):
    """How many streams of the capture are known, while somebody talks on port 80 of the host."""
    system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip(host))
    system.flows("", "--capture", name, "--limit", "1", check=(0, 3))
    return next(c["streams"] for c in system.json("captures") if c["capture"] == name)


def pull(system, *options, check=(0,), filter_text=None):
    """The packets of a pull, what was said, and its account."""
    path, account = system.path("pulled.pcapng"), system.path("account.json")
    words = [filter_text] if filter_text else []
    done = system.run("pull", *words, "-w", path, "--manifest", account, *options, check=check)
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    with open(account) as file:
        return packets, done.stderr, json.load(file)


def copies_of_a_packet_come_once_and_whole():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "cut-headers", "--on", "web-1", "--keep", "headers")
        start(system, "cut-short", "--on", "web-1", "-s", "96")
        start(system, "whole", "--on", "web-1")
        for _ in range(20):
            system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        finish(system, "cut-headers", "cut-short", "whole")
        whole, _, _ = pull(system, "--capture", "whole")
        short, _, _ = pull(system, "--capture", "cut-short")
        assert max(len(p.data) for p in whole) > 96 == max(len(p.data) for p in short), (len(whole), len(short))
        wanted = sorted(p.data for p in whole)
        for options in (("--capture", "*"), ("--vantage", "all"), ("--on", "web-1")):
            packets, said, account = pull(system, *options)
            assert sorted(p.data for p in packets) == wanted, (options, len(packets), len(wanted), said)
            assert account["duplicates"] == 2 * len(wanted), account
            assert [p.time_ns for p in packets] == sorted(p.time_ns for p in packets)
        both, _, _ = pull(system, "--capture", "cut-*")
        assert sorted(p.data for p in both) == sorted(p.data for p in short), (len(both), len(short))


def what_was_over_the_rate_is_missing():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        with open(system.path("www-web-1", "big"), "wb") as file:
            file.write(bytes(3 << 20))
        start(system, "slow", "--on", "web-1", "--rate", "100k")
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/big" % system.ip("web-1"))
        finish(system, "slow")
        _, said, account = pull(system, "--capture", "slow", check=(3,))
        dropped = account["agents"][0]["counters"]["policy"]
        assert dropped > 0 and not account["complete"], account
        assert "web-1: %d packets over the capture's rate, left out" % dropped in said, said
        assert system.flows("port 80", "--capture", "slow", check=(3,))
        assert next(c for c in system.json("captures"))["lost"] == dropped
        table = system.run("captures").stdout.splitlines()
        assert " %d " % dropped in table[1].replace(",", ""), table


def any_and_its_interfaces_count_once():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "cooked", "--on", "web-1", "-i", "any")
        start(system, "plain", "--on", "web-1")
        for _ in range(5):
            system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        finish(system, "cooked", "plain")
        wanted = len(pull(system, "--capture", "plain")[0])
        assert wanted == len(pull(system, "--capture", "cooked")[0]) > 0
        assert len(pull(system, "--on", "web-1")[0]) == wanted
        for link_type in "1", "276":
            packets, said, _ = pull(system, "--on", "web-1", "--link-type", link_type)
            assert len(packets) == wanted, (link_type, len(packets), wanted, said)
        assert [row["interface"] for row in system.flows("port 80")] == ["eth0"] * 5
        assert [row["interface"] for row in system.flows("port 80", "--capture", "cooked")] == ["any"] * 5


def a_capture_that_nobody_knows_is_an_error():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "monday", "--on", "web-1")
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        finish(system, "monday")
        path = system.path("nothing.pcapng")
        for command in ("pull", "-w", path), ("flows",), ("print",), ("show", "port 80"):
            done = system.run(*command, "--capture", "mondya", check=(1,))
            assert "no capture is called 'mondya': did you mean 'monday'?" in done.stderr, done.stderr
            assert not os.path.exists(path)
        assert system.flows("--capture", "tues*") == []  # a pattern may fit nothing yet
        assert system.flows("port 80", "--capture", "mon*")
        assert not system.flows("port 80", "--capture", "mon*", "--until", "@1")


def a_time_without_a_capturer_is_missing():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "holes", "--on", "web-1")

        def talk():
            system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))

        talk()
        time.sleep(0.5)
        before = time.time()
        system.stop_agent("web-1", signal.SIGKILL)
        time.sleep(1)
        talk()
        system.start_agents("web-1")
        fleet.wait_until(lambda: streams(system, "web-1", "holes") == 2, "the capture to go on")
        after = time.time()
        talk()
        talk()
        finish(system, "holes")
        packets, said, account = pull(system, "--capture", "holes", check=(3,))
        times = [p.time_ns / 1e9 for p in packets]
        (hole,) = account["agents"][0]["not_captured"]
        assert "web-1: " in said and "not captured " in said and "was down" in said, said
        begin, end = (datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", hole[k].replace("Z", "+00:00"))).timestamp()
                      for k in ("from", "to"))
        assert before - 1.6 < begin < end < after and not any(begin + 0.001 < t < end for t in times), (before, begin, end, after)
        assert system.run("flows", "--capture", "holes", check=(3,))
        system.run("flows", "--capture", "holes", "--until", "@%.6f" % (before - 2), check=(0, 3))
        system.run("flows", "--capture", "holes", "--since", "@%.6f" % after)


def a_capturer_that_left_no_chunk_hides_no_such_time():
    """Killed before it sealed one, as when all of an agent's processes are: what says that it captured live is in the others' chunks."""
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "early", "--on", "web-1")
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        fleet.wait_until(lambda: system.order("early")["packets"], "the capturer to have some")  # which asks for no chunk
        (first,) = lab.pids(system, "web-1", "fleetdump-cap")
        os.kill(first, signal.SIGKILL)
        fleet.wait_until(lambda: lab.pids(system, "web-1", "fleetdump-cap") not in ([], [first]), "another capturer")
        fleet.wait_until(lambda: streams(system, "web-1", "early") == 2, "both streams")
        finish(system, "early")
        _, said, account = pull(system, "--capture", "early", check=(3,))
        assert len(account["agents"][0]["not_captured"]) == 1 and "not captured " in said, (account, said)


def an_idle_capturer_says_that_it_lives():
    """Without packets, and however long the capture may run: else its time would end with its last packet if it is killed."""
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.run("capture", "start", "--on", "web-1", "--name", "idle", "--for", "ever", "--no-wait", "icmp")
        (page,) = fleet.wait_until(lambda: [p for p in glob.glob(system.path("spool-web-1", "*", "counters")) if ".new/" not in p], "a stream")  # .new: being made
        seen = set()

        def goes_on():
            with open(page, "rb") as file:
                seen.add(file.read())
            return len(seen) > 4  # it takes some steps to begin
        fleet.wait_until(goes_on, "the idle capturer to note the time again and again")
        assert system.order("idle")["packets"] == 0


def flows_alone_have_no_packets():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "rows", "--on", "web-1", "--keep", "flows")
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        finish(system, "rows")
        packets, said, _ = pull(system, "--capture", "rows", check=(3,))
        assert not packets and "web-1: packets were not kept: only flows were captured" in said, said
        row = system.flows("port 80", "--capture", "rows")[0]
        shown = system.run("show", row["id"], check=(3,))
        head, line = shown.stdout.splitlines()
        assert "SERVER" in head and "%s:80 tcp" % system.ip("web-1") in line and "web-1/eth0" in line, shown.stdout
        assert "packets were not kept" in shown.stderr and "never-kept" not in shown.stderr, shown.stderr


def an_old_loss_is_not_missing_in_a_later_connection():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        system.nginx("web-1")
        start(system, "both", "--on", "web-1")
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        system.stop_agent("web-1", signal.SIGKILL)
        time.sleep(1)  # its capturer ends, too
        system.start_agents("web-1")
        fleet.wait_until(lambda: streams(system, "web-1", "both") == 2, "the capture to go on")
        since = "@%.6f" % time.time()
        system.host("client", "curl", "-sf", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        finish(system, "both")
        system.run("pull", "-w", system.path("pulled.pcapng"), "--capture", "both", check=(3,))
        row = system.flows("port 80", "--capture", "both", "--since", since)[-1]
        shown = system.run("show", row["id"])
        assert "missing" not in shown.stderr and "GET" in shown.stdout, (shown.stdout, shown.stderr)


STORIES = [flows_alone_have_no_packets, an_old_loss_is_not_missing_in_a_later_connection, a_time_without_a_capturer_is_missing, an_idle_capturer_says_that_it_lives,
           a_capturer_that_left_no_chunk_hides_no_such_time, copies_of_a_packet_come_once_and_whole,
           what_was_over_the_rate_is_missing, any_and_its_interfaces_count_once,
           a_capture_that_nobody_knows_is_an_error]

if __name__ == "__main__":
    sys.exit(lab.tell(STORIES))
