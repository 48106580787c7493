"""A fleet on hosts of its own: network namespaces, all on one bridge, for system tests of live capture. Not a test itself.

with Lab("web-1", "web-2", "client") as lab:       # needs root, else the test is skipped
    lab.start_agents("web-1", "web-2")
    lab.host("client", "ping", "-c", "1", lab.ip("web-1"))
    lab.run("capture", "start", "--all", ...)

Each host has eth0 with an IPv4 and an IPv6 address. The collector and the command line are on the bridge's host. Everything is gone
afterwards: processes, namespaces, folder. Labs do not see each other."""

import os
import signal
import subprocess
import time

import fleet

HUB = "hub"


class Lab(fleet.Fleet):
    def __init__(self, *hosts, **more):
        if os.geteuid() != 0:
            fleet.skip("network namespaces need root")
        super().__init__(**more)
        self.hosts = {name: number for number, name in enumerate(hosts, 1)}
        self.listen = "10.66.255.254"
        self.collector_options += ["--insecure-plaintext"]
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
        self.ip_in(HUB, "link", "add", "br0", "address", "02:00:00:00:00:fe", "type", "bridge")  # else it changes with its ports
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
        port = "p%d%s" % (self.hosts[host], name)
        self.ip_in(HUB, "link", "add", port, "type", "veth", "peer", "name", name, "netns", self.namespace(host))
        self.ip_in(HUB, "link", "set", port, "master", "br0")
        self.ip_in(HUB, "link", "set", port, "up")
        self.ip_in(host, "link", "set", name, "up")

    def ip_in(self, host, *arguments):
        subprocess.run(["ip", "-n", self.namespace(host), *arguments], check=True)

    def ip(self, host):
        return "10.66.%d.%d" % divmod(self.hosts[host], 250)

    def ip6(self, host):
        return "fd66::%x" % self.hosts[host]

    def mac(self, host):
        """The address of its eth0, as bytes."""
        words = self.host(host, "ip", "link", "show", "eth0").stdout
        return bytes.fromhex(words.split("link/ether ")[1].split()[0].replace(":", ""))

    def inside(self, where):
        return ["ip", "netns", "exec", self.namespace(where if where in self.hosts else HUB)]

    # ------------------------------------------------------------- programs
    def host(self, host, *command, check=True, **more):
        """Runs a command on the host and waits for it."""
        return subprocess.run(self.inside(host) + list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=300, check=check, **more)

    def spawn(self, host, *command, log=None, **more):
        """Starts a command on the host; it is ended with the lab."""
        output = open(self.path(log), "a") if log else subprocess.DEVNULL
        child = subprocess.Popen(self.inside(host) + list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **more)
        if log:
            output.close()
        self.children.append(child)
        return child

    def tcpdump(self, host, path, *filter_and_options, interface="eth0"):
        """tcpdump with nanoseconds on the host, once it listens; ended by lab.end_tcpdump, which returns (captured, dropped)."""
        log = os.path.basename(path) + ".tcpdump"
        child = self.spawn(host, "tcpdump", "-i", interface, "--time-stamp-precision=nano", "-U", "-B", "65536", "-Z", "root", "-s", "0", "-w",
                           path, *filter_and_options, log=log)
        fleet.wait_until(lambda: "listening on" in open(self.path(log)).read() or child.poll() is not None, "tcpdump to listen")
        assert child.poll() is None, open(self.path(log)).read()
        child.log = self.path(log)
        return child

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
        """Starts agents and waits until the collector knows them."""
        for name in names:
            self.start_agent(name, insecure_plaintext="yes", **more)
        fleet.wait_until(lambda: set(names) <= self.connected(), "agents to connect")

    def order(self, name):
        """The capture as ordered, with the state of each agent."""
        return next(o for o in self.json("capture", "list") if o["capture"] == name)

    def phases(self, name):
        return [agent["phase"] for agent in self.order(name)["agents"]]

    def running(self, name, agents):
        return self.phases(name).count("running") >= agents

    def connected(self):
        return {a["agent"] for a in self.json("agents")}


def end_tcpdump(child):
    """Stops tcpdump, after all that passed was written; returns how many packets it captured and how many the kernel dropped."""
    time.sleep(0.2)  # its ring gives up a block that is not full only after a while
    stop(child, signal.SIGINT)
    with open(child.log) as file:
        words = file.read()
    captured = int(words.split(" packets captured")[0].split()[-1])
    dropped = int(words.split(" packets dropped by kernel")[0].split()[-1])
    return captured, dropped


def stop(child, how=signal.SIGTERM):
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
