#!/usr/bin/env python3
# timeout: 400
"""From bare machines to the merged packets of two of them, in three commands; with Debian's sshd, on hosts that have networks, /etc, /var/lib and
/run of their own. Then: what is done again, twice at once, what cannot be done, a host without a way to the collector, and that nothing stays behind."""

import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import fleet
import lab

HOSTS = ("web-1", "db-1", "far-1")
COLLECTOR_PORT = "4741"
OWN = ("/etc", "/var/lib", "/usr/local", "/root")  # of each machine: what is written there, nobody else sees
# For a shell in a mount namespace: what is written in these folders from now on is in $1/upper/FOLDER.
OVERLAYS = """
set -e
mount --make-rprivate /
mkdir -p "$1"
mount -t tmpfs tmpfs "$1"
for folder in %s; do
    mkdir -p "$1/upper$folder" "$1/work$folder"
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=$1/upper$folder,workdir=$1/work$folder" "$folder"
done
"""
# ALONE FOLDER COMMAND
ALONE = OVERLAYS % " ".join(OWN) + """
shift
rm -rf /etc/fleetdump /var/lib/fleetdump-*
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
exec "$@"
"""
SSHD = """
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
LogLevel ERROR
"""


class Machines(lab.Lab):
    """A hub, where the collector and the user are, and hosts that are reached by ssh alone."""

    def __enter__(self):
        try:
            self.make_network()
            self.ip_in(lab.HUB, "route", "add", "default", "via", self.ip(next(iter(self.hosts))), "dev", "br0")
            self.make_ssh()
            self.anchors = {lab.HUB: self.alone(lab.HUB, "sleep", "infinity")}
            for host in self.hosts:
                self.anchors[host] = self.alone(host, "/usr/sbin/sshd", "-D", "-e", "-f", self.path("sshd_config"))
            for host in self.hosts:
                fleet.wait_until(lambda host=host: self.user("ssh", host, "true", check=False).returncode == 0, "sshd of " + host)
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def alone(self, where, *command):
        script = ["unshare", "--mount", "sh", "-c", ALONE, "sh", self.path("own-" + where), *command]
        return self.spawn(where, *script, log=where + ".log")

    def make_ssh(self):
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(key)], check=True)
        with open(self.path("sshd_config"), "w") as conf:
            conf.write(SSHD.format(folder=self.folder))
        with open(self.path("ssh_config"), "w") as conf:
            for host in self.hosts:
                conf.write("Host %s\n HostName %s\n" % (host, self.ip(host)))
            conf.write("Host *\n User root\n IdentityFile %s\n IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile %s\n"
                       " LogLevel ERROR\n ConnectTimeout 20\n" % (self.path("user_key"), self.path("known_hosts")))
        os.mkdir(self.path("bin"))
        with open(self.path("bin", "ssh"), "w") as wrapper:  # the user's own configuration: ssh does not look at $HOME
            wrapper.write("#!/bin/sh\nexec /usr/bin/ssh -F %s \"$@\"\n" % self.path("ssh_config"))
        os.chmod(self.path("bin", "ssh"), 0o755)

    def on(self, where, *command):
        """The command line that runs the command there."""
        return ["nsenter", "-t", str(self.anchors[where].pid), "-m", "-n", "--", *command]

    def environment_of_user(self):
        environment = dict(self.environment, PATH=":".join((self.path("bin"), fleet.BIN, os.environ["PATH"])))
        environment.pop("FLEETDUMP_COLLECTOR", None)
        return environment

    def user(self, *command, check=True, where=lab.HUB, **more):
        if command[0] == "fleetdump":
            command = (command[0], *fleet.patient(command[1:], answered=check))
        done = subprocess.run(self.on(where, *command), env=self.environment_of_user(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=120, check=False, **more)
        if check and done.returncode != 0:
            raise AssertionError("%s: exit %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
        return done

    def deploy(self, *words, check=True):
        return self.user("fleetdump", "deploy", *words, check=check)

    def traces(self, host):
        """Files that are there and were not at first."""
        upper = self.path("own-" + host) + "/upper"
        found = self.user("find", upper, "-type", "f", "-not", "-name", ".*", where=host).stdout.split()
        return [path[len(upper):] for path in found]

    def processes(self, host):
        """Of this host's network: agents."""
        inside = subprocess.run(["ip", "netns", "pids", self.namespace(host)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        names = []
        for pid in inside:
            try:
                with open("/proc/%s/comm" % pid) as comm:
                    names.append(comm.read().strip())
            except FileNotFoundError:
                pass
        return [name for name in names if name.startswith("fleetdump")]

    def known_agents(self):
        return {a["agent"]: a for a in json.loads(self.user("fleetdump", "agents", "-o", "json").stdout)}


class Transcript:
    def __init__(self, machines):
        self.machines, self.lines = machines, []

    def show(self, *command, typed=None):
        done = self.machines.user(*command)
        self.lines.append("$ " + (typed or shlex.join(command)))
        self.lines += (done.stdout + done.stderr).rstrip("\n").splitlines()
        return done


def serve_and_ask(machines):
    """Each of two hosts is asked for pages by the other, until the lab's end."""
    loop = "while sleep 0.1; do curl -s -o /dev/null --max-time 2 http://$0/; done"
    for host, other in (("web-1", "db-1"), ("db-1", "web-1")):
        machines.nginx(host)
        machines.spawn(other, "sh", "-c", loop, machines.ip(host))


def three_commands(machines):
    begin = time.monotonic()
    transcript = Transcript(machines)
    init = transcript.show("fleetdump-collector", "init", typed="sudo fleetdump-collector init")
    token = next(word for word in init.stdout.split() if word.startswith("fd1-"))
    machines.children.append(subprocess.Popen(machines.on(lab.HUB, os.path.join(fleet.BIN, "fleetdump-collector")), stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=open(machines.path("collector.log"), "w")))  # where systemd runs, init does
    fleet.wait_until(lambda: machines.user("ss", "-Hltn", "sport", "=", COLLECTOR_PORT).stdout, "the collector to listen")
    deployed = transcript.show("fleetdump", "deploy", "--token", token, "--transient", "--allow-capture", "web-1", "db-1")
    for host in ("web-1", "db-1"):
        assert "%s: joined, connected; may capture" % host in deployed.stdout, deployed.stdout
    transcript.show("fleetdump", "capture", "start", "-A", "--for", "3s", "-w", machines.path("out.pcapng"), "tcp port 80")
    seconds = time.monotonic() - begin
    names = subprocess.run(["tshark", "-r", machines.path("out.pcapng"), "-T", "fields", "-e", "frame.interface_name", "-e", "tcp.port"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()
    assert {line.split("\t")[0] for line in names} == {"web-1/eth0", "db-1/eth0"}, set(names)
    text = "\n".join(transcript.lines).replace(token, token[:12] + "...").replace(machines.folder + "/", "")
    print(text)
    print("%d packets of two hosts; %.1f s" % (len(names), seconds))


def again(machines):
    """Done again it changes nothing, and the agents stay who they are."""
    before = machines.user("sha256sum", "/var/lib/fleetdump-transient/tls/cert.pem", where="web-1").stdout
    said = machines.deploy("--transient", "web-1").stdout
    assert "web-1: had joined, connected; may capture" in said, said
    assert machines.user("sha256sum", "/var/lib/fleetdump-transient/tls/cert.pem", where="web-1").stdout == before
    policy = "/var/lib/fleetdump-transient/policy.conf"
    machines.user("sed", "-i", "s/^allow = yes/allow = no/", policy, where="web-1")
    said = machines.deploy("--transient", "--allow-capture", "web-1").stdout
    assert "captures nothing" in said and "allow = no" in machines.user("cat", policy, where="web-1").stdout, said  # the host has the last word
    for name, text in (("policy.conf", "\tbaseline = no\nforbid_port = 23"), ("operators", "# of this host")):  # as an editor may leave them
        machines.user("sh", "-c", 'printf "$1" >"$0/$2"', os.path.dirname(policy), text, name, where="web-1")
    for _ in range(2):
        said = machines.deploy("--transient", "--allow-capture", "web-1").stdout
        assert "may capture" in said, said
        assert machines.user("cat", policy, where="web-1").stdout == "\tbaseline = no\nforbid_port = 23\nallow = yes\n"
        lines = machines.user("cat", os.path.dirname(policy) + "/operators", where="web-1").stdout.splitlines()
        assert len(lines) == 2 and lines[1].startswith("operator "), lines


def other_labels(machines):
    """Labels are set on a host that had joined, too."""
    said = machines.deploy("--transient", "--label", "role=web", "web-1").stdout
    assert "web-1: joined anew for its labels (before: none), connected; may capture" in said, said
    fleet.wait_until(lambda: machines.known_agents()["web-1"]["labels"] == "role=web", "the labels")


def advice(machines):
    """Of a transient agent's own files, and of a plain process where there is no systemd."""
    transient = "/var/lib/fleetdump-transient"
    machines.user("sed", "-i", "s/^operator/#&/", transient + "/operators", where="web-1")
    done = machines.user("fleetdump", "capture", "start", "--on", "web-1", "--for", "1s", check=False)
    said = done.stdout + done.stderr
    assert "none of those that this host trusts" in said and transient + "/operators: " in said and "/etc/fleetdump" not in said, said
    machines.user("sed", "-i", "s/^#operator/operator/", transient + "/operators", where="web-1")
    machines.user("sh", "-c", "kill $(cat %s/agent.pid)" % transient, where="web-1")
    fleet.wait_until(lambda: not machines.processes("web-1"), "the agent to end")
    said = machines.user(transient + "/fleetdump-agent", "doctor", "--config", transient + "/agent.conf", where="web-1", check=False).stdout
    assert "-> %s/fleetdump-agent --config %s/agent.conf " % (transient, transient) in said, said
    assert not any("systemctl" in line and "fleetdump" in line for line in said.splitlines()), said


def two_at_once(machines):
    """A second deploy of a host leaves the first one's work alone."""
    other = subprocess.Popen(machines.on("web-1", "flock", "--no-fork", "/run", "sleep", "infinity"), stdin=subprocess.DEVNULL)
    try:
        fleet.wait_until(lambda: machines.user("flock", "-n", "/run", "true", where="web-1", check=False).returncode, "the lock to be held")
        for words in ((), ("--remove",)):
            done = machines.deploy("--transient", *words, "web-1", check=False)
            assert done.returncode == 1 and "web-1: another fleetdump deploy is at work there" in done.stderr, done.stderr
    finally:
        other.kill()
        other.wait()


def what_fails(machines):
    """One host's failure is said by itself; the others are done."""
    done = machines.user("sh", "-c", "fleetdump deploy --transient --label role=web web-1 no-such-host.invalid 2>&1", check=False)
    assert done.returncode == 1 and "no-such-host.invalid: ssh: " in done.stdout and "ssh: ssh:" not in done.stdout, done.stdout
    assert 0 <= done.stdout.find("web-1: had joined") < done.stdout.index("1 of 2 hosts failed"), done.stdout  # in a pipe
    done = machines.deploy("web-1", check=False)
    assert done.returncode == 1 and "a transient one" in done.stderr, done.stderr
    done = machines.deploy("far-1", check=False)
    assert done.returncode == 1 and "--transient" in done.stderr and not machines.traces("far-1"), (done.stderr, machines.traces("far-1"))
    with open(machines.path("broken"), "w") as file:
        file.write("#!/nonsense\n")
    done = machines.deploy("--transient", "--agent", machines.path("broken"), "far-1", check=False)
    assert done.returncode == 1 and "does not run here" in done.stderr, done.stderr
    unused = json.loads(machines.user("fleetdump", "admin", "list", "--tokens", "-o", "json").stdout)  # which soon is good for nobody
    until = [datetime.datetime.fromisoformat(t["until"][:19] + "+00:00").timestamp() for t in unused if t["name"] == "far-1"]
    assert until and all(end < time.time() + 16 * 60 for end in until), unused
    done = machines.deploy("--transient", "bad/name", check=False)
    assert done.returncode == 1 and "bad/name" in done.stderr, done.stderr


def names_that_nobody_knows(machines):
    """Without a route init knows but this machine's name, and says so; who cannot resolve a name says that it is he."""
    init = ("unshare", "--net", "fleetdump-collector", "init", "--no-start", "--config", machines.path("other.conf"), "--data")
    said = machines.user(*init, machines.path("other-1")).stderr
    assert "warning: that is only a name" in said and "address = ADDRESS:PORT in " + machines.path("other.conf") in said, said
    os.unlink(machines.path("other.conf"))
    assert "only a name" not in machines.user(*init, machines.path("other-2"), "--address", "192.0.2.1:1").stderr
    done = machines.deploy("--transient", "--address", "nobody.invalid:4741", "far-1", check=False)
    assert done.returncode == 1 and "far-1: it cannot join, its agent says: " in done.stderr, done.stderr
    assert "this machine does not resolve the name 'nobody.invalid'" in done.stderr and "address = " in done.stderr, done.stderr


def without_a_way(machines):
    """The collector's port is closed for far-1: an ssh that stays carries its connections."""
    machines.ip_in("far-1", "rule", "add", "to", machines.listen, "ipproto", "tcp", "dport", COLLECTOR_PORT, "prohibit")
    done = machines.deploy("--transient", "far-1", check=False)
    assert done.returncode == 1 and machines.listen in done.stderr, done.stderr
    said = machines.deploy("--transient", "--allow-capture", "--via-ssh", "far-1").stdout
    assert "far-1: joined, connected through ssh; may capture" in said, said
    with open(machines.path("home", "tunnel-far-1")) as file:
        pid = int(file.read().split()[0])
    assert "had joined, connected through ssh" in machines.deploy("--transient", "--via-ssh", "far-1").stdout
    with open(machines.path("home", "tunnel-far-1")) as file:
        assert int(file.read().split()[0]) == pid
    os.kill(pid, signal.SIGTERM)
    fleet.wait_until(lambda: not os.path.exists("/proc/%d" % pid), "the ssh to end")
    assert "had joined, connected through ssh" in machines.deploy("--transient", "--via-ssh", "far-1").stdout  # anew, on the same port
    with open(machines.path("home", "tunnel-far-1")) as file:
        pid = int(file.read().split()[0])
    machines.spawn("far-1", "ping", "-i", "0.2", machines.ip("web-1"))
    machines.user("fleetdump", "capture", "start", "--on", "far-1", "--for", "3s", "-w", machines.path("far.pcapng"), "icmp or tcp")
    ports = subprocess.run(["tshark", "-r", machines.path("far.pcapng"), "-T", "fields", "-e", "icmp.type", "-e", "tcp.port"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, check=True).stdout
    assert "8" in ports.split() and "22," not in ports and ",22" not in ports, ports  # else each packet shipped would be one more
    return pid


def nothing_stays(machines, tunnel):
    said = machines.deploy("--remove", *HOSTS).stdout
    for host in HOSTS:
        assert "%s: removed, its certificate revoked" % host in said, said
        assert not machines.traces(host), machines.traces(host)
        assert not machines.processes(host), machines.processes(host)
    fleet.wait_until(lambda: not os.path.exists("/proc/%d" % tunnel), "the ssh to end")
    assert not os.path.exists(machines.path("home", "tunnel-far-1"))
    fleet.wait_until(lambda: not any(a["connected"] for a in machines.known_agents().values()), "the agents to be away")
    said = machines.deploy("--transient", "db-1").stdout  # a new certificate: the old one's end is not its own
    assert "db-1: joined, connected; captures nothing until" in said, said
    of_the_revoked(machines)
    removed_again(machines)


def of_the_revoked(machines):
    """An agent that is there still, and that the collector lets in no more: that is said, and nothing is done."""
    machines.user("fleetdump", "admin", "revoke", "db-1")
    done = machines.deploy("--transient", "db-1", check=False)
    assert done.returncode == 1 and "db-1: its certificate was revoked 2" in done.stderr and "deploy --remove db-1, then" in done.stderr, done.stderr


def removed_again(machines):
    """--remove takes whichever kind is there, says so if none is, and leaves the day of a revocation."""
    day = machines.known_agents()["db-1"]["problem"]
    for what in ("removed", "there was nothing to remove"):
        said = machines.deploy("--remove", "db-1").stdout
        assert "db-1: %s, its certificate %s\n" % (what, day) in said and day.startswith("was revoked 2"), (said, day)
        assert not machines.traces("db-1") and not machines.processes("db-1"), (machines.traces("db-1"), machines.processes("db-1"))
    said = machines.user("fleetdump", "admin", "revoke", "db-1").stderr
    assert "db-1: had been revoked " + day[len("was revoked "):] in said and machines.known_agents()["db-1"]["problem"] == day, (said, day)
    machines.user("mkdir", "-p", "/var/lib/fleetdump-agent", where="db-1")  # of a permanent one
    done = machines.deploy("--transient", "--remove", "db-1", check=False)
    assert done.returncode == 1 and "no transient agent is there, but a permanent one" in done.stderr, done.stderr
    assert "db-1: removed, " in machines.deploy("--remove", "db-1").stdout and not machines.traces("db-1")


def main():
    for program in ("ssh", "ssh-keygen", "/usr/sbin/sshd", "nsenter", "unshare"):
        if not shutil.which(program):
            fleet.skip(program + " is not there")
    with Machines(*HOSTS, tls=True) as machines:
        shutil.rmtree(machines.path("home"))  # the user of a bare machine has nothing
        serve_and_ask(machines)
        three_commands(machines)
        again(machines)
        other_labels(machines)
        advice(machines)
        two_at_once(machines)
        what_fails(machines)
        names_that_nobody_knows(machines)
        tunnel = without_a_way(machines)
        nothing_stays(machines, tunnel)
    print("deployed, again, in part, through ssh, and removed without a trace")


if __name__ == "__main__":
    sys.exit(main())
