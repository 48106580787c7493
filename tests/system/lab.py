"""A fleet on hosts of its own: network namespaces, all on one bridge, for system tests of live capture. Not a test itself.

with Lab("web-1", "web-2", "client") as lab:       # needs root, else the test is skipped
    lab.start_agents("web-1", "web-2")
    lab.host("client", "ping", "-c", "1", lab.ip("web-1"))
    lab.run("capture", "start", "--all", ...)

Each host has eth0 with an IPv4 and an IPv6 address. The collector and the command line are on the bridge's host. Everything is gone
afterwards: processes, namespaces, folder. Labs do not see each other."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback

import fleet
import pcapfile

HUB = "hub"
HUB_MAC = "02:00:00:00:00:fe"
MARK_TYPE = b"\x88\xb5"  # an EtherType for local experiments: nobody's traffic
MARK_EVERY_S = 0.2
INJECT = """
import binascii, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for line in sys.stdin:
    s.send(binascii.unhexlify(line.strip()))
"""


class Lab(fleet.Fleet):
    def __init__(self, *hosts, **more):
        if os.geteuid() != 0:
            fleet.skip("network namespaces need root")
        super().__init__(**more)
        self.hosts = {name: number for number, name in enumerate(hosts, 1)}
        self.listen = "10.66.255.254"
        self.children = []
        self.tag = "fd%d-%s" % (os.getpid(), os.path.basename(self.folder)[-6:])
        self.made = []

    def __enter__(self):
        try:
            self.make_network()
            return super().__enter__()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind, value, trace):
        for child in self.children:
            stop(child)
        super().__exit__(kind, value, trace)
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)

    # ------------------------------------------------------------- hosts
    def namespace(self, host):
        return "%s-%s" % (self.tag, host)

    def make_network(self):
        self.add_namespace(HUB)
        self.ip_in(HUB, "link", "add", "br0", "address", HUB_MAC, "type", "bridge")  # else it changes with its ports
        self.ip_in(HUB, "address", "add", self.listen + "/16", "dev", "br0")
        self.ip_in(HUB, "link", "set", "br0", "up")
        for name in self.hosts:
            self.add_namespace(name)
            self.add_interface(name, "eth0")
            self.ip_in(name, "address", "add", self.ip(name) + "/16", "dev", "eth0")
            self.ip_in(name, "address", "add", self.ip6(name) + "/64", "dev", "eth0", "nodad")

    def add_namespace(self, host):
        subprocess.run(["ip", "netns", "add", self.namespace(host)], check=True)
        self.made.append(self.namespace(host))
        self.ip_in(host, "link", "set", "lo", "up")

    def add_interface(self, host, name):
        """A further interface of the host, on the bridge, up, without an address."""
        port = self.port(host, name)
        self.ip_in(HUB, "link", "add", port, "type", "veth", "peer", "name", name, "netns", self.namespace(host))
        self.ip_in(HUB, "link", "set", port, "master", "br0")
        self.ip_in(HUB, "link", "set", port, "up")
        self.ip_in(host, "link", "set", name, "up")

    def port(self, host, name):
        """The bridge's end of an interface."""
        return "p%d%s" % (self.hosts[host], name)

    def until_it_sends(self, host, name, first_name):
        """The kernel notices some time after it that an interface has come up, and drops what is sent before at either end."""
        for where, end in ((host, name), (HUB, self.port(host, first_name))):
            fleet.wait_until(lambda: " state UP " in self.host(where, "ip", "-o", "link", "show", end).stdout, "%s of %s to have a carrier" % (name, host))
            self.ip_in(where, "link", "set", end, "up")  # changes nothing, but comes behind what the kernel does with its lock

    def ip_in(self, host, *arguments):
        subprocess.run(["ip", "-n", self.namespace(host), *arguments], check=True)

    def ip(self, host):
        return "10.66.%d.%d" % divmod(self.hosts[host], 250)

    def ip6(self, host):
        return "fd66::%x" % self.hosts[host]

    def mac_text(self, host, name="eth0"):
        return self.host(host, "ip", "link", "show", name).stdout.split("link/ether ")[1].split()[0]

    def mac(self, host):
        """The address of its eth0, as bytes."""
        return bytes.fromhex(self.mac_text(host).replace(":", ""))

    def inside(self, where):
        return ["ip", "netns", "exec", self.namespace(where if where in self.hosts else HUB)]

    # ------------------------------------------------------------- programs
    def host(self, host, *command, check=True, **more):
        """Runs a command on the host and waits for it."""
        given = {} if "input" in more else {"stdin": subprocess.DEVNULL}
        return subprocess.run(self.inside(host) + list(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=300, check=check, **given, **more)

    def inject(self, host, frames, interface="eth0"):
        """Sends frames from the host's interface as they are."""
        self.host(host, "python3", "-c", INJECT, interface, input="".join(frame.hex() + "\n" for frame in frames))

    def wait_for_port(self, host, port):
        """Until some program on the host has the port, of TCP or UDP."""
        fleet.wait_until(lambda: self.host(host, "ss", "-Hltun", "sport", "=", ":%d" % port).stdout.strip(), "port %d" % port)

    def spawn(self, host, *command, log=None, **more):
        """Starts a command on the host; it is ended with the lab."""
        output = open(self.path(log), "a") if log else subprocess.DEVNULL
        child = subprocess.Popen(self.inside(host) + list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **more)
        if log:
            output.close()
        self.children.append(child)
        return child

    def tcpdump(self, host, path, filter_text, *options, interface="eth0"):
        """tcpdump with nanoseconds on the host, once it listens; to be ended by end_tcpdump, its packets are read by lab.dumped."""
        log = self.path(os.path.basename(path) + ".tcpdump")
        child = self.spawn(host, "tcpdump", "-i", interface, "--time-stamp-precision=nano", "-U", "-B", "65536", "-Z", "root", "-s", "0", "-w",
                           path, *options, "ether proto 0x%s or (%s)" % (MARK_TYPE.hex(), filter_text), log=os.path.basename(log))
        fleet.wait_until(lambda: "listening on" in open(log).read() or child.poll() is not None, "tcpdump to listen")
        assert child.poll() is None, open(log).read()
        child.dump = host, interface, path, log
        return child

    def end_tcpdump(self, child):
        """Ends tcpdump once all that has passed until now is in its file: a mark that is sent now stands there, too (it writes packets in
        the order in which they came, and each at once). A mark may be dropped like any packet, so it is sent again and again. Returns how
        many packets it captured, and how many the kernel dropped."""
        host, interface, path, log = child.dump
        mark = os.urandom(16)
        frame = bytes.fromhex(HUB_MAC.replace(":", "")) + self.mac(host) + MARK_TYPE + mark.ljust(46, b"\0")
        unread, sent = os.path.getsize(path), float("-inf")

        def is_marked():
            nonlocal unread, sent
            if time.monotonic() - sent >= MARK_EVERY_S:
                self.inject(host, [frame], interface)
                sent = time.monotonic()
            with open(path, "rb") as file:
                file.seek(unread)
                tail = file.read()
            unread += max(0, len(tail) - len(frame))
            return frame in tail or child.poll() is not None

        fleet.wait_until(is_marked, "tcpdump to write the mark")
        assert child.poll() is None, open(log).read()
        stop(child, signal.SIGINT)
        with open(log) as file:
            words = file.read()
        captured = int(words.split(" packets captured")[0].split()[-1])
        dropped = int(words.split(" packets dropped by kernel")[0].split()[-1])
        return captured, dropped

    def nginx(self, host, folder=None):
        """nginx on port 80 of the host, serving a folder."""
        root = folder or self.path("www-" + host)
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, "index.html"), "a") as page:
            page.write("hello from %s\n" % host)
        conf = self.path("nginx-%s.conf" % host)
        temporary = "; ".join("%s_temp_path %s" % (kind, self.path("nginx-%s-%s" % (host, kind)))
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(conf, "w") as file:
            file.write("user root; pid %s; error_log %s; worker_processes 1; events {} http { access_log %s; %s; "
                       "server { listen 80; listen [::]:80; root %s; } }\n"
                       % (self.path("nginx-%s.pid" % host), self.path("nginx-%s.error.log" % host),
                          self.path("nginx-%s.access" % host), temporary, root))
        child = self.spawn(host, "nginx", "-c", conf, "-g", "daemon off;", log="nginx-%s.log" % host)
        fleet.wait_until(lambda: self.host(host, "curl", "-sf", "-o", "/dev/null", "http://127.0.0.1/", check=False).returncode == 0,
                         "nginx to answer")
        return child

    def start_agents(self, *names, **more):
        """Starts agents and waits until they are connected; what the collector thinks of an earlier run of them is over then."""
        fleet.wait_until(lambda: not set(names) & self.connected(), "the earlier runs of agents to be gone")
        for name in names:
            self.start_agent(name, **more)
        fleet.wait_until(lambda: set(names) <= self.connected(), "agents to connect")

    def order(self, name):
        """The capture as ordered, with the state of each agent."""
        return next(o for o in self.json("capture", "list") if o["capture"] == name)

    @contextlib.contextmanager
    def anew(self, agent, *names):
        """What is done inside makes the agent begin these captures again: afterwards they run. (Until the agent says something, the collector
        lists what it said before.)"""
        said = lambda name: len(re.findall(r"capture %s \([^\n]*\): running" % re.escape(name), open(self.path(agent + ".log"), errors="replace").read()))
        before = {name: said(name) for name in names}
        yield
        for name in names:
            fleet.wait_until(lambda name=name: said(name) > before[name] and "running" in self.phases(name), "%s to run on %s again" % (name, agent))

    def phases(self, name):
        return [agent["phase"] for agent in self.order(name)["agents"]]

    def running(self, name, agents):
        return self.phases(name).count("running") >= agents

    def connected(self):
        """Names of the agents that the collector has a connection of."""
        return {a["agent"] for a in self.json("agents") if a["connected"]}


def dumped(path):
    """The packets in the file of a tcpdump, without the marks of its end."""
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    return [p for p in packets if p.data[12:14] != MARK_TYPE]


def pids(system, agent, title):
    """Processes of the agent with this title."""
    parent = system.agents[agent].pid
    out = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(parent)], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [int(line.split()[0]) for line in out.splitlines() if line.split()[1] == title]


def tell(stories):
    """Tells stories: those named on the command line, or all, also when one fails. The exit status."""
    failed = 0
    for story in [s for s in stories if s.__name__ in (sys.argv[1:] or s.__name__)]:
        began = time.monotonic()
        try:
            story()
            print("%s: good, %.1f s" % (story.__name__, time.monotonic() - began), flush=True)
        except Exception:  # pylint: disable=broad-except  # the other stories are worth telling
            traceback.print_exc()
            print("%s: FAILED" % story.__name__, flush=True)
            failed += 1
    return int(failed > 0)


def stop(child, how=signal.SIGTERM):
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
