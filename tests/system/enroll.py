#!/usr/bin/env python3
# timeout: 450
"""From nothing to a fleet, by the programs alone: init, login, enroll, join; who is refused and why; revocation, approval, renewal."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import certificates
import fleet
import wire
from fleet import wait_until

PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000000004000100000000000000000000000e0000000e000000") + bytes(14)
ANY = None  # exit status


class Hub:
    """A collector that init made, in a folder of its own, and those who join it."""

    def __init__(self, name="hub", **config):
        self.folder = tempfile.mkdtemp(prefix="fleetdump-enroll.")
        os.chmod(self.folder, 0o755)
        self.name, self.config = name, config
        self.address, self.collector, self.agents = "127.0.0.1:0", None, {}
        self.environment = dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8")
        self.environment.pop("FLEETDUMP_COLLECTOR", None)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for name in list(self.agents):
            self.stop_agent(name)
        self.stop()
        for name in sorted(os.listdir(self.folder)) if kind else ():
            if name.endswith(".log"):
                with open(self.path(name), errors="replace") as log:
                    print("--- %s %s\n%s" % (self.name, name, log.read()[-4000:]))
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def program(self, name, *arguments, check=0, home=None, given=None):
        """Runs it; what it must exit with is `check` (ANY: whatever)."""
        environment = dict(self.environment, FLEETDUMP_HOME=self.path(home or "home"))
        done = subprocess.run([os.path.join(fleet.BIN, name), *arguments], env=environment, input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert check is ANY or done.returncode == check, (name, arguments, done.returncode, done.stdout, done.stderr)
        return done

    def run(self, *arguments, **more):
        return self.program("fleetdump", *arguments, **more)

    def json(self, *arguments, **more):
        return json.loads(self.run(*arguments, "-o", "json", **more).stdout)

    # ------------------------------------------------------------- collector
    def configure(self, **more):
        self.config.update(more)
        with open(self.path("collector.conf"), "w") as conf:
            for key, value in {"data": self.path("data"), "name": self.name, "floor": "0", "baseline": "yes", **self.config}.items():
                conf.write("%s = %s\n" % (key, value))

    def init(self, *options, check=0):
        return self.program("fleetdump-collector", "init", "--config", self.path("collector.conf"), "--no-start", "--admin", "ann", *options,
                            check=check)

    def start(self):
        port_file = self.path("port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        with open(self.path("collector.log"), "a") as log:
            self.collector = subprocess.Popen([os.path.join(fleet.BIN, "fleetdump-collector"), "--config", self.path("collector.conf"), "--listen",
                                               self.address, "--port-file", port_file], env=self.environment, stdout=log, stderr=log)
        wait_until(lambda: os.path.exists(port_file) or self.collector.poll() is not None, "the collector")
        assert self.collector.poll() is None, self.log()
        with open(port_file) as port:
            self.address = "127.0.0.1:" + port.read().strip()

    def stop(self):
        if self.collector:
            self.collector.terminate()
            self.collector.wait(60)
            self.collector = None

    def restart(self):
        self.stop()
        self.start()

    def log(self, name="collector"):
        with open(self.path(name + ".log"), errors="replace") as log:
            return log.read()

    def up(self):
        """init, start, and the administrator is logged in."""
        self.configure()
        self.init()
        self.start()
        self.login(self.init("--admin-token", "--listen", self.address).stdout)
        return self

    def login(self, line, **more):
        assert re.fullmatch(r"fleetdump login fd1-[A-Za-z0-9_-]+\n", line), line
        return self.run("login", line.split()[2], **more)

    # ------------------------------------------------------------- agents
    def enroll(self, name, *options):
        return self.run("admin", "enroll", "--name", name, *options).stdout.strip()

    def agent_config(self, name):
        path = self.path(name + ".conf")
        if not os.path.exists(path):
            with open(path, "w") as conf:
                conf.write("# mine\ntls = %s\nspool = %s\nfloor = 0\n" % (self.path("tls-" + name), self.path("spool-" + name)))
        return path

    def join(self, name, token, *options, check=0, given=None):
        return self.program("fleetdump-agent", "join", token, "--config", self.agent_config(name), *options, check=check, given=given)

    def start_agent(self, name):
        log = open(self.path(name + ".log"), "a")
        self.agents[name] = subprocess.Popen([os.path.join(fleet.BIN, "fleetdump-agent"), "--config", self.agent_config(name)],
                                             env=self.environment, stdout=log, stderr=log)
        log.close()

    def stop_agent(self, name):
        agent = self.agents.pop(name)
        agent.send_signal(signal.SIGTERM)
        agent.wait(60)

    def connected(self, name):
        return [a["connected"] for a in self.json("agents") if a["agent"] == name] == [True]

    def agent(self, name):
        return [a for a in self.json("agents") if a["agent"] == name][0]

    def read(self, name, check=0):
        with open(self.path("one.pcap"), "wb") as file:
            file.write(PCAP)
        return self.program("fleetdump-agent", "--config", self.agent_config(name), "--read", self.path("one.pcap"), "--capture", "of-" + name,
                            check=check)


def modes(folder):
    found = {name: stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
    assert all(mode == 0o600 for mode in found.values()), found
    return set(found)


# ----------------------------------------------------------------- stories
def from_nothing():
    with Hub() as hub:
        hub.configure()
        os.unlink(hub.path("collector.conf"))
        first = hub.init("--data", hub.path("data"), "--name", "hub", "--listen", "127.0.0.1:0")
        assert len(first.stdout.splitlines()) == 1 and "fingerprint" in first.stderr, first
        with open(hub.path("collector.conf")) as conf:
            assert "baseline = yes" in conf.read()
        assert modes(hub.path("data", "tls")) == {"ca.key", "ca.pem", "cert.pem", "key.pem"}
        before = open(hub.path("data", "tls", "ca.pem")).read()
        again = hub.init(check=1)
        assert "--admin-token" in again.stderr and not again.stdout, again
        assert open(hub.path("data", "tls", "ca.pem")).read() == before
        hub.configure()
        hub.start()
        nobody = hub.run("agents", check=ANY)
        assert nobody.returncode and "fleetdump login" in nobody.stderr, nobody
        hub.login(hub.init("--admin-token", "--listen", hub.address).stdout)
        assert modes(hub.path("home")) >= {"ca.pem", "cert.pem", "key.pem", "sign.key", "collector"}
        assert hub.json("admin", "user", "list")[0]["role"] == "admin"
        token = hub.enroll("web-1", "--label", "role=web", "--label", "dc=fra")
        assert [t["name"] for t in hub.json("admin", "list", "--tokens") if t["kind"] == "agent"] == ["web-1"]
        said = hub.join("web-1", "-", given=token + "\n")
        assert said.stdout == "web-1 joined the fleet of hub at %s\n" % hub.address, said
        assert modes(hub.path("tls-web-1")) == {"ca.pem", "cert.pem", "key.pem"}
        with open(hub.path("web-1.conf")) as conf:
            text = conf.read()
        assert text.startswith("# mine\n") and "name = web-1\n" in text and "label = role=web\nlabel = dc=fra\n" in text, text
        hub.read("web-1")
        assert [c["capture"] for c in hub.json("captures")] == ["of-web-1"]
        assert hub.json("agents")[0]["labels"] in ("role=web,dc=fra", ["role=web", "dc=fra"]), hub.json("agents")
        assert {(c["kind"], c["name"], c["state"]) for c in hub.json("admin", "list")} == {("agent", "web-1", "good"), ("user", "ann", "good")}
        hub.stop()
        authority = hub.path("data", "tls", "ca.key")
        os.chmod(authority, 0o644)
        assert "chmod go= " + authority in hub.program("fleetdump-collector", "doctor", "--config", hub.path("collector.conf"), check=1).stdout
        refused = hub.program("fleetdump-collector", "--config", hub.path("collector.conf"), check=1)
        assert authority + " can be read by others" in refused.stderr, refused
        os.chmod(authority, 0o600)
        hub.address = "0.0.0.0:0"  # everywhere: which of its addresses a token says is found out
        hub.start()
        said = hub.run("admin", "enroll", "web-3", "--collector", hub.address)
        assert re.search(r"collector at (?!0\.0\.0\.0)\S+:%s" % hub.address.split(":")[1], said.stderr), said
        hub.join("web-3", said.stdout.strip(), "--collector", hub.address)


def tokens_that_are_refused():
    with Hub() as hub:
        hub.up()
        token = hub.enroll("web-1")
        hub.join("web-1", token)
        key = open(hub.path("tls-web-1", "key.pem")).read()
        said = hub.join("web-1", token, check=1)
        assert "used already" in said.stderr, said
        assert open(hub.path("tls-web-1", "key.pem")).read() == key, "a failure changed something"
        late = hub.enroll("web-2", "--ttl", "1ms")
        wait_until(lambda: "time is over" in hub.join("web-2", late, check=1).stderr, "the token's end")
        assert "not whole" in hub.join("web-2", token[:-1], check=1).stderr
        assert "fd1-" in hub.join("web-2", "nonsense", check=1).stderr
        assert "fleetdump-agent join" in hub.run("login", hub.enroll("web-2"), check=2).stderr
        user = hub.json("admin", "user", "add", "bob", "--role", "viewer")[0]["token"]
        assert "fleetdump login" in hub.join("web-2", user, check=2).stderr
        subprocess.run(["sed", "-i", "s/^name = .*/name = web-9/", hub.path("web-1.conf")], check=True)
        assert "web-9" in hub.read("web-1", check=ANY).stderr


def a_false_collector_is_told_nothing():
    with Hub("hub") as hub, Hub("false") as false:
        hub.up()
        false.up()
        token = hub.enroll("web-1")
        said = false.join("web-1", token, "--collector", false.address, check=1)
        assert "its authority is another one" in said.stderr, said
        assert not os.path.exists(false.path("tls-web-1", "key.pem"))
        assert "no certificate:" not in false.log(), "it was asked for a certificate"
        login = hub.json("admin", "user", "add", "bob", "--role", "viewer")[0]["token"]
        assert false.run("login", login, "--collector", false.address, home="bob", check=1).stderr
        assert "no certificate:" not in false.log()
        hub.join("web-1", token)  # the secret was not spent
        assert hub.run("login", login, home="bob").returncode == 0
        # members of one fleet are strangers in the other
        assert hub.run("agents", "--collector", false.address, check=ANY).returncode == 1


def approval():
    with Hub(enroll="approve") as hub:
        said = hub.configure() or hub.init()
        fingerprint = re.search(r"fingerprint ([0-9a-f]{64})", said.stderr).group(1)
        hub.start()
        hub.login(hub.init("--admin-token", "--listen", hub.address).stdout)
        command = [os.path.join(fleet.BIN, "fleetdump-agent"), "join", "--ca", fingerprint, "--collector", hub.address, "--name", "web-1", "--config",
                   hub.agent_config("web-1")]
        joiners = [subprocess.Popen(command, env=hub.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            waiting = wait_until(lambda: len(w := hub.json("admin", "list", "--pending")) == 2 and w, "both to be listed")
            assert {w["name"] for w in waiting} == {"web-1"}, waiting
            assert "--key" in hub.run("admin", "approve", "web-1", check=1).stderr
            said = [joiner.stderr.readline() for joiner in joiners]
            key = re.search(r"--key ([0-9a-f]+)", said[1]).group(1)
            assert any(w["key"].startswith(key) for w in waiting), (key, waiting)
            hub.run("admin", "approve", "web-1", "--key", key, "--label", "dc=ams")
            assert joiners[1].wait(60) == 0, joiners[1].stderr.read()
            assert joiners[0].poll() is None
            with open(hub.path("web-1.conf")) as conf:
                assert "label = dc=ams\n" in conf.read()
            hub.read("web-1")
        finally:
            for joiner in joiners:
                joiner.kill()
                joiner.communicate()
        wrong = "0" * 64
        command[command.index(fingerprint)] = wrong
        done = subprocess.run(command, env=hub.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 1, done
        hub.configure(enroll="token")
        hub.restart()
        command[command.index(wrong)] = fingerprint
        done = subprocess.run(command, env=hub.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "with a token only" in done.stderr, done


def revocation():
    with Hub() as hub:
        hub.up()
        hub.join("web-1", hub.enroll("web-1"))
        hub.join("web-2", hub.enroll("web-2"))
        spare = hub.enroll("web-1")
        for wrong, kind, meant in (("web-11", (), "web-1"), ("web-1", ("--user",), None), ("an", ("--user",), "ann"), ("anne", ("--user",), "ann")):
            said = hub.run("admin", "revoke", wrong, *kind, check=1)
            assert "no %s %s was ever heard of" % ("user" if kind else "agent", wrong) in said.stderr, said
            assert not meant or "did you mean '%s'?" % meant in said.stderr, said
        hub.run("admin", "revoke", "never-1", "--force")
        own = [c["serial"] for c in hub.json("admin", "list") if c["name"] == "ann"][0]
        for oneself in (("--user", "ann"), ("--serial", own)):
            assert "nobody revokes himself" in hub.run("admin", "revoke", *oneself, check=1).stderr
        for name in ("web-1", "web-2"):
            hub.start_agent(name)
            wait_until(lambda: hub.connected(name), name)
        said = hub.run("admin", "revoke", "web-1")
        assert re.search("[12] connections? ended", said.stderr), said  # control, and data if it was up already
        assert not hub.connected("web-1") and hub.connected("web-2")
        assert hub.agent("web-1")["problem"].startswith("was revoked 2") and "revoked" not in hub.agent("web-2").get("problem", "")
        wait_until(lambda: "revoked" in hub.log("web-1"), "the agent to hear of it")
        assert "does not know" in hub.join("web-1", spare, check=1).stderr, "an old token is worth nothing"
        hub.stop()
        refused = hub.log().count("was revoked;")
        hub.start()
        wait_until(lambda: hub.log().count("was revoked;") > refused, "it to be refused again")
        assert not hub.connected("web-1") and hub.agent("web-1")["problem"].startswith("was revoked 2")
        assert re.search(r"web-1 was revoked 2[^\n]*\s+-> fleetdump admin enroll --name web-1", hub.run("doctor", check=ANY).stdout)
        states = {c["name"]: c["state"] for c in hub.json("admin", "list")}
        assert states["web-1"] == "revoked" and states["web-2"] == "good", states
        hub.stop_agent("web-1")
        hub.join("web-1", hub.enroll("web-1"))
        hub.start_agent("web-1")
        wait_until(lambda: hub.connected("web-1"), "it to be back")
        assert "was revoked" not in hub.agent("web-1").get("problem", "")
        wait_until(lambda: hub.connected("web-2"), "the other to be back, too")
        serial = [c["serial"] for c in hub.json("admin", "list") if c["name"] == "web-2"][0]
        hub.run("admin", "revoke", "--serial", serial)
        assert not hub.connected("web-2") and hub.connected("web-1")
        # a user, in the middle of a question
        hub.login("fleetdump login %s\n" % hub.json("admin", "user", "add", "bob", "--role", "analyst")[0]["token"], home="bob")
        environment = dict(hub.environment, FLEETDUMP_HOME=hub.path("bob"))
        follower = subprocess.Popen([os.path.join(fleet.BIN, "fleetdump"), "print", "--follow", "--capture", "of-*"], env=environment,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert hub.run("agents", home="bob").returncode == 0
            hub.run("admin", "revoke", "--user", "bob")
            assert follower.wait(60) != 0
        finally:
            follower.kill()
            follower.communicate()
        assert "revoked" in hub.run("agents", home="bob", check=ANY).stderr
        users = {u["user"]: u for u in hub.json("admin", "user", "list")}
        assert users["ann"]["state"] == "good" and "revoked" not in users["ann"], users
        assert users["bob"]["state"] == "revoked" and users["bob"]["revoked"].startswith("20"), users
        assert re.search("bob +analyst +revoked +[0-9]", hub.run("admin", "user", "list").stdout)
        hub.restart()
        said = hub.run("agents", home="bob", check=ANY)
        assert said.returncode == 1 and "revoked" in said.stderr, said
        assert {u["user"]: u["state"] for u in hub.json("admin", "user", "list")} == {"ann": "good", "bob": "revoked"}
        hub.login("fleetdump login %s\n" % hub.json("admin", "user", "add", "bob", "--role", "viewer", "--token")[0]["token"], home="bob")
        assert {u["user"]: u["state"] for u in hub.json("admin", "user", "list")} == {"ann": "good", "bob": "good"}


def captures_of_the_revoked():
    """Who was revoked runs nothing and holds no place, also after a restart of the collector; who joins anew under the name begins from nothing."""
    with Hub() as hub:
        hub.up()
        for name in ("web-1", "web-2"):
            hub.join(name, hub.enroll(name))
        agent = lambda name: wire.Agent(hub, name, tls=hub.path("tls-" + name))
        of_web1 = lambda client, which: [a for a in client.order(which)["agents"] if a["agent"] == "web-1"][0]
        with agent("web-1") as web1, agent("web-2"):
            with wire.Client(hub.address, hub.path("home")) as client:
                start = lambda name, **more: client.command("start", wire.request(name, **more))
                for name, more in (("all", {}), ("old", {"on": ["web-1"]}), ("ended", {"on": ["web-1"]})):
                    assert start(name, seconds=0, **more)["code"] == 0
                for n in range(60):
                    assert start("busy-%d" % n, on=["web-1"], seconds=3600)["code"] == 0
                wait_until(lambda: len(web1.running) == 64, "64 captures to run, with the baseline")
                assert "has 64 captures" in start("more")["text"]
                hub.run("admin", "revoke", "web-1")
                wait_until(lambda: not hub.connected("web-1"), "it to be gone")
                client.command("stop", which="ended")
            for again in (False, True):
                if again:
                    hub.restart()
                with wire.Client(hub.address, hub.path("home")) as client:
                    for name, state in (("all", "running"), ("old", "over"), ("ended", "over")):
                        order, one = client.order(name), of_web1(client, name)
                        assert (order["state"], one["phase"], one["text"][:11]) == (state, "stopped", "was revoked"), order
        shown = hub.run("capture", "show", "old").stdout
        assert re.search("web-1 +stopped .*was revoked 2", shown), shown
        assert {c["capture"]: c["on"] for c in hub.json("capture", "list", "?l*")} == {"all": "1/2", "old": "1"}
        with wire.Client(hub.address, hub.path("home")) as client:
            start = lambda name, **more: client.command("start", wire.request(name, **more))
            said = start("none", on=["web-1"])
            assert said["code"] == -8 and "such as were revoked, as web-1" in said["text"], said
            said = start("more")
            assert said["code"] == 0 and [a["agent"] for a in said["manifest"]["agents"]] == ["web-2"], said
            client.command("stop", which="busy-*")
            hub.join("web-1", hub.enroll("web-1"))
            with agent("web-1") as web1:
                wait_until(lambda: web1.orders == ["all", "baseline", "more", "old"], "the captures that stand")
                for name in web1.orders:
                    wait_until(lambda: of_web1(client, name)["phase"] == "running", name)
                    one = of_web1(client, name)
                    assert one["connected"] and (one["packets"], one["text"]) == (1, ""), one
                one = of_web1(client, "ended")
                assert one["phase"] == "stopped" and one["text"].startswith("was revoked"), one
                hub.restart()
        with wire.Client(hub.address, hub.path("home")) as client:
            assert of_web1(client, "ended")["text"].startswith("was revoked")
            assert "is not connected since" in of_web1(client, "old")["text"]


def labels():
    """A host may write what it likes into its agent.conf: who sees its packets is an administrator's word."""
    with Hub() as hub:
        hub.up()
        hub.join("db-1", hub.enroll("db-1", "--label", "role=db"))
        assert "no --label" not in hub.run("admin", "enroll", "db-2", "--label", "role=db").stderr
        said = hub.run("admin", "enroll", "free-1")
        assert "no --label: the labels that free-1 gives itself in its agent.conf count" in said.stderr and len(said.stdout.splitlines()) == 1, said
        hub.join("free-1", said.stdout.strip())
        for name in ("db-1", "free-1"):
            with open(hub.agent_config(name)) as conf:
                text = conf.read().replace("label = role=db\n", "")
            with open(hub.agent_config(name), "w") as conf:
                conf.write(text + "label = role=web\n")
        hub.read("db-1")
        for name in ("db-1", "free-1"):
            hub.start_agent(name)
            wait_until(lambda: hub.connected(name), name)
        wait_until(lambda: (hub.agent("db-1")["status"] or {}).get("problem"), "the false label to be noticed")
        assert "label role=web in its agent.conf does not count: it was enrolled with role=db" in hub.agent("db-1")["status"]["problem"]
        assert hub.agent("db-1")["labels"] == "role=db" and hub.agent("free-1")["labels"] == "role=web"
        line = hub.json("admin", "user", "add", "bob", "--role", "operator", "--label", "role=web")[0]["token"]
        hub.login("fleetdump login %s\n" % line, home="bob")
        assert [a["agent"] for a in hub.json("agents", home="bob")] == ["free-1"]
        for given, seen in (("role=web", ["db-1", "free-1"]), ("role=db", ["free-1"])):  # it goes on all the while
            hub.join("db-1", hub.enroll("db-1", "--label", given))
            assert [a["agent"] for a in hub.json("agents", home="bob")] == seen, (hub.json("agents", home="bob"), hub.json("agents"))
            wait_until(lambda: hub.connected("db-1") and hub.agent("db-1")["labels"] == given, "it to come again with them")
            assert [a["agent"] for a in hub.json("agents", home="bob")] == seen, (hub.json("agents", home="bob"), hub.json("agents"))
        hub.stop_agent("db-1")
        hub.restart()  # what is known of it when it is away
        assert [a["agent"] for a in hub.json("agents", home="bob")] == ["free-1"]
        assert not [c for c in hub.json("captures", home="bob") if c["capture"] == "of-db-1"]
        for option, given in (((), False), (("--token",), True)):  # other bounds are no reason for another token
            said = hub.run("admin", "user", "add", "bob", "--role", "viewer", *option)
            assert ("fleetdump login fd1-" in said.stdout) == given and ("takes --token" in said.stderr) != given, said


def renewal():
    with Hub(certificate_life="20s", collector_certificate_life="20s", authority_life="100s") as hub:
        begun = time.monotonic()
        hub.up()
        hub.join("web-1", hub.enroll("web-1"))
        hub.start_agent("web-1")
        wait_until(lambda: hub.connected("web-1"), "the agent")
        files = [hub.path("tls-web-1", "cert.pem"), hub.path("home", "cert.pem"), hub.path("data", "tls", "cert.pem")]
        before = [open(file).read() for file in files]
        keys = [open(file.replace("cert.pem", "key.pem")).read() for file in files]

        def renewed():
            hub.json("agents")
            return all(open(file).read() != old for file, old in zip(files, before))
        wait_until(renewed, "three certificates to be renewed", 60)
        wait_until(lambda: time.monotonic() - begun > 21 or time.sleep(0.2), "the first ones' end")
        assert [open(file.replace("cert.pem", "key.pem")).read() for file in files] == keys
        assert hub.connected("web-1") and "not renewed" not in hub.log()  # connections go on
        hub.restart()
        wait_until(lambda: hub.connected("web-1"), "the agent with its new certificate")
        assert {c["how"] for c in hub.json("admin", "list")} == {"renewal"}
        # The authority does, too: the same key; agents and users learn it when theirs are renewed, and know both meanwhile.
        files = [file.replace("cert.pem", "ca.pem") for file in files]
        before = [open(file).read() for file in files]
        assert len(set(before)) == 1 and before[0].count("BEGIN") == 1, before
        token = hub.enroll("web-2")
        wait_until(renewed, "three copies of the authority's certificate to be renewed", 150)
        now = {open(file).read() for file in files}
        assert len(now) == 1 and now.pop().endswith(before[0]), now
        assert "the authority's certificate was renewed, with the same key" in hub.log()
        hub.join("web-2", token)  # which knows the fingerprint of the old one
        hub.start_agent("web-2")
        hub.restart()
        wait_until(lambda: hub.connected("web-1") and hub.connected("web-2"), "agents under the new authority")


def an_organisations_own():
    with Hub() as hub:
        own = certificates.Authority(hub.path("own"))
        own.issue("collector", "hub", hub.path("tls-hub"))
        hub.configure(**{"tls_" + name: hub.path("tls-hub", name + ".pem") for name in ("ca", "cert", "key")})
        said = hub.init()
        assert "fleetdump://user/ann" in said.stdout, said
        hub.start()
        own.issue("user", "ann", hub.path("home"), names="", subject="/OU=fleetdump-user/CN=ann")
        os.chmod(hub.path("home"), 0o700)
        with open(hub.path("home", "collector"), "w") as file:
            file.write(hub.address + "\n")
        own.issue("agent", "web-1", hub.path("tls-web-1"), owner=certificates.ship_user())
        with open(hub.agent_config("web-1"), "a") as conf:
            conf.write("name = web-1\ncollector = %s\n" % hub.address)
        hub.start_agent("web-1")
        wait_until(lambda: hub.connected("web-1"), "the agent")
        said = hub.run("admin", "enroll", "--name", "web-2", check=1)
        assert "whose key is not here" in said.stderr, said
        assert not hub.json("admin", "user", "add", "bob", "--role", "viewer")[0].get("token")
        assert hub.json("admin", "user", "list")[0]["state"] == "none"
        assert "1" in hub.run("admin", "revoke", "web-1").stderr
        assert not hub.connected("web-1")
        hub.restart()
        wait_until(lambda: "was revoked;" in hub.log(), "it to be refused")
        assert not hub.connected("web-1")


def an_organisations_revocation_list():
    """Who is on it is let in no more, also who was in when it came; a list that is over, or is another authority's, lets nobody in; agents have one, too."""
    with Hub() as hub:
        own = certificates.Authority(hub.path("own"))
        own.issue("collector", "hub", hub.path("tls-hub"))
        lists = hub.path("tls-hub", "crl.pem")
        own.list_revoked(lists)
        hub.configure(tls_crl=lists, **{"tls_" + name: hub.path("tls-hub", name + ".pem") for name in ("ca", "cert", "key")})
        hub.init()
        hub.start()
        own.issue("user", "ann", hub.path("home"))
        os.chmod(hub.path("home"), 0o700)
        with open(hub.path("home", "collector"), "w") as file:
            file.write(hub.address + "\n")
        for name in ("web-1", "web-2"):
            own.issue("agent", name, hub.path("tls-" + name), owner=certificates.ship_user())
            with open(hub.agent_config(name), "a") as conf:
                conf.write("name = %s\ncollector = %s\n" % (name, hub.address))
            hub.start_agent(name)
            wait_until(lambda name=name: hub.connected(name), name)

        def reload():
            said = hub.log().count("SIGHUP: ")
            hub.collector.send_signal(signal.SIGHUP)
            wait_until(lambda: hub.log().count("SIGHUP: ") > said, "the collector to read its files again")
        own.revoke(hub.path("tls-web-1", "cert.pem"))
        own.list_revoked(lists)
        reload()
        assert not hub.connected("web-1") and hub.connected("web-2")
        assert "2 were ended" in hub.log(), hub.log()
        wait_until(lambda: "web-1, was revoked by its authority" in hub.log(), "it to be refused when it comes again")
        hub.restart()
        wait_until(lambda: hub.connected("web-2"), "the other one")
        assert not hub.connected("web-1")

        with open(lists, "w") as file:  # what cannot be read changes nothing
            file.write("rubbish")
        reload()
        assert hub.connected("web-2") and "what was read before goes on being used" in hub.log()
        own.list_revoked(lists, days=(-2, -1))
        reload()
        refused = hub.run("agents", check=1).stderr
        wait_until(lambda: "revocation list here is over" in refused + hub.log(), "the client or the collector to say why")
        hub.stop()
        certificates.Authority(hub.path("other"), "others").list_revoked(lists)
        hub.start()
        hub.run("agents", check=1)
        wait_until(lambda: "whose revocation list is not here" in hub.log(), "the reason")
        own.list_revoked(lists)
        hub.restart()
        wait_until(lambda: hub.connected("web-2"), "the agent under a good list")

        own.revoke(hub.path("tls-hub", "cert.pem"))
        own.list_revoked(hub.path("home", "crl.pem"))
        assert "was revoked by its authority" in hub.run("agents", check=1).stderr
        own.list_revoked(hub.path("home", "crl.pem"), days=(-2, -1))
        found = json.loads(hub.run("doctor", "-o", "json", check=1).stdout)
        assert "over since" in next(one["found"] for one in found if one["check"] == "revocations" and one["verdict"] == "failure"), found
        os.unlink(hub.path("home", "crl.pem"))
        hub.json("agents")


def main():
    stories = (from_nothing, tokens_that_are_refused, a_false_collector_is_told_nothing, approval, revocation, captures_of_the_revoked, labels, renewal, an_organisations_own,
               an_organisations_revocation_list)
    chosen = sys.argv[1:]
    for story in stories:
        if not chosen or story.__name__ in chosen:
            story()
            print("%s: right" % story.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    sys.exit(main())
