#!/usr/bin/env python3
"""fleetdump capture: what is asked of the collector, what is said of its answers, and what people at terminals may do."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

from fake import CHECK, REMOVE, START, STOP, Fake, Terminal
from fleet import WAIT_S, wait_until

EVER = 2**63 - 1
ID = "7f3a0000000000000000000000000001"


def address(text, to_ns=EVER):
    return {"address": text, "from_ns": 1, "to_ns": to_ns}


AGENTS = [
    {"agent": "web-1", "labels": "role=web,dc=fra", "addresses": [address("10.0.0.5"), address("10.0.0.99", 5)]},
    {"agent": "web-2", "labels": "role=web,dc=ber", "addresses": [address("10.0.0.7"), address("fd00::7")]},
    {"agent": "db-1", "labels": "role=db,dc=fra", "addresses": []},
]


def agent(name, phase, packets=0, text="", connected=True, interfaces=("eth0",), kernel=0, other=0, left=30 * 10**9):
    return {"agent": name, "connected": connected, "phase": phase, "text": text, "interfaces": list(interfaces),
            "left_ns": left, "packets": packets, "bytes": 100 * packets, "packets_per_s": 5, "bytes_per_s": 600,
            "kernel_drops": kernel, "other_drops": other, "own": 0, "free_bytes": 1 << 30}


def order(state, *agents, name="slow", keep="packets", left=30 * 10**9):
    sums = {key: sum(a[key] for a in agents)
            for key in ("packets", "bytes", "packets_per_s", "bytes_per_s", "kernel_drops", "other_drops")}
    return {"id": ID, "capture": name, "state": state, "filter": "tcp port 80", "selector": "all agents",
            "interfaces": [], "keep": keep, "snaplen": 262144, "limits": {"packets": 0, "bytes": 1 << 30, "rate": 0},
            "start": None, "end": None, "issued": "2026-11-25T18:41:08Z", "who": "me@here", "ended": None, "why": "",
            "left_ns": left, **sums, "agents": list(agents)}


RUNNING = order("running", agent("web-1", "running", 5), agent("web-2", "running", 7, interfaces=("eth0", "eth1")))
OVER = order("over", agent("web-1", "stopped", 50, "its time is over"), agent("web-2", "stopped", 70, "its time is over"),
             left=None)


def prepare(fake, started=RUNNING, over=OVER, stored=None):
    """A capture that runs, is asked for twice while it does, and then is over."""
    fake.restart()
    fake.put("1.data", AGENTS)
    fake.put(START + ".manifest", started)
    fake.put("1.8.data", [started])
    fake.put("2.8.data", [started])
    fake.put("8.data", [over])
    fake.put("2.data", [{"capture": "slow", "packets": over["packets"] if stored is None else stored, "gap_packets": 0}])
    fake.put("5.manifest", {"agents": []})


def the_command(fake, command=2):
    """The one that was given."""
    given = fake.asked(command=command)
    assert len(given) == 1, given
    return given[0]


# --------------------------------------------------------------------------------------------------------- the request
def options_make_a_request(fake):
    defaults = {"name": "", "filter": "", "snaplen": "262144", "keep": "0", "companions": "1", "packets": "0",
                "bytes": str(1 << 30), "rate": "0", "start": "0", "partial": "0"}
    cases = [
        (["-A"], {}),
        (["-A", "tcp", "port", "80"], {"filter": "tcp port 80"}),
        (["--on", "web-*"], {"on": "web-*"}),
        (["-n", "nobody,web-1", "--partial"], {"on": "web-1", "partial": "1"}),
        (["-l", "role=web,dc=fra"], {"label": "role=web,dc=fra"}),
        (["-l", "role=nothing", "--label", "dc=f*"], {"label": "dc=f*"}),
        (["-A", "-i", "eth*"], {"interface": "eth*"}),
        (["-A", "-i", "eth0,any"], {"interface": "any"}),
        (["-A", "-s", "96", "-c", "1k"], {"snaplen": "96", "packets": "1000"}),
        (["-A", "--bytes", "10M"], {"bytes": str(10 << 20)}),
        (["-A", "--bytes", "none"], {"bytes": "0"}),
        (["-A", "--rate", "2M"], {"rate": str(2 << 20)}),
        (["-A", "--keep", "headers"], {"keep": "1"}),
        (["-A", "--keep", "flows"], {"keep": "2"}),
        (["-A", "--name", "slow"], {"name": "slow"}),
        (["-A", "--no-icmp-errors"], {"companions": "0"}),
        (["-A", "--partial"], {"partial": "1"}),
    ]
    for options, expected in cases:
        prepare(fake)
        fake.run("capture", "start", "--no-wait", *options)
        command = the_command(fake)
        for key, value in {**defaults, **expected}.items():
            assert command.get(key) == value, (options, key, command)
        assert re.fullmatch(r"[^@]+@.+", command["by"]), command
        assert ("on" in command) == ("on" in expected) and ("label" in command) == ("label" in expected), command


def times_are_those_of_the_collector(fake):
    def times(*options):
        prepare(fake)
        before = time.time_ns()
        fake.run("capture", "start", "-A", "--no-wait", *options)
        command = the_command(fake)
        issued = int(command["issued"])
        assert before - 10**9 <= issued <= time.time_ns() + 10**9, command
        return issued, int(command["start"]), int(command["end"]), int(command["expires"]), int(command["for"])

    spare = 60 * 10**9  # for the collector to ask the agents: --for counts from when it has
    issued, start, end, expires, lasts = times()
    assert start == 0 and lasts == 60 * 10**9 and end == issued + lasts + spare and expires == end
    issued, start, end, _, lasts = times("--for", "5m")
    assert lasts == 300 * 10**9 and end == issued + lasts + spare
    issued, start, end, expires, lasts = times("--for", "ever")
    assert end == lasts == 0 and expires == 2**64 - 1
    issued, start, end, _, lasts = times("--start-at", "+10m", "--for", "1h")
    assert start == issued + 600 * 10**9 and lasts == 3600 * 10**9 and end == start + lasts + spare
    _, start, _, _, _ = times("--start-at", "2126-01-01T00:00:00Z")
    assert start == 4922899200 * 10**9, start


def names_become_addresses(fake):
    cases = [
        ("host web-1", "host 10.0.0.5"),  # its former address is not captured
        ("host @web-2 and port 80", "host (10.0.0.7 or fd00::7) and port 80"),
        ("ip host web-2 or src localhost", None),
    ]
    for text, expected in cases:
        prepare(fake)
        done = fake.run("capture", "start", "-A", "--no-wait", text)
        sent = the_command(fake)["filter"]
        assert sent == expected or (expected is None and "web" not in sent and "localhost" not in sent), sent
        assert "filter: " + sent in done.stderr, done.stderr
        assert "10.0.0" in done.stderr
    prepare(fake)
    assert "filter:" not in fake.run("capture", "start", "-A", "--no-wait", "tcp port 80").stderr


def wrong_use_is_said_before_anything_is_asked(fake):
    cases = [
        ([], "capture where? --on AGENT, -l KEY=VALUE, or -A"),
        (["tcp"], "capture where?"),
        (["-A", "--on", "web-1"], "-A means all agents"),
        (["-A", "-l", "role"], "KEY=VALUE"),
        (["-A", "-s", "300k"], "at most 262144"),
        (["-A", "-c", "0"], "would capture nothing"),
        (["-A", "--cutoff", "0"], "that is --keep headers"),
        (["-A", "--for", "60"], "or 'ever'"),
        (["-A", "--for", "0s"], "--for 0 would capture nothing"),
        (["-A", "--bytes", "much"], "or 'none'"),
        (["-A", "--keep", "some"], "packets, headers or flows"),
        (["-A", "--name", "a b"], "no spaces"),
        (["-A", "--start-at", "2020-01-01"], "that was 2020-01-01"),
        (["-A", "-i", ",".join("eth%d" % i for i in range(17))], "at most 16"),
        (["-A", "--no-wait", "-w", "x"], "does not go with --no-wait"),
        (["-A", "--dry-run", "-w", "x"], "captures nothing"),
        (["-A", "--keep", "flows", "-w", "x"], "no packets"),
        (["-A", "--for", "ever", "-w", "/tmp/never-written"], "has no end"),
        (["-A", "-w", "-", "--vantage", "auto"], "only be judged afterwards"),
        (["-A", "--vantage", "some", "-w", "x"], "auto or all"),
        (["-A", "tcp and prt 80"], "did you mean 'port'?\ntcp and prt 80\n        ^"),
        (["-A", "tcp[13"], "^"),
        (["-A", "from 10.0.0.1"], "known of flows"),
        (["-A", "from 10.0.0.1"], "fleetdump flows 'from 10.0.0.1'"),
        (["-A", "tcp and bytes > 1M"], "choose among it afterwards"),
        (["-A", "10.0.0.1"], "says what an address is"),
        (["-A", "--onn", "web-1"], "did you mean '--on'?"),
        (["-A", "tcp[0:3] = 1"], "tcp[0:3]"),
    ]
    prepare(fake)
    for options, expected in cases:
        done = fake.run("capture", "start", *options, check=(2,))
        assert expected in done.stderr, (options, done.stderr)
        assert not done.stdout, done.stdout
    assert not fake.asked(command=2) and not fake.asked(command=1)
    assert not os.path.exists("/tmp/never-written")
    for words, expected in [(["capture", "strt"], "did you mean 'start'?"), (["captur"], "did you mean 'capture'?"),
                            (["capture", "--for", "1s"], "the command comes first"), (["help", "capture", "x"], "no command"),
                            (["capture", "show"], "which capture?"), (["capture", "stop"], "which capture?"),
                            (["capture", "rm"], "which capture?"), (["capture", "stop", "a", "b"], "one name or id")]:
        assert expected in fake.run(*words, check=(2,)).stderr, words
    assert "Commands:" in fake.run("capture", check=(2,)).stderr


def a_selector_that_means_nobody_names_who_is_near(fake):
    prepare(fake)
    cases = [(["--on", "wbe-1"], "did you mean 'web-1'?"), (["--on", "wbe-1"], "web-1, web-2, db-1"),
             (["-l", "role=wb"], "role=db"), (["--on", "db-*", "-l", "role=web"], "no agent fits --on db-* -l role=web")]
    for options, expected in cases:
        done = fake.run("capture", "start", *options, "tcp", check=(1,))
        assert expected in done.stderr, done.stderr
    assert not fake.asked(command=2)
    done = fake.run("capture", "start", "--on", "web-1,wbe-2", "--no-wait", check=(1,))
    assert "nothing was started: no agent is called 'wbe-2'" in done.stderr and not fake.asked(command=2), done.stderr
    done = fake.run("capture", "start", "--on", "web-1,wbe-2", "--no-wait", "--partial")
    assert "no agent is called 'wbe-2': did you mean 'web-2'?" in done.stderr, done.stderr
    fake.put("1.data", [])
    assert "no agent has ever connected" in fake.run("capture", "start", "-A", check=(1,)).stderr


def names_that_nobody_has_are_errors(fake):
    prepare(fake)
    cases = [("host @nobody", "knows no agent of that name"), ("host db-1", "no address of 'db-1' is known"),
             ("ip6 host web-1", "no address of 'web-1' for ip6 is known"), ("host no.such.host.invalid", "is no agent")]
    for text, expected in cases:
        done = fake.run("capture", "start", "-A", text, check=(1,))
        assert expected in done.stderr, done.stderr
    fake.put("1.data", [{"agent": "big", "labels": "", "addresses": [address("fd00:1111:2222:3333:4444:5555:6666:%x" % i)
                                                                    for i in range(60)]}])
    assert "at most 2000" in fake.run("capture", "start", "-A", "host big", check=(1,)).stderr
    assert not fake.asked(command=2)


# --------------------------------------------------------------------------------------------------------- its course
def start_waits_and_says_what_came_of_it(fake):
    prepare(fake)
    done = fake.run("capture", "start", "-A", "tcp port 80")
    lines = done.stderr.splitlines()
    assert lines == [
        "started slow on 2 agents (all agents)",
        "web-1: running on eth0",
        "web-2: running on eth0, eth1",
        "web-1: stopped: its time is over; 50 packets, 4.9K, 0 dropped",
        "web-2: stopped: its time is over; 70 packets, 6.8K, 0 dropped",
        "slow: 2 agents, 120 packets, 11.7K, none dropped",
        "  fleetdump flows --capture slow",
        "  fleetdump pull --capture slow -w slow.pcapng",
    ], lines
    assert not done.stdout
    assert [q["capture"] for q in fake.asked(kind=8)] == [ID] * 3
    prepare(fake)
    assert not fake.run("capture", "start", "-A", "-q").stderr
    waits = order("running", {**agent("web-1", "running", 5, "waiting for room"), "own": 478}, agent("web-2", "running", 5, "is not connected since 12:00"))
    prepare(fake, started=waits, over=order("over", {**agent("web-1", "stopped", 5, "its time is over"), "own": 478}, agent("web-2", "stopped", 0)))
    said = fake.run("capture", "start", "-A").stderr
    assert "web-1: running on eth0: waiting for room" in said and "web-2: running on eth0: is not connected since 12:00" in said, said
    assert "left out on purpose: 478 packets of fleetdump's own connections" in said, said


def no_wait_prints_the_id_alone(fake):
    prepare(fake)
    done = fake.run("capture", "start", "-A", "--no-wait", "tcp")
    assert done.stdout == ID + "\n" and not done.stderr, done
    assert not fake.asked(kind=8)


def what_is_missing_makes_the_status_3(fake):
    late = order("over", agent("web-1", "stopped", 50, "its time is over", kernel=7, other=2), agent("web-2", "stopped", 70),
                 left=None)
    away = order("over", agent("web-1", "stopped", 50), agent("web-2", "missed", text="it came too late", connected=False),
                 agent("web-3", "pending", text="is not connected since 12:00", connected=False))
    partly = order("over", agent("web-1", "stopped", 50), agent("web-2", "refused", text="no interface fits 'eth7'"))
    failed = order("over", agent("web-1", "stopped", 50), agent("web-2", "failed", text="the ring has no room", connected=False))
    for over, expected in [(late, ["web-1: 7 packets dropped by the kernel", "web-1: 2 packets left out"]),
                           (away, ["web-2: never came: it came too late", "web-3: never came: is not connected since 12:00"]),
                           (partly, ["web-2: refused: no interface fits 'eth7'"]),
                           (failed, ["web-2: failed: the ring has no room"])]:
        prepare(fake, over=over)
        done = fake.run("capture", "start", "-A", "--partial", check=(3,))
        for text in expected:
            assert text in done.stderr, done.stderr
        assert "fleetdump flows --capture slow" in done.stderr


def a_capture_of_agents_that_are_all_through_is_over(fake):
    """-c 10: none of them does any more, long before its time is over."""
    through = order("running", agent("web-1", "stopped", 10, "10 packets"), agent("web-2", "stopped", 10, "10 packets"))
    prepare(fake, over=through)
    done = fake.run("capture", "start", "-A", "-c", "10")
    assert "web-2: stopped: 10 packets; 10 packets" in done.stderr


def what_is_on_its_way_is_waited_for(fake):
    prepare(fake)
    fake.put("1.5.manifest", {"agents": [{"agent": "web-1", "open_streams": 1}]})
    fake.put("1.2.data", [{"capture": "slow", "packets": 100, "gap_packets": 0}])
    fake.put("2.2.data", [{"capture": "slow", "packets": 100, "gap_packets": 10}])
    fake.run("capture", "start", "-A")
    assert len(fake.asked(kind=2)) == 3
    assert int(fake.asked(kind=5)[0]["fresh"]) > 0


def a_refusal_names_what_and_where(fake):
    prepare(fake)
    refused = order("refused", agent("web-1", "refused", text="no interface fits 'eth7'; there are eth0 and lo"),
                    agent("web-2", "checked"))
    fake.put(START + ".manifest", refused)
    fake.put(START + ".code", "-8")
    fake.put(START + ".text", "web-1: no interface fits 'eth7'; there are eth0 and lo\nnothing was started")
    done = fake.run("capture", "start", "-A", "-i", "eth7", check=(1,))
    assert done.stderr == ("fleetdump: nothing was started: 1 of 2 agents said no\n"
                           "web-1: no interface fits 'eth7'; there are eth0 and lo\n"), done.stderr
    fake.put(START + ".manifest", "")
    fake.put(START + ".text", "a capture is called so already")
    assert "fleetdump: a capture is called so already" in fake.run("capture", "start", "-A", check=(1,)).stderr
    fake.put(START + ".code", "-12")
    fake.run("capture", "start", "-A", check=(2,))


def a_collector_that_is_away_for_a_while_is_waited_for(fake):
    prepare(fake)
    fake.put("4.away", "")  # agents, start, order, *
    done = fake.run("capture", "start", "-A")
    assert "the capture goes on, and so does this wait" in done.stderr, done.stderr
    assert "the collector answers again" in done.stderr, done.stderr
    assert "2 agents, 120 packets" in done.stderr


def a_capture_that_was_forgotten_is_an_error(fake):
    prepare(fake)
    fake.put("2.8.data", [])
    assert "does not know the capture" in fake.run("capture", "start", "-A", check=(1,)).stderr


def a_signal_stops_it_where_nobody_can_be_asked(fake):
    for number in (signal.SIGINT, signal.SIGTERM):
        prepare(fake)
        fake.put("8.data", [RUNNING])
        fake.remove("1.8.data", "2.8.data")
        process = fake.popen("capture", "start", "-A", stderr=subprocess.PIPE, text=True)
        wait_until(lambda: fake.asked(kind=8), "the first question")
        process.send_signal(number)
        wait_until(lambda: fake.asked(command=3), "the stop")
        stop = the_command(fake, 3)
        assert stop["which"] == ID and "@" in stop["who"], stop
        assert process.poll() is None
        fake.put("8.data", [OVER])
        assert process.wait(WAIT_S) == 0
        assert "2 agents, 120 packets" in process.stderr.read()


def a_second_signal_ends_the_wait(fake):
    prepare(fake)
    fake.put("8.data", [RUNNING])
    fake.remove("1.8.data", "2.8.data")
    process = fake.popen("capture", "start", "-A", stderr=subprocess.PIPE, text=True)
    wait_until(lambda: fake.asked(kind=8), "the first question")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: fake.asked(command=3), "the stop")
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 3
    assert "was told to stop, but not all agents have answered yet" in process.stderr.read()


# --------------------------------------------------------------------------------------------------------- terminals
def screen(text):
    """What a terminal shows at last."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[\d*[AJK]|\r|\n)", text):
        if part == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif re.fullmatch(r"\x1b\[\d+A", part):
            row -= int(part[2:-1])
            assert row >= 0, "drawn above the top"
        elif part == "\x1b[J":
            lines[row:] = [""]
        elif part not in ("", "\r", "\x1b[K"):
            lines[row] = part
    return [line for line in lines if line]


def a_terminal_shows_a_line_for_each_agent(fake):
    prepare(fake)
    with Terminal(fake, "capture", "start", "-A") as terminal:
        assert terminal.wait() == 0
        text = terminal.text
    assert "\x1b[4A" in text, text  # drawn again in place: titles, two agents, sums
    shown = screen(text)
    row = shown.index(next(line for line in shown if line.startswith("AGENT")))
    assert shown[row].split() == ["AGENT", "PHASE", "ON", "PACKETS", "BYTES", "RATE", "DROPPED", "LEFT"], shown
    assert shown[row + 1].split()[:5] == ["web-1", "stopped", "eth0", "50", "4.9K"], shown
    assert shown[row + 1].endswith("its time is over")
    assert shown[row + 3].startswith("all 2: 2 stopped; 120 packets"), shown
    assert shown[row + 4] == "slow: 2 agents, 120 packets, 11.7K, none dropped", shown
    assert text.count("web-1: running") == 0


def many_agents_fit_a_small_terminal(fake):
    agents = [agent("web-%d" % i, "running", i, interfaces=("an-interface-with-a-long-name",)) for i in range(50)]
    agents[40] = agent("web-40", "refused", text="not allowed " + 30 * "really ")
    prepare(fake, started=order("running", *agents), over=order("over", *agents[:40], agents[40], left=None))
    fake.put("3.8.data", [order("running", *agents)])
    with Terminal(fake, "capture", "start", "-A", "--partial", rows=10, columns=60) as terminal:
        terminal.wait_for("and 44 more; all 50: 1 refused, 49 running")
        frame = terminal.text[terminal.text.index("AGENT"):terminal.text.index("and 44 more")]
        lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", frame).splitlines()
        assert any(line.startswith("web-40") for line in lines), lines  # trouble is never left out
        assert all(len(line) < 60 for line in lines), lines
        terminal.wait()


def evil_texts_do_not_reach_the_terminal(fake):
    evil = agent("web\x1b[31m-1", "running", 5, interfaces=("eth\x1b]0;x\x07",))
    late = agent("web\x1b[31m-1", "refused", text="no\x1b[2J\nreally")
    prepare(fake, started=order("running", evil), over=order("over", late))
    with Terminal(fake, "capture", "start", "-A") as terminal:
        assert terminal.wait() == 3
        rest = re.sub(r"\x1b\[\d*[AJK]", "", terminal.text.replace("\x1b[J", ""))
        assert "\x1b" not in rest and "\x07" not in rest, repr(rest)
        assert "[31m" in rest


def control_c_asks(fake):
    prepare(fake)
    fake.put("8.data", [RUNNING])
    fake.remove("1.8.data", "2.8.data")
    with Terminal(fake, "capture", "start", "-A") as terminal:  # wait on, then detach
        terminal.wait_for("running")
        terminal.type("\x03")
        at = terminal.wait_for("stop the capture")
        terminal.type("w")
        wait_until(lambda: terminal.read() and "stop the capture" not in screen(terminal.text)[-1], "the question to go")
        terminal.type("\x03")
        terminal.wait_for("stop the capture", at)
        terminal.type("d")
        assert terminal.wait() == 0
        assert "slow goes on" in terminal.text and "fleetdump capture stop slow" in terminal.text
    assert not fake.asked(command=3)
    for keys in ("\x03s", "\x03\x03"):
        prepare(fake)
        fake.put("8.data", [RUNNING])
        fake.remove("1.8.data", "2.8.data")
        with Terminal(fake, "capture", "start", "-A") as terminal:
            terminal.wait_for("running")
            terminal.type(keys[0])
            terminal.wait_for("stop the capture")
            terminal.type(keys[1])
            wait_until(lambda: terminal.read() and fake.asked(command=3), "the stop")
            fake.put("8.data", [OVER])
            assert terminal.wait() == 0
            assert "2 agents, 120 packets" in terminal.text


# --------------------------------------------------------------------------------------------------------- -w
def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(*packets):
    """Packets: (interface, microseconds)."""
    names = sorted({name for name, _ in packets})
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for name in names:
        text = name.encode()
        out += block(1, struct.pack("<HHI", 1, 0, 262144) + struct.pack("<HH", 2, len(text)) + text + b"\0" * (-len(text) % 4)
                     + struct.pack("<HHI", 9, 1, 6) + struct.pack("<HH", 0, 0))
    for name, time_us in packets:
        data = bytes.fromhex("0200000000010200000000020800") + b"\x45\0\0\x1c\0\1\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2" \
            + struct.pack(">HHHH", 1000 + time_us % 1000, 53, 8, 0)
        out += block(6, struct.pack("<IIIII", names.index(name), time_us >> 32, time_us & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


def read_back(path_or_bytes):
    """(interface, time) of each packet, by tshark's own reading of the file."""
    data = path_or_bytes if isinstance(path_or_bytes, bytes) else open(path_or_bytes, "rb").read()
    done = subprocess.run(["tshark", "-r", "-", "-T", "fields", "-e", "frame.interface_name", "-e", "frame.time_epoch"],
                          input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return [(name, round(float(when) * 10**6)) for name, when in lines]


def a_file_is_written_at_the_end(fake):
    prepare(fake)
    fake.put("2.5.data", pcapng(("web-1/eth0", 10), ("web-2/eth0", 20)))
    fake.put("2.5.manifest", {"agents": [{"agent": "web-1", "packets": 2, "bytes": 84}]})
    path = fake.path("out.pcapng")
    done = fake.run("capture", "start", "-A", "-w", path)
    assert read_back(path) == [("web-1/eth0", 10), ("web-2/eth0", 20)]
    assert "wrote " + path in done.stderr and "web-1: 2 packets" in done.stderr, done.stderr
    pull = fake.asked(kind=5)[-1]
    assert pull["capture"] == "slow" and pull["vantage"] == "0" and int(pull["fresh"]) > 0 and pull["after"] == "", pull
    prepare(fake)
    fake.put("2.5.data", pcapng(("web-1/eth0", 10)))
    fake.put("2.5.code", "-17")
    fake.put("2.5.text", "web-1: kernel_drops 3")
    done = fake.run("capture", "start", "-A", "-w", path, "--vantage", "all", check=(3,))
    assert "kernel_drops 3" in done.stderr and read_back(path) == [("web-1/eth0", 10)]
    assert fake.asked(kind=5)[-1]["vantage"] == "1"
    os.unlink(path)
    prepare(fake)
    fake.put("2.5.code", "-8")
    fake.run("capture", "start", "-A", "-w", path, check=(1,))
    assert not [name for name in os.listdir(fake.folder) if name.startswith("out.pcapng")]
    done = fake.run("capture", "start", "-A", "-w", "/nonexistent/out.pcapng", check=(1,))
    assert "/nonexistent" in done.stderr


def prepare_stream(fake):
    prepare(fake)
    fake.put("8.data", [RUNNING])
    fake.remove("1.8.data", "2.8.data")
    fake.put("1.5.data", pcapng(("web-1/eth0", 10), ("web-1/eth0", 30)))
    fake.put("1.5.manifest", {"agents": [], "next": "first"})
    fake.put("2.5.data", pcapng(("web-1/eth0", 40), ("web-2/eth0", 20)))
    fake.put("2.5.manifest", {"agents": [], "next": "second"})
    fake.put("5.data", pcapng())
    fake.put("5.manifest", {"agents": [], "next": "later"})


def a_pipe_gets_packets_as_they_come(fake):
    prepare_stream(fake)
    process = fake.popen("capture", "start", "-A", "-w", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(fake.asked(kind=5)) >= 3, "the third question")
    fake.put("8.data", [OVER])
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    assert read_back(out) == [("web-1/eth0", 10), ("web-1/eth0", 30), ("web-1/eth0", 40), ("web-2/eth0", 20)]
    assert out.count(struct.pack("<I", 0x0A0D0D0A)) == 1
    questions = [q for q in fake.asked(kind=5) if q["after"]]
    assert [q["after"] for q in questions[:3]] == ["0", "first", "second"], questions
    assert all(q["vantage"] == "1" and q["capture"] == "slow" and q["until"] == str(2**64 - 1) for q in questions)
    assert b"2 agents, 120 packets" in said


def a_pipe_that_nobody_reads_stops_the_capture(fake):
    prepare_stream(fake)
    process = fake.popen("capture", "start", "-A", "-w", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(28)
    process.stdout.close()
    wait_until(lambda: fake.asked(command=3), "the stop")
    fake.put("8.data", [OVER])
    said = process.stderr.read()
    assert process.wait(WAIT_S) == 0, said
    assert b"whoever read the packets has ended: the capture is stopped" in said, said


# --------------------------------------------------------------------------------------------------------- dry run
def a_dry_run_is_a_table(fake):
    prepare(fake)
    less = "this host's policy: at most 70 bytes of a packet, without port 8080"
    checked = order("checked", agent("web-1", "checked", text=less, interfaces=("eth0", "eth1")),
                    agent("web-2", "refused", text="no interface fits", interfaces=()),
                    agent("db-1", "pending", text="is not connected since 12:00", connected=False, interfaces=()))
    fake.put(CHECK + ".manifest", checked)
    done = fake.run("capture", "start", "-A", "--dry-run", "--for", "10s")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["AGENT", "ANSWER", "ON", "PACKETS/S", "RATE", "NOW", "AT", "MOST", "ROOM"], lines
    assert lines[1] == ["web-1", "yes", "eth0,", "eth1", "5", "600/s", "5.9K", "1.0G"], lines
    assert lines[2][:2] == ["web-2", "refused"] and lines[3][:2] == ["db-1", "pending"], lines
    assert max(len(line) for line in done.stdout.splitlines()) < 80
    assert "web-1: " + less in done.stderr, done.stderr
    assert less in fake.run("capture", "start", "-A", "--dry-run", "-o", "wide").stdout
    rows = {row["agent"]: row for row in json.loads(
        fake.run("capture", "start", "-A", "--dry-run", "-o", "json", "--for", "ever", "--bytes", "none").stdout)}
    assert rows["web-1"]["bytes_per_s"] == 600 and "needs" not in rows["web-1"] and "bytes_per_s" not in rows["web-2"]
    rows = json.loads(fake.run("capture", "start", "-A", "--dry-run", "-o", "json", "--for", "ever").stdout)
    assert rows[0]["needs"] == 1 << 30
    assert not fake.asked(command=2)
    fake.put(CHECK + ".code", "-8")
    fake.put(CHECK + ".text", "web-2: no interface fits")
    done = fake.run("capture", "start", "-A", "--dry-run", check=(1,))
    assert "it would not start: 1 of 3 agents say no\nweb-2: no interface fits" in done.stderr and "web-1" in done.stdout


def what_is_cut_ends_in_a_mark(fake):
    prepare(fake)
    long = "host 10.0.0.5 and (tcp port 80 or tcp port 443 or udp port 53)"
    fake.put("2.data", [{"capture": "slow", "packets": 5, "gap_packets": 0, "agents": "web-1", "filter": long},
                        {"capture": "other", "packets": 5, "gap_packets": 0, "agents": "web-2", "filter": "tcp port 80"}])
    with Terminal(fake, "captures", columns=70) as terminal:
        assert terminal.wait() == 0, terminal.text
        lines = [line.rstrip() for line in terminal.text.replace("\r", "").splitlines() if line.strip()]
        assert all(len(line) <= 70 for line in lines), lines
        assert lines[1].endswith("\u2026") and "host 10.0.0.5" in lines[1] and "web-1" in lines[1], lines
        assert lines[2].endswith("tcp port 80") and "web-2" in lines[2], lines


# --------------------------------------------------------------------------------------------------------- the others
def list_and_show(fake):
    prepare(fake)
    fake.remove("1.8.data", "2.8.data")
    fake.put("8.data", [RUNNING, order("over", agent("web-1", "stopped", 5), left=None, name="old")])
    lines = fake.run("capture", "list").stdout.splitlines()
    assert lines[0].split() == ["CAPTURE", "ID", "STATE", "AGENTS", "PACKETS", "BYTES", "DROPPED", "LEFT", "FILTER"], lines
    assert lines[1].split() == ["slow", ID[:8], "running", "2/2", "12", "1.2K", "0", "30.0s", "tcp", "port", "80"] or \
        lines[1].split()[:7] == ["slow", ID[:8], "running", "2/2", "12", "1.2K", "0"], lines
    assert lines[2].split()[3] == "1" and lines[2].split()[7] == "-", lines
    rows = json.loads(fake.run("capture", "list", "-o", "json").stdout)
    assert rows[0]["id"] == ID and rows[0]["limit_bytes"] == 1 << 30 and rows[0]["packets"] == 12, rows
    fake.run("capture", "list", "slow-*")
    assert fake.asked(kind=8)[-1]["capture"] == "slow-*"
    done = fake.run("capture", "show", "slow", check=(2,))
    assert "is 2 captures" in done.stderr, done.stderr
    fake.put("8.data", [RUNNING])
    done = fake.run("capture", "show", "7f3a")
    assert fake.asked(kind=8)[-1]["capture"] == "7f3a"
    assert "slow (%s): running\nfilter: tcp port 80; agents: all agents; started by me@here" % ID in done.stderr, done.stderr
    assert done.stdout.splitlines()[2].split()[:4] == ["web-2", "running", "eth0,", "eth1"], done.stdout
    fake.run("capture", "show", "7f3a", "--columns", "nothing", check=(2,))
    fake.put("8.data", [])
    assert "no captures were started" in fake.run("capture", "list").stderr
    fake.restart()
    fake.put("1.8.data", [])
    fake.put("2.8.data", [RUNNING])
    assert "did you mean 'slow'?" in fake.run("capture", "show", "slwo", check=(1,)).stderr


def a_stop_is_told_again_to_a_collector_that_was_away(fake):
    prepare(fake)
    fake.put(STOP + ".manifest", [OVER])
    fake.put("1.away", "")
    done = fake.run("capture", "stop", "slow")
    assert "trying again for 10 s" in done.stderr and "slow: 2 agents" in done.stderr, done.stderr
    assert [c["which"] for c in fake.asked(command=3)] == ["slow", "slow"], fake.asked()
    prepare(fake)
    fake.put("8.data", [RUNNING])
    fake.remove("1.8.data", "2.8.data")
    process = fake.popen("capture", "start", "-A", stderr=subprocess.PIPE, text=True)
    wait_until(lambda: fake.asked(kind=8), "the first question")
    count = len(fake.asked())
    for number in range(count + 1, count + 5):
        fake.put("%d.away" % number, "")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: len(fake.asked()) > count + 5 and fake.asked(command=3), "the stop")
    fake.put("8.data", [OVER])
    assert process.wait(WAIT_S) == 0, process.stderr.read()
    assert "2 agents, 120 packets" in process.stderr.read()


def stop_waits_and_rm_forgets(fake):
    prepare(fake)
    fake.put(STOP + ".manifest", [RUNNING])
    fake.put(STOP + ".text", "")
    done = fake.run("capture", "stop", "sl*")
    assert the_command(fake, 3)["which"] == "sl*" and len(fake.asked(kind=8)) == 3
    assert "slow: 2 agents, 120 packets, 11.7K, none dropped" in done.stderr, done.stderr
    fake.put(STOP + ".text", "it is over already")
    fake.put(STOP + ".manifest", [])
    assert "it is over already" in fake.run("capture", "stop", "slow").stderr
    fake.put(STOP + ".code", "-8")
    fake.put(STOP + ".text", "no capture is called 'slwo'")
    assert "no capture is called 'slwo'" in fake.run("capture", "stop", "slwo", check=(1,)).stderr
    fake.put(REMOVE + ".manifest", [OVER])
    done = fake.run("capture", "rm", "slow")
    assert "slow: forgotten" in done.stderr and the_command(fake, 4)["which"] == "slow"
    fake.put(REMOVE + ".code", "-10")
    fake.put(REMOVE + ".text", "it is not over")
    assert "it is not over" in fake.run("capture", "rm", "slow", check=(1,)).stderr


def questions_are_fresh(fake):
    prepare(fake)
    fake.put("4.data", "0")
    for command, kind in ((["flows"], 4), (["pull", "-w", "/dev/null"], 5), (["print"], 5)):
        for options, expected in (([], 1500), (["--fresh", "no"], 0), (["--fresh", "3s"], 3000), (["--fresh", "10ms"], 10)):
            fake.run(*command, *options)
            assert fake.asked(kind=kind)[-1]["fresh"] == str(expected), (command, options)
    assert "or 'no'" in fake.run("flows", "--fresh", "soon", check=(2,)).stderr
    fake.put("6.data", [])
    fake.run("chunks")
    assert fake.asked(kind=6)[-1]["fresh"] == "0"


def shells_can_complete(fake):
    prepare(fake)
    fake.remove("1.8.data", "2.8.data")
    cases = [(["capt"], "capture"), (["capture", ""], "start"), (["capture", "start", "--fo"], "--for="),
             (["capture", "start", "--on", ""], "web-2"), (["capture", "start", "-n", ""], "web-2"),
             (["capture", "start", "-l", ""], "role=web"), (["capture", "start", "--keep", ""], "headers"),
             (["capture", "stop", ""], "slow"), (["capture", "show", ""], "slow"), (["pull", "--capture", ""], "slow"),
             (["flows", ""], "port"), (["flows", "--by", ""], "server"), (["help", "capture", ""], "rm")]
    for words, expected in cases:
        done = fake.run("complete", "line", "--", *words)
        assert expected in done.stdout.split("\n"), (words, done.stdout)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/completion/fleetdump.bash")
    shell = 'source "$1"; shift; compopt() { :; }; COMP_WORDS=(fleetdump "$@"); COMP_CWORD=$#; _fleetdump; echo "${COMPREPLY[*]}"'
    environment = dict(fake.environment, PATH=os.path.dirname(fake.command_line()[0]) + ":" + os.environ["PATH"])
    for words, expected in [(["capture", "sto"], "stop"), (["capture", "start", "--on", "db"], "db-1"),
                            (["capture", "start", "--on", "=", "db"], "db-1"), (["capture", "start", "--on", "web-1,db"], "web-1,db-1"),
                            (["capture", "start", "--dry"], "--dry-run")]:
        done = subprocess.run(["bash", "-c", shell, "bash", script, *words], env=environment, stdout=subprocess.PIPE, text=True)
        assert done.stdout.strip() == expected, (words, done.stdout)


def main():
    tests = [options_make_a_request, times_are_those_of_the_collector, names_become_addresses,
             wrong_use_is_said_before_anything_is_asked, a_selector_that_means_nobody_names_who_is_near,
             names_that_nobody_has_are_errors, start_waits_and_says_what_came_of_it, no_wait_prints_the_id_alone,
             what_is_missing_makes_the_status_3, a_capture_of_agents_that_are_all_through_is_over,
             what_is_on_its_way_is_waited_for, a_refusal_names_what_and_where,
             a_collector_that_is_away_for_a_while_is_waited_for, a_capture_that_was_forgotten_is_an_error,
             a_signal_stops_it_where_nobody_can_be_asked, a_second_signal_ends_the_wait,
             a_terminal_shows_a_line_for_each_agent, many_agents_fit_a_small_terminal, evil_texts_do_not_reach_the_terminal,
             control_c_asks, a_file_is_written_at_the_end, a_pipe_gets_packets_as_they_come,
             a_pipe_that_nobody_reads_stops_the_capture, a_dry_run_is_a_table, what_is_cut_ends_in_a_mark,
             list_and_show, a_stop_is_told_again_to_a_collector_that_was_away, stop_waits_and_rm_forgets,
             questions_are_fresh, shells_can_complete]
    wanted = sys.argv[1:]
    with Fake() as fake:
        for test in tests:
            if wanted and test.__name__ not in wanted:
                continue
            test(fake)
            print("ok", test.__name__, flush=True)


if __name__ == "__main__":
    main()
