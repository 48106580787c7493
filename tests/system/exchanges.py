#!/usr/bin/env python3
"""fleetdump http, dns, tls at the command line, against a collector that answers what is said here: columns, groups, formats, words that are wrong,
empty answers, and HTTP archives, whose members are those that HAR 1.2 requires and that the archives of other programs have."""

import csv
import glob
import io
import json
import os
import re

from fake import EXCHANGES, FLOWS, Fake

MS = 1_000_000
T0 = 1_764_000_000 * 10**9
CLIENT = {"port.0": 43210}


def http(ordinal, flow=None, **more):
    exchange = {"app": "http", "ordinal": ordinal, "time": T0 + ordinal * 1000 * MS, "method": "GET", "http_host": "www.example.org", "path": "/a",
                "status": 200, "version": "HTTP/1.1", "content_type": "text/html", "send": MS, "wait": 20 * MS, "duration": 25 * MS, "request_bytes": 300,
                "request_body": 0, "reply_bytes": 5200, "reply_body": 5000, "outcome": 1}
    exchange.update(more)
    return [flow or {}, {name: value for name, value in exchange.items() if value is not None}]


def forms(fake):
    fake.put("%d.data" % EXCHANGES, [http(1), http(2, method="POST", path='/say "hi",\x1b[31m', status=503), http(3, status=None, wait=None, outcome=2)])
    rows = json.loads(fake.run("http", "-o", "json").stdout)
    assert [row.get("status") for row in rows] == [200, 503, None] and [row["ordinal"] for row in rows] == [1, 2, 3]
    assert rows[0]["client"] == "10.0.0.5:43210" and rows[0]["agent"] == "web-1" and rows[0]["wait"] == 20 * MS, rows[0]
    assert rows[0]["time"] == "2025-11-24T16:00:01.000000000Z" and rows[2]["outcome"] == "unanswered"
    assert "bytes" not in rows[0] and "dns_name" not in rows[0] and "exchanges" not in rows[0]
    assert [json.loads(line) for line in fake.run("http", "-o", "ndjson").stdout.splitlines()] == rows
    table = list(csv.DictReader(io.StringIO(fake.run("http", "-o", "csv").stdout)))
    assert [row["status"] for row in table] == ["200", "503", ""] and table[1]["path"] == '/say "hi",\\x1b[31m', table[1]
    plain = fake.run("http").stdout
    assert "\x1b" not in plain and re.search(r"POST +www\.example\.org", plain) and "20.0ms" in plain, plain
    picked = fake.run("http", "--columns", "host,status", "-H").stdout
    assert picked.splitlines()[0].split() == ["www.example.org", "200"], picked
    for command in ("dns", "tls"):
        fake.run(command, "-o", "json")
        assert fake.asked(kind=EXCHANGES)[-1]["app"] == command


def what_is_asked(fake):
    fake.put("%d.data" % EXCHANGES, [])
    fake.run("dns", "unanswered or rcode != NOERROR", "--by", "agent,name", "--sort", "-errors", "--top", "5", "--since", "15m", "--on", "web-*")
    asked = fake.asked(kind=EXCHANGES)[-1]
    assert asked["app"] == "dns" and asked["filter"] == "unanswered or rcode != NOERROR" and asked["sort"] == "-errors" and asked["limit"] == "5"
    assert asked["by"] == "dns_name" and asked["on"] == "web-*" and asked["fresh"] != "0" and asked["since"] != "0", asked
    fake.run("http", "--by", "host", "--fresh", "no")
    assert fake.asked(kind=EXCHANGES)[-1]["by"] == "http_host" and fake.asked(kind=EXCHANGES)[-1]["fresh"] == "0"


def groups(fake):
    fake.put("%d.data" % EXCHANGES, [[{}, {"http_host": "a", "exchanges": 3, "errors": 1, "unanswered": 0, "wait": 2 * MS, "wait_p95": 5 * MS,
                                           "wait_max": 6 * MS, "request_bytes": 2048, "reply_bytes": 4096}]])
    lines = fake.run("http", "--by", "host").stdout.splitlines()
    assert lines[0].split() == ["HTTP_HOST", "EXCHANGES", "ERRORS", "UNANSWERED", "WAIT", "WAIT_P95", "WAIT_MAX", "REQUEST_BYTES", "REPLY_BYTES"], lines[0]
    assert lines[1].split() == ["a", "3", "1", "0", "2.0ms", "5.0ms", "6.0ms", "2.0K", "4.0K"], lines[1]
    row, = json.loads(fake.run("http", "--by", "host", "-o", "json").stdout)
    assert row == {"http_host": "a", "exchanges": 3, "errors": 1, "unanswered": 0, "wait": 2 * MS, "wait_p95": 5 * MS, "wait_max": 6 * MS,
                   "request_bytes": 2048, "reply_bytes": 4096}, row


def wrong_use(fake):
    for arguments, text in ((["http", "status >= x"], "status >= x\n          ^"),
                            (["dns", "rcode = NXDOMIAN"], "did you mean 'NXDOMAIN'?\nrcode = NXDOMIAN\n        ^"),
                            (["http", "path"], "path\n    ^"),
                            (["http", "--by", "metod"], "--by: no field 'metod': did you mean 'method'? (`fleetdump http --columns` lists them)"),
                            (["http", "--by", "dns_name"], "--by: no field 'dns_name' of http: `fleetdump dns` has it"),
                            (["http", "--sort", "bytes"], "--sort: no field 'bytes' of http: `fleetdump flows` has it"),
                            (["http", "--columns", "rcode"], "--columns: no field 'dns_rcode' of http: `fleetdump dns` has it"),
                            (["flows", "--columns", "method"], "--columns: no field 'method' of flows: `fleetdump http` has it"),
                            (["http", "--columns", "errors"], "--columns: 'errors' is of groups, not of single exchanges: it goes with --by"),
                            (["http", "--by", "host", "--columns", "path"], "--columns: 'path' is of single exchanges, not of groups"),
                            (["http", "--sort", "errors"], "--sort: 'errors' is of groups, not of single exchanges: it goes with --by"),
                            (["http", "--by", "host", "--sort", "path"], "not of groups"),
                            (["http", "--columns", "metod"], "no column 'metod': did you mean 'method'?"),
                            (["http", "--by", "host,wait_p95"], "--by: 'wait_p95' is of groups, which cannot be made by it"),
                            (["flows", "--by", "flows"], "--by: 'flows' is of groups"),
                            (["flows", "--vantage", "auto"], "--vantage auto is about sums"),
                            (["http", "--vantage", "some"], "--vantage some: it is auto or all"),
                            (["http", "--har", "-", "--by", "host"], "leave --by out"),
                            (["http", "--har", "-", "-o", "json"], "leave -o and --columns out"),
                            (["http", "--har", "-", "--columns", "path"], "leave -o and --columns out")):
        done = fake.run(*arguments, check=(2,))
        assert text in done.stderr and not done.stdout, (arguments, done.stderr)


def ends(fake):
    fake.put("%d.data" % EXCHANGES, [])
    fake.put("%d.text" % EXCHANGES, "nothing found: 3 chunks of that time, and no exchange of tls was seen in them")
    done = fake.run("tls")
    assert done.stdout == "" and "no exchange of tls was seen" in done.stderr, done.stderr
    fake.put("%d.code" % EXCHANGES, "-17")
    fake.put("%d.data" % EXCHANGES, [http(1)])
    done = fake.run("http", "-o", "json", check=(3,))
    assert len(json.loads(done.stdout)) == 1
    fake.remove("%d.code" % EXCHANGES, "%d.text" % EXCHANGES)
    fake.put("%d.manifest" % EXCHANGES, {"selected_exchanges": 70})
    assert "the first 1 of 70 exchanges by time" in fake.run("http", "--limit", "1").stderr
    fake.put("%d.manifest" % EXCHANGES, {"selected_exchanges": 7, "running": 2})
    assert "2 of 7 exchanges had not ended in what was captured until now" in fake.run("http", "--by", "status").stderr
    fake.put("%d.manifest" % EXCHANGES, {"selected_exchanges": 7, "running": 0, "agents": [{"counters": {"apps_unread": None}}]})
    said = fake.run("http").stderr
    assert "had not ended" not in said and "apps_unread" not in said, said
    fake.put("%d.manifest" % EXCHANGES, {"selected_exchanges": 7, "agents": [{"counters": {"apps_unread": 2}}, {"counters": {"apps_unread": 3}}]})
    assert "of 5 connections what was said was not read, or not to its end" in fake.run("http").stderr
    fake.put("%d.manifest" % EXCHANGES, {"selected_exchanges": 1, "seen_by_several_agents": 1})
    one, all_of_them = "1 of 1 exchanges were seen at several places: each is taken from one", "such a one counts once for each of them"
    for arguments, told in ((["http"], one), (["http", "--by", "status"], one), (["http", "--by", "agent,status"], None), (["http", "--har", "-"], one),
                            (["http", "--vantage", "all"], all_of_them), (["http", "--by", "agent", "--vantage", "auto"], one),
                            (["http", "--by", "agent", "--vantage", "all"], None)):
        said = fake.run(*arguments).stderr
        assert told in said if told else "several places" not in said, (arguments, said)
    fake.remove("%d.manifest" % EXCHANGES)
    fake.put("%d.manifest" % FLOWS, {"selected_flows": 1, "several_vantages": 1})
    for arguments, vantage in (([], "1"), (["--by", "server"], "0"), (["--by", "server", "--vantage", "all"], "1"), (["--by", "interface"], "1")):
        said = fake.run("flows", *arguments).stderr
        assert fake.asked(kind=FLOWS)[-1]["vantage"] == vantage and "1 connections were seen at several places: each counts once" in said, (arguments, said)
    fake.remove("%d.manifest" % FLOWS)


def how_it_ended_is_seen(fake):
    for command, what in (("http", {}), ("dns", {"app": "dns", "dns_name": "x.corp"}), ("tls", {"app": "tls", "sni": "x.corp"})):
        fake.put("%d.data" % EXCHANGES, [http(1, outcome=outcome, status=None, wait=None, **what) for outcome in (1, 2, 3, 4, 5)])
        lines = fake.run(command).stdout.splitlines()[1:]
        for line, word in zip(lines, ("complete", "unanswered", "cut", "unseen", "open"), strict=True):
            assert word in line.split(), (command, line)


def lists_of_columns(fake):
    for command, some, others in (("flows", {"bytes": "bytes", "sni": "text", "duration": "ns", "time": "time", "packets": "number"}, {"method", "errors"}),
                                  ("http", {"status": "number", "path": "text", "wait": "ns", "client": "text"}, {"bytes", "dns_name", "ja4", "state"}),
                                  ("dns", {"dns_rcode": "text", "unanswered": "number"}, {"path", "sni"}),
                                  ("tls", {"ja4": "text", "tls_alert": "text"}, {"method", "dns_type"})):
        for arguments in ((command, "--columns"), (command, "-o", "json", "--columns"), (command, "--columns", "help", "-o", "csv")):
            done = fake.run(*arguments)
            assert not done.stderr, done.stderr
        rows = {row["name"]: row for row in json.loads(fake.run(command, "--columns", "help", "-o", "json").stdout)}
        assert all(rows[name]["unit"] == unit for name, unit in some.items()) and not others & set(rows), command
        assert all(row["meaning"] for row in rows.values())
        lines = fake.run(command, "--columns").stdout.splitlines()
        assert lines[0].split() == ["NAME", "UNIT", "MEANING"] and len(lines) == len(rows) + 1
        said = fake.run(command, "--help").stdout
        assert all(re.search(r"^  %s\b" % name, said, re.M) for name in rows), command
    meaning = {c: {r["name"]: r["meaning"] for r in json.loads(fake.run(c, "--columns", "help", "-o", "json").stdout)} for c in ("flows", "http")}
    assert meaning["http"]["time"] != meaning["flows"]["time"] and meaning["http"]["client"] == meaning["flows"]["client"]
    assert not fake.asked(kind=FLOWS), "the list of columns asks nobody"


# HAR 1.2: what each object must have
REQUIRED = {
    "log": {"version", "creator", "entries"},
    "creator": {"name", "version"},
    "entry": {"startedDateTime", "time", "request", "response", "cache", "timings"},
    "request": {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"},
    "response": {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize"},
    "content": {"size", "mimeType"},
    "timings": {"send", "wait", "receive"},
}
ALLOWED = {
    "log": {"browser", "pages", "comment"},
    "creator": {"comment"},
    "entry": {"pageref", "serverIPAddress", "connection", "comment"},
    "request": {"postData", "comment"},
    "response": {"comment"},
    "content": {"compression", "text", "encoding", "comment"},
    "timings": {"blocked", "dns", "connect", "ssl", "comment"},
}


def objects(archive):
    yield "log", archive["log"]
    yield "creator", archive["log"]["creator"]
    for entry in archive["log"]["entries"]:
        yield "entry", entry
        for name in ("request", "response", "timings"):
            yield name, entry.get(name)
        yield "content", (entry.get("response") or {}).get("content")


def check_shape(archive):
    assert archive["log"]["version"] == "1.2" and archive["log"]["creator"]["name"] == "fleetdump"
    for name, value in objects(archive):
        assert value is not None, name
        assert REQUIRED[name] <= set(value), (name, REQUIRED[name] - set(value))
        assert not {k for k in value if k[0] != "_"} - REQUIRED[name] - ALLOWED[name], (name, value)
    for entry in archive["log"]["entries"]:
        times = entry["timings"]
        assert all(times[k] >= 0 for k in REQUIRED["timings"]) and abs(sum(v for v in times.values() if v != -1) - entry["time"]) < 1e-6
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["startedDateTime"])


def archive_of(fake, rows, names=(), *options):
    fake.put("1.%d.data" % EXCHANGES, list(names))
    fake.put("2.%d.data" % EXCHANGES, rows)
    done = fake.run("http", *options, "--har", "-")
    archive = json.loads(done.stdout)
    check_shape(archive)
    assert [q["app"] for q in fake.asked(kind=EXCHANGES)] == ["dns", "http"]
    fake.restart()
    return archive["log"]["entries"]


def archives(fake):
    flow = {"time": T0 + 960 * MS, "handshake": 10 * MS, "syn_answer": 5 * MS}
    ask = {"app": "dns", "dns_name": "WWW.example.org", "dns_answers": "alias.example.org, 192.168.100.200", "wait": 30 * MS}
    names = [[{}, dict(ask, time=T0 + 900 * MS)],
             [{}, dict(ask, time=T0 + 910 * MS, dns_answers="192.168.100.20")],  # another server
             [{}, dict(ask, time=T0 + 950 * MS)],  # came later
             [{"addr.0": "10.0.0.6"}, dict(ask, time=T0 + 920 * MS)]]  # another client
    first, second, third = archive_of(fake, [http(1, flow), http(2, flow, method="POST", request_body=11, request_bytes=400, status=404),
                                             http(3, flow, status=None, wait=None, duration=None, http_host=None, content_type=None, reply_body=None)], names)
    assert first["timings"] == {"blocked": 60, "dns": 30, "connect": 10, "send": 1, "wait": 20, "receive": 4, "ssl": -1}, first["timings"]
    assert first["startedDateTime"] == "2025-11-24T16:00:00.900000Z" and first["time"] == 125
    assert first["request"]["url"] == "http://www.example.org/a" and first["request"]["headersSize"] == 300 and first["request"]["bodySize"] == 0
    assert first["response"]["content"] == {"size": 5000, "mimeType": "text/html"} and first["response"]["headersSize"] == -1
    assert first["serverIPAddress"] == "192.168.100.200" and first["connection"] == "7f3a000000000000" and first["_agent"] == "web-1"
    assert second["timings"] == {"blocked": -1, "dns": -1, "connect": -1, "send": 1, "wait": 20, "receive": 4, "ssl": -1}, second["timings"]
    assert second["request"]["headersSize"] == -1 and second["request"]["bodySize"] == 11 and second["response"]["status"] == 404
    assert third["response"]["status"] == 0 and third["response"]["content"] == {"size": -1, "mimeType": ""} and third["_outcome"] == "complete"
    assert third["request"]["url"] == "http://192.168.100.200/a", third["request"]
    alone, = archive_of(fake, [http(1, dict(flow, **{"port.1": 8080}), http_host=None)])
    assert alone["timings"]["dns"] == -1 and alone["timings"]["connect"] == 10 and alone["timings"]["blocked"] == 30
    assert alone["request"]["url"] == "http://192.168.100.200:8080/a", alone["request"]["url"]
    for host, path, url in (("h:81", "/x", "http://h:81/x"), ("[2001:db8::1]", "/", "http://[2001:db8::1]/"), ("h", "http://other/y", "http://other/y"),
                            ("h", "*", "http://h/*")):
        entry, = archive_of(fake, [http(2, http_host=host, path=path)])
        assert entry["request"]["url"] == url, entry["request"]["url"]
    assert archive_of(fake, []) == []


def an_archive_is_whole_or_not_there(fake):
    path = fake.path("out.har")
    fake.put("%d.data" % EXCHANGES, [http(1), http(2)])
    done = fake.run("http", "--har", path)
    with open(path) as file:
        assert len(json.load(file)["log"]["entries"]) == 2
    assert "2 entries" in done.stderr
    os.unlink(path)
    fake.restart()
    fake.put("%d.data" % EXCHANGES, [http(1)])
    fake.put("mode", "cut")
    fake.run("http", "--har", path, check=(1,))
    assert not glob.glob(path + "*")
    fake.remove("mode")


def the_vocabulary_of_others(fake):
    """Each member that an archive of ours has stands in one of another program: so none is an invention."""
    corpus, known = os.environ.get("FLEETDUMP_CORPUS"), {}
    for path in glob.glob(os.path.join(corpus, "har-*", "**", "*.har*"), recursive=True) if corpus else ():
        with open(path) as file:
            for name, value in objects(json.load(file)):
                known.setdefault(name, set()).update(value or ())  # some have null for a reply that did not come
    archive_rows = [http(1, {"time": T0 + 960 * MS, "handshake": 10 * MS})]
    fake.put("%d.data" % EXCHANGES, archive_rows)
    for name, value in objects(json.loads(fake.run("http", "--har", "-").stdout)):
        unknown = {k for k in value if k[0] != "_"} - known.get(name, set(value))
        assert not unknown, (name, unknown)


def main():
    for story in (forms, what_is_asked, groups, wrong_use, ends, how_it_ended_is_seen, lists_of_columns, archives, an_archive_is_whole_or_not_there, the_vocabulary_of_others):
        with Fake() as fake:
            story(fake)
            print("%s: good" % story.__name__)


main()
