#!/usr/bin/env python3
"""The collector's audit tells who asked for what, from where, what came of it and how much came back; its chain is verified here by other means, and what is changed
in its files is noticed, by the collector's start as well."""

import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import time

import fleet
from rights import SECRET, User, Wire, make_capture


def verify_chain(lines):
    """The format as common/base/audit.h describes it, read again."""
    before = bytes(32)
    for number, line in enumerate(lines, 1):
        body, _, tail = line.rpartition(b',"hash":"')
        assert tail[-2:] == b'"}' and json.loads(line)["seq"] == number, line
        before = hashlib.sha256(before + body).digest()
        assert before.hex() == tail[:-2].decode(), number


def lines_of(system, *options):
    return [json.loads(line) for line in system.run("audit", "export", *options).stdout.splitlines()]


def what_is_noted(system):
    ann, vic = User(system, "ann", "--role", "operator", "--label", "role=web"), User(system, "vic", "--role", "viewer")
    flows = ann.json("flows", "tcp", "--since", "1h")
    _, packets, _ = ann.pull("port 80", "--since", "1h")
    size = os.path.getsize(system.path("pulled.pcapng"))
    vic.refused("pull", "port 80", "-w", "/dev/null")
    ann.refused("capture", "start", "-A", "--for", "1s", "tcp")
    ann.refused("capture", "stop", "nothing-of-this-name")
    lines = lines_of(system)
    find = lambda **want: [l for l in lines if all(str(l.get(k, "")).startswith(str(v)) for k, v in want.items())]
    asked, = find(event="query", who="user ann", what="flows 'tcp'")
    assert asked["result"] == "ok" and asked["rows"] == len(flows) and asked["narrowed"] == "labels role=web", asked
    assert asked["from"].startswith("127.0.0.1:") and asked["cert"], asked
    pulled, = find(event="query", who="user ann", what="pull 'port 80'")
    assert pulled["packets"] == len(packets) and pulled["bytes"] == size, (pulled, size)
    no, = find(event="refused", who="user vic", what="pull 'port 80'")
    assert no["result"] == "refused" and "role analyst" in no["text"], no
    no, = find(event="refused", who="user ann", what="check capture") or find(event="refused", who="user ann", what="start capture")
    assert "role=web" in no["text"], no
    no, = find(event="command", who="user ann", what="stop 'nothing-of-this-name'")
    assert no["result"] == "not-found", no
    added, = find(event="admin", who="user tester", what='add user {"name":"ann"') or find(event="admin", who="user tester", what="add user {")[:1]
    assert added["result"] == "ok"
    assert find(event="connect", who="agent web-1") and find(event="connect", who="user ann") and lines[0]["event"] == "start"
    assert SECRET.decode() not in json.dumps(lines)


def no_text_keeps_its_line_away(system):
    """Each byte of the filter takes two in the line."""
    for odd in ('"' * 8000, "\\" * 8000, "\n" * 8000, "tcp and " * 900 + "tcp"):
        with Wire(system.address, system.path("home")) as client:
            code = client.query("flows", filter=odd)["code"]
        last = [l for l in lines_of(system) if l["event"] == "query"][-1]
        assert last["what"].startswith("flows '" + odd[:100]) and (last["result"] == "ok") == (code == 0), last
    assert not [l for l in lines_of(system) if l["event"] == "lost"]


def strangers(system):
    """Who is not let in is noted, at most so often."""
    host, port = system.address.rsplit(":", 1)
    for _ in range(100):
        with socket.create_connection((host, int(port))) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
            try:
                plain.recv(100)
            except ConnectionError:
                pass
    told = lambda: [l for l in lines_of(system, "--event", "refused") if l["who"] == "" and l["what"] == "connection"]
    refused = fleet.wait_until(told, "refusals")
    assert len(refused) <= 60, len(refused)


def lists_that_are_watched(system):
    """The same list again on one connection is one line."""
    asked = lambda: [l["what"] for l in lines_of(system, "--who", "tester", "--event", "query")]
    before = len(asked())
    with Wire(system.address, system.path("home")) as client:
        for _ in range(20):
            client.orders()
        client.query("status")
        client.orders()
    noted = asked()[before:]
    assert noted == ["list orders", "status", "list orders"], noted


def pages_and_choices(system):
    """More than one answer holds; lines are chosen by who, event, time and number."""
    with Wire(system.address, system.path("home")) as client:
        for i in range(300):
            client.query("flows", filter="port %d or %s" % (i, " or ".join("host 10.0.0.%d" % n for n in range(120))))
    whole = system.run("audit", "export").stdout.encode().splitlines()
    assert sum(len(l) for l in whole) > 500_000
    verify_chain(whole)
    assert len(system.json("audit", "show", "--last", "7")) == 7
    shown = system.json("audit", "show", "--since", "1h", "--who", "ann")
    assert shown and {l["who"] for l in shown} == {"user ann"}
    assert system.json("audit", "show", "--until", "1h") == []
    assert len(system.run("audit", "show", "-o", "csv").stdout.splitlines()) == 51
    report = system.json("audit", "verify")
    assert report["first"] == 1 and report["last"] >= len(whole), report
    system.run("audit", "verify", "--known", report["head"])
    system.run("audit", "verify", "--known", report["head"][:-1] + ("0" if report["head"][-1] != "0" else "1"), check=(1,))
    User(system, "pam", "--role", "operator").refused("audit", "show", says="takes the role admin")


def what_is_changed_is_noticed(system):
    """While it runs, and when it starts."""
    file, = glob.glob(system.path("store", "audit", "audit.jsonl"))
    system.stop_collector()
    with open(file, "rb") as f:
        good = f.read()
    verify_chain(good.splitlines())
    system.start_collector()
    system.json("status")
    changed = good.replace(b'"who":"user vic"', b'"who":"user bob"', 1)
    with open(file, "r+b") as f:
        f.write(changed)
    done = system.run("audit", "verify", check=(1,))
    number = changed[:changed.index(b"user bob")].count(b"\n") + 1
    assert "audit.jsonl, line %d" % number in done.stderr, done.stderr
    system.run("audit", "show", check=(1,))
    system.stop_collector()
    for content in (changed, good[:len(good) // 2]):
        with open(file, "wb") as f:
            f.write(content)
        system.start_collector(wait=False)
        assert system.collector.wait(fleet.WAIT_S) == 1
        system.collector = None
    with open(system.path("collector.log")) as log:
        assert "move the folder away for a new one to begin" in log.read()
    os.rename(system.path("store", "audit"), system.path("store", "audit.evidence"))
    system.start_collector()
    assert lines_of(system)[0]["event"] == "start"


def files_are_verified_where_they_lie(system):
    """Of the collector, of a host, and what was written out: nobody is asked."""
    for _ in range(5):
        system.json("status")
    with open(system.path("export"), "w") as file:
        file.write(system.run("audit", "export").stdout)
    part = system.run("audit", "export", "--event", "connect")
    assert "cannot follow the chain" in part.stderr, part.stderr
    system.start_agent("web-9")
    host = system.path("spool-web-9.audit")
    fleet.wait_until(lambda: [a for a in system.json("agents") if a["agent"] == "web-9" and a["connected"]], "the agent")
    system.stop_agent("web-9")
    system.stop_collector()
    run = lambda *words, check=0: system.run(*words, check=(check,))
    rows = lambda *words, check=0: json.loads(run("audit", "verify", *words, "-o", "json", check=check).stdout)
    folder, export = system.path("store", "audit"), system.path("export")
    whole, written = rows(folder, export)
    lines = open(system.path("store", "audit", "audit.jsonl"), "rb").read().splitlines(keepends=True)
    assert whole["result"] == written["result"] == "good" and whole["lines"] == len(lines) and written["first"] == 1, (whole, written)
    noted = [json.loads(l) for l in lines]
    assert (whole["from"], whole["until"]) == (noted[0]["time"], noted[-1]["time"])
    assert whole["head"] == "%d:%s" % (len(lines), noted[-1]["hash"])
    assert rows(host)[0]["lines"] == 0
    run("audit", "verify", export, "--known", written["head"])
    run("audit", "verify", export, "--known", whole["head"], check=1)
    run("audit", "verify", export, folder, "--known", whole["head"], check=2)
    run("audit", "verify", system.path("nothing"), check=1)
    run("audit", "verify", system.path("store"), check=1)
    shown = json.loads(run("audit", "show", folder, "--who", "web-*", "--event", "connect", "-o", "json").stdout)
    assert shown and {l["who"] for l in shown} == {"agent web-9"}
    assert len(json.loads(run("audit", "show", folder, "-o", "json", "--last", "3").stdout)) == 3

    copy = system.path("copy")
    def changed(content, head=None):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        with open(os.path.join(copy, "audit.jsonl"), "wb") as file:
            file.write(content)
        if head:
            with open(os.path.join(copy, "audit.head"), "w") as file:
                file.write(head + "\n")
    def says(what, check):
        done = run("audit", "verify", copy, check=check)
        assert what in done.stderr and copy in done.stderr, (what, done.stderr)
    changed(b"".join(lines[:2]) + lines[2].replace(b'"time":"2', b'"time":"3') + b"".join(lines[3:]))
    says("audit.jsonl, line 3 (after number 2): its hash does not fit", 1)
    shown = run("audit", "show", copy, "-o", "json", check=1)
    assert len(json.loads(shown.stdout)) == 2 and "line 3" in shown.stderr
    changed(b"".join(lines[:2] + lines[4:]))
    says("audit.jsonl, line 3 (after number 2): it does not have the next number", 1)
    changed(b"".join(lines[:-1]))
    says("ends with number %d, and there were lines up to %d once" % (len(lines) - 1, len(lines)), 1)
    head = "%d:%s" % (len(lines) - 1, noted[-2]["hash"])
    changed(b"".join(lines), head)
    says("audit.head notes number %d and lines go up to %d" % (len(lines) - 1, len(lines)), 3)
    changed(b"".join(lines[:-1]) + lines[-1][:20], head)
    says("audit.jsonl, line %d: half a line of 20 bytes" % len(lines), 3)
    first, second = os.path.join(copy, "first"), os.path.join(copy, "second")
    for name, some in ((first, lines[:5]), (second, lines[5:9])):
        with open(name, "wb") as file:
            file.write(b"".join(some))
    assert [r["result"] for r in rows(first, second)] == ["good", "good"]
    assert "all fits from line 6 on" in run("audit", "verify", second).stderr
    with open(first, "wb") as file:
        file.write(b"".join(lines[:4]) + lines[4].replace(b'"time":"2', b'"time":"3'))
    assert [r["result"] for r in rows(first, second, check=1)] == ["changed", "good"]
    system.start_collector()


def half_a_line_is_in_the_log(system):
    """Of the collector and of a host."""
    system.stop_collector()
    for file, log, start, stop in ((system.path("store", "audit", "audit.jsonl"), "collector.log", system.start_collector, None),
                                   (system.path("spool-web-9.audit", "audit.jsonl"), "web-9.log", lambda: system.start_agent("web-9"), "web-9")):
        with open(file, "a+b") as audit:
            audit.seek(0)
            number = audit.read().count(b"\n") + 1
            audit.write(b'{"seq":')
        start()
        say = "%s, line %d: half a line of 7 bytes was cut off" % (file, number)
        fleet.wait_until(lambda: say in open(system.path(log), errors="replace").read(), say)
        if stop:
            system.stop_agent(stop)
    cut, = lines_of(system, "--event", "cut")
    assert cut["bytes"] == 7, cut


def a_kill_costs_at_most_the_last_second(system):
    system.json("status")
    before = system.json("audit", "verify")
    system.stop_collector(signal.SIGKILL)
    system.start_collector()
    assert system.json("audit", "verify")["last"] > before["last"]
    verify_chain(system.run("audit", "export").stdout.encode().splitlines())


def a_full_disk_is_told(system):
    """What is asked goes on, and how many lines are missing is noted."""
    system.stop_collector()
    system.start_collector(environment={"FLEETDUMP_FAULT": "audit.write:ENOSPC:4"})
    for _ in range(3):
        system.json("status")
    with open(system.path("collector.log")) as log:
        told = "the audit cannot be written" in log.read()
    lost = [l for l in lines_of(system) if l["event"] == "lost"]
    assert [l["lines"] for l in lost] == ([1] if told else []), (told, lost)  # a release has no faults
    done = system.run("audit", "verify", check=(3 if told else 0,))
    assert not told or "never written (on a full disk?), 1 in all" in done.stderr, done
    done = system.run("audit", "verify", system.path("store", "audit"), check=(3 if told else 0,))
    assert not told or "never written (on a full disk?), 1 in all" in done.stderr, done
    assert not told or "lines never written: 1" in system.run("audit", "show", "--event", "lost").stdout


OTHER_DEV = """set -e; mkdir "$0/dev"; mount -t tmpfs none "$0/dev"; mkdir "$0/dev/shm"; mount --bind /dev/shm "$0/dev/shm"
for name in null zero full random urandom; do touch "$0/dev/$name"; mount --bind "/dev/$name" "$0/dev/$name"; done
ln -s "$0/log" "$0/dev/log"; mount --rbind "$0/dev" /dev; exec "$@\""""


def the_systems_log_has_each_line(system):
    """With the number and hash of each, by which a chain that was written anew is noticed."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        print("the system's log: skipped, that takes root")
        return
    system.stop_collector()
    system.config["audit"] = "syslog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(system.path("log"))
        os.chmod(system.path("log"), 0o666)
        log.settimeout(fleet.WAIT_S)
        system.inside = lambda where: ["unshare", "-m", "sh", "-c", OTHER_DEV, system.folder] if where == "collector" else []
        system.start_collector()
        system.json("status")
        told = ""
        while "status" not in told:
            told = log.recv(8192).decode()
        head = told.split(" audit ")[1].split(" ")[0]
        assert "fleetdump-collector[" in told and '"who":"user tester"' in told, told
        system.run("audit", "verify", "--known", head, check=(0, 3))  # 3: lines were lost on the full disk
        system.stop_collector()
    shutil.rmtree(system.path("store", "audit"))
    system.config.clear()
    system.inside = lambda where: []
    system.start_collector()
    while system.json("audit", "verify")["last"] < int(head.split(":")[0]):
        system.json("status")
    assert "written anew" in system.run("audit", "verify", "--known", head, check=(1,)).stderr


def main():
    with fleet.Fleet(tls=True) as system:
        system.read("web-1", make_capture(system.path("now.pcap"), time.time() - 600), label="role=web")
        for story in (what_is_noted, no_text_keeps_its_line_away, strangers, lists_that_are_watched, pages_and_choices, what_is_changed_is_noticed,
                      files_are_verified_where_they_lie, half_a_line_is_in_the_log, a_kill_costs_at_most_the_last_second,
                      a_full_disk_is_told, the_systems_log_has_each_line):
            story(system)
            print(story.__name__.replace("_", " ") + ": right", flush=True)


if __name__ == "__main__":
    sys.exit(main())
