#!/usr/bin/env python3
# timeout: 400
"""Under systemd: machines of their own on which it is process 1 (and which run nothing but what is asked of them), one with the collector, two that are
reached by ssh. init starts the collector; deploy makes a unit that stays on one host, and on the other one that the next start forgets; the
units give their processes what they need: captures, a reload, restarts; and --remove takes all of it away."""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys

import deploy_ssh
import fleet
import lab

HOSTS = ("web-1", "db-1")
OWN = ("/etc", "/var", "/usr", "/root")  # of each machine: what is written there, nobody else sees
CGROUPS = [folder for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified") if os.path.exists(folder + "/cgroup.procs")]
# ENTER CGROUP COMMAND: in a cgroup of its own, which the new namespace takes for the root
ENTER = "cgroup=$1; shift; for all in %s; do mkdir -p $all/$cgroup && echo $$ >$all/$cgroup/cgroup.procs || exit; done; exec \"$@\"" % " ".join(CGROUPS)
# BOOT FOLDER: nothing of what this distribution starts at boot; a /proc whose kernel variables are only to be read
BOOT = deploy_ssh.OVERLAYS % " ".join(OWN) + """
rm -rf /etc/fleetdump /var/lib/fleetdump-* /var/log/journal /etc/systemd/system/*.wants /usr/lib/systemd/system/*.wants /usr/lib/systemd/system-generators/*
mkdir /usr/lib/systemd/system/sysinit.target.wants
ln -s ../systemd-journald.service ../systemd-journald.socket ../systemd-journald-dev-log.socket /usr/lib/systemd/system/sysinit.target.wants
for unit in tmp.mount systemd-tmpfiles-setup.service systemd-tmpfiles-clean.service systemd-sysctl.service; do
    ln -s /dev/null /etc/systemd/system/$unit
done
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
one=$(ls -d /sys/fs/cgroup/cgroup.procs 2>/dev/null || true)
mount -t sysfs sysfs /sys
if [ "$one" ]; then
    mount -t cgroup2 cgroup /sys/fs/cgroup
else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup /sys/fs/cgroup/unified
fi
mount -t tmpfs tmpfs /run
mkdir /run/sshd
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target --log-target=null --show-status=0
"""


class Machines(deploy_ssh.Machines):
    """All of them with systemd, the hosts with sshd."""

    def __init__(self, *hosts, **more):
        super().__init__(*hosts, **more)
        self.booted = {}  # by machine: the process that is its systemd

    def alone(self, where, *command):
        """Boots it, and runs the command there; the systemd that it is to be entered by."""
        name = self.namespace(where)
        shell = ["sh", "-c", ENTER, "sh", name, "nsenter", "--net=/run/netns/" + name]  # `ip netns exec` would hide cgroups
        shell += ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--cgroup", "--uts", "--ipc"]
        with open(self.path(where + ".log"), "a") as log:
            child = subprocess.Popen([*shell, "sh", "-c", BOOT, "sh", self.path("own-" + where)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children.append(child)
        inner = fleet.wait_until(lambda: child.poll() is not None or process_1(child.pid), "systemd on " + where)
        if child.poll() is not None:
            with open(self.path(where + ".log")) as log:
                fleet.skip("no machine with systemd can be made here: " + (log.read().strip().splitlines() or ["?"])[-1])
        self.booted[where] = inner
        fleet.wait_until(lambda: self.systemctl(where, "is-system-running", check=False) in ("running", "degraded"), "systemd to have started " + where)
        if command[0] != "sleep":
            self.spawn(HOSTS[0], *self.on(where, *command), log=where + ".sshd.log")
        return child

    def on(self, where, *command):
        return ["nsenter", "-t", str(self.booted[where]), "-m", "-n", "-p", "-u", "-i", "-C", "--", *command]

    def __exit__(self, kind, value, trace):
        for pid in self.booted.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().__exit__(kind, value, trace)
        for pid in self.booted.values():
            fleet.wait_until(lambda pid=pid: not os.path.exists("/proc/%d" % pid), "a machine to end")
        for name in self.made:
            for folder in CGROUPS:  # innermost first
                for made in sorted(glob.glob("%s/%s/**/" % (folder, name), recursive=True), reverse=True):
                    os.rmdir(made)

    def systemctl(self, where, *words, check=True):
        return self.user("systemctl", *words, where=where, check=check).stdout.strip()

    def users(self, where, unit):
        """Who the processes of a unit are: {title: user}."""
        inside = self.systemctl(where, "show", "--property=ControlGroup", "--value", unit)
        listed = self.user("ps", "-eo", "user:32=,comm=,cgroup=", where=where).stdout.splitlines()
        return {comm: user for user, comm, cgroup in (line.split(None, 2) for line in listed) if inside in cgroup}


def process_1(unshare):
    """The child of unshare, once it is systemd; else None."""
    for path in glob.glob("/proc/%d/task/*/children" % unshare):
        with open(path) as children:
            for pid in children.read().split():
                try:
                    with open("/proc/%s/comm" % pid) as comm:
                        if comm.read().strip() == "systemd":
                            return int(pid)
                except FileNotFoundError:
                    pass
    return None


def installed(machines):
    """What the packages install on the collector's machine, and what they do then."""
    machines.user("cmake", "--install", os.path.dirname(fleet.BIN), "--prefix", "/usr")
    for program in ("collector", "agent"):
        machines.user("systemd-sysusers", "/usr/lib/sysusers.d/fleetdump-%s.conf" % program)
        machines.user("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/fleetdump-%s.conf" % program)
    machines.systemctl(lab.HUB, "daemon-reload")


def three_commands(machines):
    init = machines.user("fleetdump-collector", "init")
    assert "started: fleetdump-collector.service" in init.stderr, init.stderr
    assert machines.systemctl(lab.HUB, "is-enabled", "fleetdump-collector") == "enabled"
    assert machines.users(lab.HUB, "fleetdump-collector") == {"fleetdump-colle": "fleetdump-collector"}
    token = next(word for word in init.stdout.split() if word.startswith("fd1-"))
    said = machines.deploy("--token", token, "--allow-capture", "web-1").stdout
    assert "web-1: joined, connected; may capture" in said, said
    said = machines.deploy("--transient", "--allow-capture", "db-1").stdout
    assert "db-1: joined, connected; may capture" in said, said
    capture(machines, "first")


def capture(machines, name):
    """Both hosts capture, and what they captured comes."""
    for host, other in (HOSTS, HOSTS[::-1]):
        machines.spawn(host, "ping", "-n", "-i", "0.1", "-w", "60", machines.ip(other))
    machines.user("fleetdump", "capture", "start", "-A", "--name", name, "-c", "20", "--for", "60s", "icmp")
    flows = json.loads(machines.user("fleetdump", "flows", "--capture", name, "-o", "json").stdout)
    assert {flow["agent"] for flow in flows} == set(HOSTS), flows


def units_are_as_they_should_be(machines):
    assert machines.systemctl("web-1", "is-enabled", "fleetdump-agent") == "enabled"
    assert machines.systemctl("db-1", "is-enabled", "fleetdump-agent-transient", check=False) != "enabled"
    path = machines.systemctl("db-1", "show", "--property=FragmentPath", "--value", "fleetdump-agent-transient")
    assert path.startswith("/run/"), path  # gone with the next start
    # (The baseline captures.)
    kinds = ("fleetdump-agent", "fleetdump-ship", "fleetdump-cap")
    for host, unit, users in (("web-1", "fleetdump-agent", ("fleetdump-agent", "fleetdump-ship", "fleetdump-capture")),
                              ("db-1", "fleetdump-agent-transient", ("root", "64901", "64902"))):
        fleet.wait_until(lambda unit=unit, host=host: set(kinds) <= set(machines.users(host, unit)), "all kinds of processes")
        found = machines.users(host, unit)
        assert tuple(found[kind] for kind in kinds) == users, found
    journal = machines.user("journalctl", "--no-pager", "-o", "cat", where="web-1").stdout
    assert "first" in journal and "root" in journal, journal  # the host's own record of who captured
    said = machines.user("/usr/local/sbin/fleetdump-agent", "doctor", where="web-1", check=False).stdout
    assert not [line for line in said.splitlines() if line.startswith("FAILED")], said


def main_pid(machines, where, unit):
    return machines.systemctl(where, "show", "--property=MainPID", "--value", unit)


def connected(machines, *names):
    def are():
        done = machines.user("fleetdump", "agents", "-o", "json", check=False)
        return done.returncode == 0 and set(names) <= {a["agent"] for a in json.loads(done.stdout) if a["connected"]}
    fleet.wait_until(are, "agents to be connected")


def reloaded_and_restarted(machines):
    """systemctl reload leaves the monitor where it is; restarts of either side come to captures again."""
    before = main_pid(machines, "web-1", "fleetdump-agent")
    machines.systemctl("web-1", "reload", "fleetdump-agent")
    connected(machines, *HOSTS)
    assert main_pid(machines, "web-1", "fleetdump-agent") == before
    machines.systemctl(lab.HUB, "restart", "fleetdump-collector")
    machines.systemctl("web-1", "restart", "fleetdump-agent")
    assert main_pid(machines, "web-1", "fleetdump-agent") != before
    machines.user("kill", "-9", main_pid(machines, "db-1", "fleetdump-agent-transient"), where="db-1")  # Restart=on-failure
    fleet.wait_until(lambda: main_pid(machines, "db-1", "fleetdump-agent-transient") not in ("0", before), "systemd to start it again")
    connected(machines, *HOSTS)
    capture(machines, "second")


def nothing_stays(machines):
    said = machines.deploy("--remove", *HOSTS).stdout
    for host in HOSTS:
        assert "%s: removed, its certificate revoked" % host in said, said
        left = machines.user("systemctl", "list-unit-files", "--no-legend", "fleetdump*", where=host, check=False).stdout
        assert not left and not machines.processes(host), (left, machines.processes(host))
        assert not [path for path in machines.traces(host) if "fleetdump" in path], machines.traces(host)
        assert "fleetdump" not in machines.user("cat", "/etc/passwd", "/etc/group", where=host).stdout


def main():
    for program in ("ssh", "ssh-keygen", "/usr/sbin/sshd", "nsenter", "unshare", "/lib/systemd/systemd", "cmake"):
        if not shutil.which(program):
            fleet.skip(program + " is not there")
    if fleet.sanitized():
        fleet.skip("the units leave sanitizers no room")
    if not CGROUPS:
        fleet.skip("no cgroups are mounted")
    with Machines(*HOSTS, tls=True) as machines:
        shutil.rmtree(machines.path("home"))  # the user of a bare machine has nothing
        installed(machines)
        three_commands(machines)
        units_are_as_they_should_be(machines)
        reloaded_and_restarted(machines)
        nothing_stays(machines)
    print("deployed, reloaded, restarted and removed under systemd")


if __name__ == "__main__":
    sys.exit(main())
