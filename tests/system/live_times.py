#!/usr/bin/env python3
"""How long requests took, as exchanges say it, against those who took the time: a server behind nginx that knows how long it held each reply back,
nginx's log, and the client. What one saw of a request lies within what the next saw, whatever else the machine does:

    held by the server <= from the request's last byte to the reply's first <= from its first byte to the reply's last <= waited for by the client
"""

import http.server
import os
import random
import socket
import socketserver
import statistics
import threading
import time

from live_apps import exchanges, nginx, nginx_times, pair, port_of
from live_capturer import Capturer
from namespaces import need, tell, wait_until

REQUESTS = 40
HELD_MS = (0, 100)
SLACK_NS = 1000000      # the wall clock may be slewed, the others go by the monotonic one


class Holding(http.server.BaseHTTPRequestHandler):
    """/held/MS: holds the reply back for that long at the least, and says in it for how long it was."""

    def address_string(self):
        return "nginx"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        since = time.monotonic_ns()
        time.sleep(int(self.path.split("/")[-1]) / 1000)
        held = time.monotonic_ns() - since
        body = b"%d" % held
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class Server(socketserver.UnixStreamServer):
    pass


def reply_to(s, path):
    """(body, from before the request was sent until the reply was there) on a connection that stays."""
    since, said = time.monotonic_ns(), b""
    s.sendall(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
    while b"\r\n\r\n" not in said:
        said += s.recv(4096)
    head, _, body = said.partition(b"\r\n\r\n")
    length = next(int(line.split()[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += s.recv(4096)
    return body, time.monotonic_ns() - since


def ask():
    """{(port, number): (held, waited)}"""
    r, found = random.Random(3), {}
    for count in (1, REQUESTS - 1):
        with socket.create_connection(("10.9.0.2", 80), timeout=60) as s:
            for number in range(count):
                held, waited = reply_to(s, "/held/%d" % r.randrange(*HELD_MS))
                found[s.getsockname()[1], number + 1] = (int(held), waited)
    return found


def times_lie_within_each_other(net, folder):
    a, b = pair(net)
    place = os.path.join(folder, "nginx")
    log = os.path.join(place, "access.log")
    ours = Capturer(b, folder, "vb", options=["-f", "tcp port 80"]).running()
    with nginx(b, place), Server(os.path.join(place, "held"), Holding) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            said = a.call(ask)
            wait_until(lambda: len(open(log).readlines()) >= REQUESTS, "nginx's log")
        finally:
            server.shutdown()
            thread.join()
    assert ours.stop()["kernel_drops"] == 0
    found, flows = exchanges(ours)
    logged, began, took = nginx_times(log), [], []
    assert len(found) == REQUESTS == len(logged), (len(found), len(logged))
    for x in found:
        key = port_of(x, flows), x["ordinal"]
        held, waited = said[key]
        end, length = logged[key]
        assert held - SLACK_NS <= x["wait"] <= x["duration"] <= waited + SLACK_NS, (held, x, waited)
        assert end <= x["time"] + x["duration"], (end, x)
        began.append(abs(end - length - x["time"]))
        took.append(abs(length - x["duration"]))
    print("nginx began %.1f ms and took %.1f ms more or less than what passed, in the middle" % tuple(statistics.median(v) / 1e6 for v in (began, took)))


if __name__ == "__main__":
    need("nginx")
    tell((times_lie_within_each_other,))
