"""A collector, agents and the command line in a folder of their own, for system tests. Not a test itself. They speak plain text, but for
Fleet(tls=True): then all have certificates of an authority of this fleet's own, and the user is an administrator.

with Fleet() as fleet:
    fleet.read("web-1", "a.pcap", capture="monday")
    rows = fleet.flows("port 80", "--capture", "monday")
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import certificates

BIN = os.environ.get("FLEETDUMP_BIN", "")
WAIT_S = 120  # for what should happen at once, on a busy machine


def has(word):
    """Whether the programs that are tested hold these bytes."""
    with open(os.path.join(BIN, "fleetdump-agent"), "rb") as program:
        return word in program.read()


def sanitized():
    return has(b"__asan_init") or has(b"__tsan_init")


def quarantine_kib(processes=1):
    """What that many processes keep of freed memory in a build with a sanitizer."""
    return processes * (256 << 10) if sanitized() else 0

MEMORY, MEMORY_LEAST = "/dev/shm", 1 << 30


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def corpus():
    """The folder of real captures, or the test is skipped."""
    path = os.environ.get("FLEETDUMP_CORPUS", "")
    if not os.path.isdir(path):
        skip("FLEETDUMP_CORPUS is not set")
    return path


def wait_until(condition, what, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.01)


def patient(arguments, answered=False):
    """A command line, as a machine with much to do wants it: agents may take their time until they say whether they can capture, and, where the
    question is to be answered, until they have handed over what they captured."""
    if arguments[:2] == ("capture", "start") and "--answer-within" not in arguments:
        return (*arguments[:2], "--answer-within", "60s", *arguments[2:])
    if arguments[0] in ("flows", "pull", "http", "dns", "tls") and answered and "--fresh" not in arguments:
        return (arguments[0], "--fresh", "10s", *arguments[1:])
    return arguments


def memory_folder():
    usable = os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_LEAST
    return MEMORY if usable else None


class Fleet:
    def __init__(self, collector_options=(), environment=None, memory=False, tls=False):
        """With `memory` its files lie in memory, if they can: for tests that start very many."""
        self.folder = tempfile.mkdtemp(prefix="fleetdump-test.", dir=memory_folder() if memory else None)
        os.chmod(self.folder, 0o755)
        self.collector_options = list(collector_options)
        self.environment = dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8", **{"FLEETDUMP_HOME": self.path("home"), **(environment or {})})
        self.authority, self.administered = None, False
        if tls:
            self.authority = self.certify()
        else:
            self.say_plaintext()
        self.collector = None
        self.agents = {}
        self.address = None
        self.listen = "127.0.0.1"
        self.config = {}  # further lines of collector.conf

    def __enter__(self):
        self.start_collector()
        return self

    def __exit__(self, kind, value, trace):
        for name in list(self.agents):
            self.stop_agent(name)
        self.stop_collector()
        if kind:
            for name in sorted(os.listdir(self.folder)):
                if name.endswith(".log"):
                    with open(self.path(name), errors="replace") as log:
                        print("--- %s\n%s" % (name, log.read()[-4000:]))
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, where):
        """What goes before a command that runs at an agent, the "collector" or the "client" (see lab.py)."""
        return []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # ------------------------------------------------------------- certificates
    def say_plaintext(self):
        os.makedirs(self.path("home"), mode=0o700)
        with open(self.path("home", "client.conf"), "w") as conf:
            conf.write("insecure_plaintext = yes\n")

    def certify(self):
        """For the collector and the user; those of agents are made with their configurations."""
        authority = certificates.Authority(self.path("authority"))
        authority.issue("collector", "hub", self.path("tls-collector"))
        authority.issue("user", "tester", self.path("home"))
        return authority

    def make_administrator(self):
        self.administered = True
        self.start_collector()
        self.stop_collector()
        with sqlite3.connect(self.path("store", "catalog.db")) as catalog:
            catalog.execute("INSERT INTO users (name, role, bounds, created_ns, created_by) VALUES ('tester', 'admin', '{}', 1, 'test')")

    def security(self, agent=None):
        """Lines of a configuration, as a dict: of an agent, or of the collector."""
        if not self.authority:
            return {"insecure_plaintext": "yes"}
        if not agent:
            return {"tls_%s" % name: self.path("tls-collector", name + ".pem") for name in ("ca", "cert", "key")}
        folder = self.path("tls-" + agent)
        if not os.path.isdir(folder):
            self.authority.issue("agent", agent, folder, owner=certificates.ship_user())
        return {"tls": folder}

    # ------------------------------------------------------------- collector
    def start_collector(self, environment=None, wait=True):
        if self.authority and not self.administered:
            self.make_administrator()
        port_file = self.path("port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        with open(self.path("collector.conf"), "w") as conf:
            conf.write("data = %s\nfloor = 0\n" % self.path("store"))
            for key, value in {**self.security(), **self.config}.items():
                conf.write("%s = %s\n" % (key, value))
        listen = self.address or self.listen + ":0"  # the same port again, so that agents find it
        log = open(self.path("collector.log"), "a")
        self.collector = subprocess.Popen(
            self.inside("collector") + [os.path.join(BIN, "fleetdump-collector"), "--config", self.path("collector.conf"), "--listen", listen,
             "--port-file", port_file, *self.collector_options],
            env=dict(self.environment, **(environment or {})), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        if not wait:
            return
        wait_until(lambda: os.path.exists(port_file) or self.collector.poll() is not None, "the collector")
        if self.collector.poll() is not None:
            with open(self.path("collector.log"), errors="replace") as said:
                raise AssertionError("the collector ended at once with %d: %s" % (self.collector.returncode, said.read()))
        with open(port_file) as file:
            self.address = self.listen + ":" + file.read().strip()

    def stop_collector(self, how=signal.SIGTERM):
        if self.collector:
            self.collector.send_signal(how)
            self.collector.wait(WAIT_S)
            self.collector = None

    # ------------------------------------------------------------- agents
    def agent_config(self, name, **more):
        path = self.path(name + ".conf")
        if not os.path.exists(self.path(name + ".policy")):
            self.policy(name)
        lines = {"name": name, "collector": self.address or "127.0.0.1:1", "spool": self.path("spool-" + name), "floor": "0",
                 "policy": self.path(name + ".policy"), "operators": self.path(name + ".operators"), **self.security(name), **more}
        with open(path, "w") as conf:
            for key, value in lines.items():
                conf.write("%s = %s\n" % (key, value))
        return path

    def policy(self, name, text=None, **keys):
        """What the agent's host lets be captured: TEXT, or allow and unsigned, and KEYS; a list stands once for each."""
        lines = {"allow": "yes", "unsigned": "yes", "kill_file": self.path(name + ".stop"), **keys}
        if text is None:
            text = "".join("%s = %s\n" % (key, one) for key, value in lines.items() for one in (value if isinstance(value, list) else [value]))
        with open(self.path(name + ".policy.new"), "w") as file:
            file.write(text)
        os.chmod(self.path(name + ".policy.new"), 0o644)
        os.rename(self.path(name + ".policy.new"), self.path(name + ".policy"))

    def start_agent(self, name, environment=None, **more):
        config = self.agent_config(name, **more)
        log = open(self.path(name + ".log"), "a")
        self.agents[name] = subprocess.Popen(self.inside(name) + [os.path.join(BIN, "fleetdump-agent"), "--config", config],
                                             env=dict(self.environment, **(environment or {})), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log)
        log.close()
        return self.agents[name]

    def stop_agent(self, name, how=signal.SIGTERM):
        agent = self.agents.pop(name, None)
        if agent:
            agent.send_signal(how)
            agent.wait(WAIT_S)

    def read_command(self, name, *files, capture=None, options=(), **more):
        command = [os.path.join(BIN, "fleetdump-agent"), "--config", self.agent_config(name, **more), "--read", *files]
        return command + (["--capture", capture] if capture else []) + list(options)

    def read(self, name, *files, capture=None, options=(), check=True, environment=None, **more):
        """fleetdump-agent --read; returns the finished process."""
        done = subprocess.run(self.read_command(name, *files, capture=capture, options=options, **more),
                              env=dict(self.environment, **(environment or {})), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", timeout=600)
        if check and done.returncode != 0:
            raise AssertionError("--read %s: exit %d\n%s" % (files, done.returncode, done.stderr))
        return done

    # ------------------------------------------------------------- command line
    def run(self, *arguments, check=(0,), binary=False, environment=None, **more):
        """fleetdump ARGUMENTS; returns the finished process; its exit status must be one of `check` (None: any)."""
        arguments = patient(arguments, answered=check and set(check) & {0, 3})
        done = subprocess.run(self.inside("client") + [os.path.join(BIN, "fleetdump"), *arguments],
                              env=dict(self.environment, FLEETDUMP_COLLECTOR=self.address or "127.0.0.1:1", **(environment or {})),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, **more)
        if not binary:
            done.stdout = done.stdout.decode(errors="replace")
        done.stderr = done.stderr.decode(errors="replace")
        if check is not None and done.returncode not in check:
            raise AssertionError("fleetdump %s: exit %d\n%s" % (" ".join(arguments), done.returncode, done.stderr))
        return done

    def json(self, *arguments, check=(0,)):
        return json.loads(self.run(*arguments, "-o", "json", check=check).stdout)

    def flows(self, filter_text, *options, check=(0,)):
        return self.json("flows", filter_text, *options, check=check)

    def pull(self, filter_text, *options, check=(0,), path=None):
        """Pulls into a file and returns its path."""
        path = path or self.path("pulled.pcapng")
        self.run("pull", filter_text, "-w", path, *options, check=check)
        return path
