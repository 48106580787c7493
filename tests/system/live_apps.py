#!/usr/bin/env python3
# timeout: 600
"""What exchanges say of live traffic against those who answered it: nginx's access log (each request of each connection, keep-alive and
pipelined: method, path, status, bytes), and dnsmasq's log of queries and answers. With FLEETDUMP_APPS_FULL=1, 20,000 requests instead of 2,000.

A capturer that is killed leaves the exchanges of the packets that it had written.

live_apps.py [STORY...]"""

import collections
import contextlib
import glob
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess

from live_capturer import TOOL, Capturer
from namespaces import BIN, need, tell, wait_until

REQUESTS = 20000 if os.environ.get("FLEETDUMP_APPS_FULL") else 2000
PER_CONNECTION, BATCH = 100, 10  # no more than the agent lets wait in one flow
NS_PER_MS = 1000000
PATHS = ("/", "/small", "/big", "/missing", "/error", "/moved", "/empty", "/small?secret=1", "/chunked")
NGINX = """
worker_processes 1;
daemon off;
user root;
pid %(folder)s/nginx.pid;
error_log %(folder)s/error.log;
events { worker_connections 256; }
http {
    log_format test '$remote_port $connection_requests $request_method $request_uri $status $bytes_sent $body_bytes_sent $request_length $msec $request_time';
    access_log %(folder)s/access.log test;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    keepalive_requests 100000;
    default_type text/plain;
    server {
        listen 10.9.0.2:80;
        root %(folder)s/pages;
        location = / { return 200 "hello"; }
        location = /error { return 503; } # after 500 it closes
        location = /moved { return 301 http://other.example/; }
        location = /empty { return 204; }
        location = /chunked { gzip on; gzip_min_length 1; gzip_types *; try_files /big =404; }
        location = /upload { return 200 "thank you"; }
        location /held/ { proxy_pass http://unix:%(folder)s/held; }
    }
}
"""


def exchanges(capturer):
    """(exchanges, flows by id) of what was captured."""
    names = sorted(glob.glob(os.path.join(capturer.streams()[0], "*.head")))
    said = subprocess.run([os.path.join(BIN, "head_dump"), *names], check=True, stdout=subprocess.PIPE).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    return [line for line in lines if "exchange" in line], {line["flow"]: line for line in lines if "flow" in line}


def pair(net):
    a, b = net.space(), net.space()
    net.veth(a, "va", "10.9.0.1/24", b, "vb", "10.9.0.2/24")
    return a, b


def port_of(x, flows):
    """The client's, of the flow that an exchange belongs to."""
    flow = flows[x["exchange"]]
    return flow["port.%d" % flow["originator"]]


# ---------------------------------------------------------------- HTTP

def request(r, is_last):
    path, close = r.choice(PATHS), "Connection: close\r\n" if is_last else ""
    body = ""
    method = r.choice(("GET", "GET", "GET", "HEAD"))
    if r.random() < 0.1:
        method, path, body = "POST", "/upload", "x" * r.randrange(1, 5000)
    length = "Content-Length: %d\r\n" % len(body) if body else ""
    gzip = "Accept-Encoding: gzip\r\n" if path == "/chunked" else ""
    return ("%s %s HTTP/1.1\r\nHost: web.example\r\nUser-Agent: test/1\r\n%s%s%s\r\n%s" % (method, path, gzip, length, close, body)).encode()


def one_connection(seed, count):
    """Requests in bursts of which nobody waits for the replies, then one by one."""
    r = random.Random(seed)
    with socket.create_connection(("10.9.0.2", 80), timeout=60) as s:
        done = 0
        while done < count:
            n = min(r.randrange(1, BATCH + 1), count - done)
            s.sendall(b"".join(request(r, done + i + 1 == count) for i in range(n)))
            done += n
            if r.random() < 0.5:
                s.recv(100)  # something has come back, the rest comes with what follows
        while s.recv(1 << 16):
            pass


def ask_web(count):
    for i in range(count // PER_CONNECTION):
        one_connection(i, PER_CONNECTION)
    return count


def body_of(x):
    """nginx counts what chunks add to a body, we do not."""
    return x["reply_body"] if x["path"] != "/chunked" else 0


def nginx_logged(path):
    """nginx reads no further than the head of requests that it answers by itself."""
    logged = {}
    for line in open(path):
        port, number, method, uri, status, sent, body, length, _, _ = line.split()
        logged[int(port), int(number)] = (method, uri.split("?")[0], int(status), int(sent), int(body) if uri != "/chunked" else 0, int(length))
    return logged


def nginx_times(path):
    """{(port, number): (when it logged, how long it took)}, in ns. nginx takes both from the time at which it last woke up, in ms: no later than it was."""
    words = [line.split() for line in open(path)]
    return {(int(w[0]), int(w[1])): tuple(int(seconds.replace(".", "")) * NS_PER_MS for seconds in w[-2:]) for w in words}


@contextlib.contextmanager
def nginx(space, place):
    """nginx in a namespace, with its files in a new folder."""
    os.makedirs(os.path.join(place, "pages"))
    for name, size in (("small", 100), ("big", 100000)):
        with open(os.path.join(place, "pages", name), "w") as file:
            file.write("0123456789" * (size // 10))
    with open(os.path.join(place, "nginx.conf"), "w") as file:
        file.write(NGINX % {"folder": place})
    pid = os.path.join(place, "nginx.pid")
    server = space.popen("nginx", "-c", os.path.join(place, "nginx.conf"), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: os.path.exists(pid) and open(pid).read().strip(), "nginx")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def nginx_says_the_same(net, folder):
    a, b = pair(net)
    log = os.path.join(folder, "nginx", "access.log")
    ours = Capturer(b, folder, "vb", options=["-f", "tcp port 80"], ring="64M").running()
    with nginx(b, os.path.join(folder, "nginx")):
        a.call(ask_web, REQUESTS)
        wait_until(lambda: len(open(log).readlines()) >= REQUESTS, "nginx's log")
    last = ours.stop()
    assert last["kernel_drops"] == 0, "%d packets were lost: nothing can be said" % last["kernel_drops"]
    found, flows = exchanges(ours)
    seen, times = {}, nginx_times(log)
    for x in found:
        port = port_of(x, flows)
        assert x["outcome"] == "complete" and x["http_host"] == "web.example" and x["version"] == "HTTP/1.1", x
        assert x["wait"] <= x["duration"], x
        seen[port, x["ordinal"]] = (x["method"], x["path"], x["status"], x["reply_bytes"], body_of(x),
                                     x["request_bytes"] - x["request_body"])
        # nginx logs by the time at which it woke up to send the last byte; later what has a body to throw away, and what ends the connection
        logged_ns = times[port, x["ordinal"]][0]
        assert logged_ns <= x["time"] + x["duration"] or x["request_body"] or x["ordinal"] == PER_CONNECTION, (logged_ns, x)
    logged = nginx_logged(log)
    wrong = [(key, seen.get(key), logged.get(key)) for key in set(seen) | set(logged) if seen.get(key) != logged.get(key)]
    assert not wrong and len(logged) == REQUESTS, (len(seen), len(logged), sorted(wrong)[:5])
    counted = collections.Counter(status // 100 for _, _, status, *_ in logged.values())
    in_rows = collections.Counter()
    for x in all_flow_rows(ours):
        for kind in range(1, 6):
            in_rows[kind] += x.get("status_%dxx" % kind, 0)
        in_rows["exchanges"] += x.get("exchanges", 0)
        assert x["app"] == "http" and "test/1" in (x.get("software.0"), x.get("software.1")), x
    assert in_rows.pop("exchanges") == REQUESTS and +in_rows == counted, (in_rows, counted)


def all_flow_rows(capturer):
    return [row for row in capturer.rows() if row.get("proto") == 6]


def ask_big(count):
    with socket.create_connection(("10.9.0.2", 80), timeout=60) as s:
        for i in range(count):
            s.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n%s\r\n" % (b"Connection: close\r\n" if i + 1 == count else b""))
        while s.recv(1 << 16):
            pass
    return count


def a_killed_one_leaves_exchanges(net, folder):
    a, b = pair(net)
    ours = Capturer(b, folder, "vb", options=["-f", "tcp port 80"], ring="64M").running()
    with nginx(b, os.path.join(folder, "nginx-killed")):
        a.call(ask_big, 200)  # 20 MB: most of it is in frames that are on disk
    ours.until(lambda r: r["bytes"] >= 18000000, "most packets")
    os.kill(ours.pid, signal.SIGKILL)
    ours.end("signal 9")
    subprocess.run([TOOL, "-R", ours.config], stdout=subprocess.DEVNULL, check=True)
    found, flows = exchanges(ours)
    whole = [x for x in found if x["outcome"] == "complete"]
    assert len(whole) >= 50 and all(x["reply_body"] == 100000 and x["exchange"] in flows for x in whole), (len(whole), found[:2])


# ---------------------------------------------------------------- DNS

TYPES = {"A": 1, "AAAA": 28, "TXT": 16, "MX": 15}
QUERIES = 500


def query(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, TYPES[kind], 1)


def ask_names(queries):
    """Half of them from one socket, several at once; the others each from its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.connect(("10.9.0.2", 53))
        for at in range(0, len(queries) // 2, 5):
            few = queries[at:at + 5]
            for i, (name, kind) in enumerate(few):
                s.send(query(at + i, name, kind))
            for _ in few:
                s.recv(4096)
    for i, (name, kind) in enumerate(queries[at + 5:]):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(60)
            s.connect(("10.9.0.2", 53))
            s.send(query(i, name, kind))
            s.recv(4096)
    return len(queries)


def dnsmasq_logged(path):
    """Counters of what was asked, and of what was answered: (name, address)."""
    asked, answered = collections.Counter(), collections.Counter()
    for line in open(path):
        found = re.search(r"query\[(\S+)\] (\S+) from ", line)
        if found:
            asked[found.group(2), found.group(1)] += 1
        found = re.search(r"(?:config|/etc/hosts) (\S+) is (\S+)", line)
        if found:
            answered[found.group(1), found.group(2)] += 1
    return asked, answered


def dnsmasq_says_the_same(net, folder):
    a, b = pair(net)
    place = os.path.join(folder, "dnsmasq")
    os.makedirs(place)
    log = os.path.join(place, "log")
    ours = Capturer(b, folder, "vb", options=["-f", "udp port 53"]).running()
    r = random.Random(1)
    queries = [("%s%d.lab" % (r.choice(("web", "Db", "no")), i), r.choice(list(TYPES))) for i in range(QUERIES)]
    server = b.popen("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/lab/", "--log-queries", "--log-facility=" + log,
                     "--listen-address=10.9.0.2", "--bind-interfaces", "--user=root", "--pid-file=", "--host-record=web1.lab,10.1.1.1",
                     *["--host-record=%s,10.1.%d.%d,fd00::%x" % (name.lower(), i // 250, i % 250, i + 1)
                       for i, (name, _) in enumerate(queries) if not name.startswith("no")],
                     stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: os.path.exists(log) and "started" in open(log).read(), "dnsmasq")
        a.call(ask_names, queries)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    last = ours.stop()
    assert last["kernel_drops"] == 0, "%d packets were lost: nothing can be said" % last["kernel_drops"]
    found, flows = exchanges(ours)
    asked, answered = dnsmasq_logged(log)
    assert all(x["outcome"] == "complete" and x["app"] == "dns" for x in found), found
    seen = collections.Counter((x["dns_name"], x["dns_type"]) for x in found)
    lower = collections.Counter()
    for (name, kind), n in asked.items():
        lower[name.lower(), kind] += n
    assert seen == lower and sum(seen.values()) == QUERIES, (seen - lower, lower - seen)
    told = collections.Counter()
    for x in found:
        if "dns_answers" in x:
            told[x["dns_name"], x["dns_answers"]] += 1
        else:
            told[x["dns_name"], "NODATA" if x["dns_rcode"] == "NOERROR" else x["dns_rcode"]] += 1
    lower = collections.Counter()
    for (name, what), n in answered.items():
        lower[name.lower(), re.sub("^NODATA-.*", "NODATA", what)] += n
    assert told == lower, (told - lower, lower - told)
    assert sum(flow.get("exchanges", 0) for flow in capturer_rows(ours)) == QUERIES


def capturer_rows(capturer):
    return [row for row in capturer.rows() if row.get("proto") == 17]


if __name__ == "__main__":
    need("nginx", "dnsmasq")
    tell((nginx_says_the_same, a_killed_one_leaves_exchanges, dnsmasq_says_the_same))
