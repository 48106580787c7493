#!/usr/bin/env python3
# timeout: 600
"""Stories of a fleet that captures: agents that are away, restarted, killed; a collector that is away; limits; interfaces that come, go and
change their names; full disks; missing rights. Each on hosts of its own. Arguments name stories."""

import json
import os
import signal
import subprocess
import sys

import fleet
import lab
import pcapfile

PING = "icmp[icmptype] == icmp-echo"


def ping(system, count=10, to="web-1", host="client", interval="0.01"):
    system.host(host, "ping", "-q", "-c", str(count), "-i", interval, system.ip(to))


def start(system, name, *options, agents=1, wait=True):
    system.run("capture", "start", "--name", name, "--no-wait", *options)
    if wait:
        running(system, name, agents)


def running(system, name, agents=1):
    fleet.wait_until(lambda: system.phases(name).count("running") >= agents, "%s to run on %d agents" % (name, agents))


def pulled(system, name, filter_text="", check=(0, 3)):
    """Packets of the capture as a list, and the answer."""
    path = system.path("pulled.pcapng")
    done = system.run("pull", filter_text, "--capture", name, "--vantage", "all", "--packets", "-w", path, check=check)
    interfaces, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    return [(interfaces[p.interface].name, p) for p in packets], done


def requests(system, name, check=(0,)):
    return len(pulled(system, name, PING, check)[0])


# --------------------------------------------------------------------- stories

def a_packet_of_just_now_is_in_the_answer():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "now", "--all")
        for n in range(1, 6):
            ping(system, 1)
            assert requests(system, "now") == n, "the packet of just now is missing"
            assert system.flows("icmp", "--capture", "now"), "no flow"


def limits_end_it():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "few", "--all", "-c", "7", "icmp", wait=False)
        fleet.wait_until(lambda: system.phases("few")[0] != "pending", "the capture to start")
        ping(system, 20)
        fleet.wait_until(lambda: system.phases("few") == ["stopped"], "the limit to end it")
        packets, _ = pulled(system, "few")
        assert len(packets) == 7, len(packets)
        start(system, "short", "--all", "--for", "2s", wait=False)
        fleet.wait_until(lambda: system.phases("short") == ["stopped"], "its time to end it")
        assert "time" in system.order("short")["agents"][0]["text"], system.order("short")


def an_agent_that_comes_later_takes_part():
    with lab.Lab("web-1", "web-2", "client", tls=True) as system:
        system.start_agents("web-1", "web-2")
        system.stop_agent("web-2")
        start(system, "late", "--on", "web-*", "--for", "10m", "icmp")
        assert sorted(system.phases("late")) == ["pending", "running"], system.phases("late")
        system.start_agents("web-2")
        running(system, "late", 2)
        ping(system, 5, to="web-2")
        assert requests(system, "late") == 5


def stopped_while_it_was_away():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "gone", "--all", "--for", "10m")
        system.stop_agent("web-1")
        system.run("capture", "stop", "gone")
        system.start_agents("web-1")
        fleet.wait_until(lambda: system.phases("gone") == ["stopped"], "the agent to hear of it")
        ping(system, 5)
        assert requests(system, "gone", (0, 3)) == 0
        start(system, "next", "--all")  # the agent does what it is told now
        ping(system, 5)
        assert requests(system, "next") == 5


def an_agent_restarted_in_the_middle_goes_on():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "on", "--all", "-c", "50", PING)
        ping(system, 20)
        with system.anew("web-1", "on"):
            system.stop_agent("web-1")
            system.start_agents("web-1")
        ping(system, 60)
        fleet.wait_until(lambda: system.phases("on") == ["stopped"], "the limit to end it")
        assert requests(system, "on", (3,)) == 50  # over both streams; nobody captured between them


def a_collector_that_is_away_costs_nothing():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "away", "--all", "--for", "10m")
        system.stop_collector()
        ping(system, 30)
        system.start_collector()
        running(system, "away")
        fleet.wait_until(lambda: requests(system, "away", (0, 3)) == 30, "all packets to arrive")


def killed_processes_are_started_again():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "hard", "--all", "--for", "10m", PING)
        ping(system, 10)
        assert requests(system, "hard") == 10  # flushed: these are safe
        ping(system, 10)
        fleet.wait_until(lambda: system.order("hard")["packets"] == 20, "the capturer to have them: what is in the ring dies with it")
        [capturer] = lab.pids(system, "web-1", "fleetdump-cap")
        with system.anew("web-1", "hard"):
            os.kill(capturer, signal.SIGKILL)
        assert lab.pids(system, "web-1", "fleetdump-cap") not in ([], [capturer]), "another capturer"
        ping(system, 10)
        fleet.wait_until(lambda: accounted(system, "hard") == 30, "30 packets, there or counted as lost")
        [shipper] = lab.pids(system, "web-1", "fleetdump-ship")
        os.kill(shipper, signal.SIGKILL)
        ping(system, 10)
        fleet.wait_until(lambda: accounted(system, "hard") == 40, "what came while the shipper was dead")
        with system.anew("web-1", "hard"):
            system.stop_agent("web-1", signal.SIGKILL)
            fleet.wait_until(lambda: not any(c for c in agent_processes(system)), "the processes to end with the agent")
            system.start_agents("web-1")
        ping(system, 10)
        fleet.wait_until(lambda: accounted(system, "hard") == 50, "the capture to go on after the agent was killed")


def hang_up(system):
    """SIGHUP, until another shipper is there."""
    old, = fleet.wait_until(lambda: lab.pids(system, "web-1", "fleetdump-ship"), "a shipper")
    system.agents["web-1"].send_signal(signal.SIGHUP)
    fleet.wait_until(lambda: lab.pids(system, "web-1", "fleetdump-ship") not in ([], [old]), "another shipper")


def log_says(system, words):
    with open(system.path("web-1.log")) as log:
        return words in log.read()


def a_hangup_reads_anew_and_loses_nothing():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "stays", "--all", "-i", "eth0", "--for", "10m", PING)
        [stays] = lab.pids(system, "web-1", "fleetdump-cap")
        start(system, "goes", "--all", "-i", "lo", "--for", "10m", PING)
        pings = system.spawn("client", "ping", "-q", "-c", "200", "-i", "0.01", system.ip("web-1"))
        while pings.poll() is None:
            hang_up(system)
        assert stays in lab.pids(system, "web-1", "fleetdump-cap")
        fleet.wait_until(lambda: requests(system, "stays", (0, 3)) == 200, "all packets")
        with open(system.path("web-1.policy"), "w") as policy:  # who only listens to files hears of it when it is closed
            policy.write("allow = yes\nunsigned = yes\ninterface = eth*\n")
            policy.flush()
            hang_up(system)
            fleet.wait_until(lambda: system.phases("goes") == ["waiting"], "the policy to take its interface away")
        fleet.wait_until(lambda: system.running("stays", 1), "the new shipper to say that the other goes on")
        fleet.wait_until(lambda: lab.pids(system, "web-1", "fleetdump-cap") == [stays], "the other's capturer to end, which is waiting as soon as it was told to")
        system.agent_config("web-1", label="role=db", capture_user="nobody")
        hang_up(system)
        fleet.wait_until(lambda: [a["labels"] for a in system.json("agents") if a["connected"]] == ["role=db"], "the new label")
        assert log_says(system, "SIGHUP: capture_user: changed in")
        system.agent_config("web-1", ring="a lot")
        hang_up(system)
        assert log_says(system, "a lot") and log_says(system, "what was read before goes on being used")
        ping(system, 10)
        fleet.wait_until(lambda: requests(system, "stays", (0, 3)) == 210, "it to go on")
        assert requests(system, "stays") == 210, "something is missing"
        system.stop_agent("web-1")


def agent_processes(system):
    out = subprocess.run(["pgrep", "-f", system.path("web-1.conf")], stdout=subprocess.PIPE, text=True, check=False).stdout
    return out.split()


def accounted(system, name):
    """Packets that are there and that are said to be lost in a crash."""
    path, manifest = system.path("pulled.pcapng"), system.path("pulled.json")
    system.run("pull", PING, "--capture", name, "-w", path, "--manifest", manifest, check=(0, 3))
    _, packets, _ = pcapfile.read(path)
    with open(manifest) as file:
        lost = sum(a["counters"].get("crash_lost", 0) for a in json.load(file)["agents"])
    return len(packets) + lost


def interfaces_come_go_and_change_names():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1")
        start(system, "moving", "--all", "-i", "eth*", "--for", "10m", PING)
        ping(system, 5)
        system.add_interface("web-1", "eth1")
        system.ip_in("web-1", "address", "add", "10.66.200.1/16", "dev", "eth1")
        fleet.wait_until(lambda: system.order("moving")["agents"][0]["interfaces"] == ["eth0", "eth1"], "eth1 to be captured on")
        system.until_it_sends("web-1", "eth1", "eth1")
        system.ip_in("client", "neighbour", "replace", "10.66.200.1", "lladdr", system.mac_text("web-1", "eth1"), "dev", "eth0")  # else eth0 may answer for it
        system.host("client", "ping", "-q", "-c", "5", "-i", "0.01", "-I", system.ip("client"), "10.66.200.1")
        system.ip_in("web-1", "link", "set", "eth1", "down")
        system.ip_in("web-1", "link", "del", "eth1")
        ping(system, 5)
        fleet.wait_until(lambda: system.order("moving")["agents"][0]["interfaces"] == ["eth0"], "eth1 to be gone")
        requests(system, "moving", (0, 3))  # what passed is out of the ring, under the name that it passed under
        system.ip_in("web-1", "link", "set", "eth0", "down")
        system.ip_in("web-1", "link", "set", "eth0", "name", "eth7")
        system.ip_in("web-1", "link", "set", "eth7", "up")
        system.ip_in("web-1", "address", "replace", system.ip("web-1") + "/16", "dev", "eth7")
        system.until_it_sends("web-1", "eth7", "eth0")
        fleet.wait_until(lambda: system.order("moving")["agents"][0]["interfaces"] == ["eth7"], "the new name")
        ping(system, 5)
        names = [name for name, _ in pulled(system, "moving", PING)[0]]
        assert names.count("web-1/eth7") == 5, names
        assert names.count("web-1/eth1") >= 5 and names.count("web-1/eth0") >= 10, names


def a_full_disk_is_said_and_survived():
    with lab.Lab("web-1", "client") as system:
        spool = system.path("spool-web-1")
        os.mkdir(spool)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", spool], check=True)
        try:
            system.start_agents("web-1", quota="64M")
            start(system, "full", "--all", "--for", "10m", PING)
            system.stop_collector()
            with open(os.path.join(spool, "ballast"), "wb") as file:
                try:
                    while True:
                        file.write(os.urandom(1 << 20))
                except OSError:
                    pass
            ping(system, 20)
            os.kill(lab.pids(system, "web-1", "fleetdump-cap")[0], 0)  # it is still there
            os.unlink(os.path.join(spool, "ballast"))
            system.start_collector()
            running(system, "full")
            ping(system, 20)
            fleet.wait_until(lambda: requests(system, "full", (0, 3)) >= 20, "packets after there was room again")
        finally:
            system.stop_agent("web-1")
            subprocess.run(["umount", "-l", spool], check=False)


def what_is_not_allowed_is_named():
    with lab.Lab("web-1", "client") as system:
        config = system.agent_config("web-1")
        os.chmod(system.folder, 0o1777)
        agent = system.spawn("web-1", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all",
                             os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, log="web-1.log")
        fleet.wait_until(lambda: "web-1" in system.connected(), "the agent")
        done = system.run("capture", "start", "--all", "--name", "no", "--no-wait", check=(1,))
        assert "CAP_NET_RAW" in done.stderr and "web-1" in done.stderr, done.stderr
        lab.stop(agent)


AGENT_USER, SHIP_USER, CAPTURE_USER = 60901, 60902, 60903  # by number: nobody has to be made
UNIT_CAPABILITIES = ("net_raw", "setuid", "setgid", "setpcap")
ROOT_CAPABILITIES = ("chown", "fowner", "dac_override")  # more, in the unit that `fleetdump deploy --transient` makes


def start_as_in_the_unit(system, name, user=AGENT_USER):
    """An agent whose monitor is a user of its own, or root, with the capabilities that its systemd unit gives it."""
    home = system.path("home-" + name)
    for folder, owner, mode in ((home, user, 0o711), (os.path.join(home, "spool"), SHIP_USER, 0o2770)):
        os.mkdir(folder)
        os.chown(folder, owner, owner)
        os.chmod(folder, mode)
    config = system.agent_config(name, spool=os.path.join(home, "spool"), ship_user=SHIP_USER, capture_user=CAPTURE_USER)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/systemd/fleetdump-agent.service")) as unit:
        bounds = "CapabilityBoundingSet=" + " ".join("CAP_" + one.upper() for one in UNIT_CAPABILITIES)
        assert bounds in unit.read().splitlines(), bounds
    few = "-all," + ",".join("+" + one for one in UNIT_CAPABILITIES + (ROOT_CAPABILITIES if user == 0 else ()))
    system.agents[name] = system.spawn(
        name, "setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--groups=%d" % SHIP_USER, "--inh-caps=" + few, "--ambient-caps=" + few,
        "--bounding-set=" + few, os.path.join(fleet.BIN, "fleetdump-agent"), "--config", config, log=name + ".log")
    fleet.wait_until(lambda: name in system.connected(), "the agent")


def users_of(pid):
    """Real, effective, saved, of files."""
    with open("/proc/%d/status" % pid) as file:
        return [int(word) for line in file if line.startswith("Uid:") for word in line.split()[1:]]


def the_monitor_ends_those_of_other_users(user=AGENT_USER):
    with lab.Lab("web-1", "client") as system:
        start_as_in_the_unit(system, "web-1", user)
        shipper, = lab.pids(system, "web-1", "fleetdump-ship")
        assert users_of(shipper) == 4 * [SHIP_USER], users_of(shipper)
        start(system, "told", "--all", "--for", "10m", PING)
        capturer, = lab.pids(system, "web-1", "fleetdump-cap")
        assert users_of(capturer) == 4 * [CAPTURE_USER], users_of(capturer)
        system.run("capture", "stop", "told", check=(0, 3))
        fleet.wait_until(lambda: system.phases("told") == ["stopped"], "the capture to stop")
        start(system, "deaf", "--all", "--for", "10m", PING)
        capturer, = fleet.wait_until(lambda: len(pids := lab.pids(system, "web-1", "fleetdump-cap")) == 1 and pids, "the one that was told to be gone")
        os.kill(capturer, signal.SIGSTOP)
        open(system.path("web-1.stop"), "w").close()
        fleet.wait_until(lambda: system.phases("deaf") == ["stopped"], "the kill file to end a process that hears nothing")
        agent = system.agents["web-1"]
        assert users_of(agent.pid) == 4 * [user], users_of(agent.pid)
        assert os.stat("/proc/%d/fd" % agent.pid).st_uid == user, "it is kept from looking at itself"
        system.stop_agent("web-1")
        assert agent.returncode == 0 and not os.path.exists("/proc/%d" % shipper), agent.returncode
        assert "cannot be sent" not in open(system.path("web-1.log")).read()


def so_does_root_without_the_right_to():
    the_monitor_ends_those_of_other_users(user=0)


def they_end_with_their_monitor():
    with lab.Lab("web-1") as system:
        start_as_in_the_unit(system, "web-1")
        start(system, "orphan", "--all", "--for", "10m", PING)
        orphans = lab.pids(system, "web-1", "fleetdump-ship") + lab.pids(system, "web-1", "fleetdump-cap")
        assert len(orphans) == 2, orphans
        system.stop_agent("web-1", signal.SIGKILL)
        fleet.wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in orphans), "its processes to end")


def one_folder_has_one_agent():
    with lab.Lab("web-1") as system:
        system.start_agents("web-1")
        second = subprocess.run(system.inside("web-1") + [os.path.join(fleet.BIN, "fleetdump-agent"), "--config", system.path("web-1.conf")],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert second.returncode == 1 and "spool-web-1" in second.stdout, second.stdout


def bad_orders_are_refused_before_anything_starts():
    with lab.Lab("web-1", "web-2") as system:
        system.start_agents("web-1", "web-2")
        for options, status, words in (
                (("--on", "db-*"), 1, ("db-*",)),
                (("--all", "tcp port"), 2, ("tcp port",)),
                (("--all", "-i", "nosuch0"), 1, ("nosuch0", "web-1", "web-2")),
                (("icmp",), 2, ("-A",)),
                (("--all", "--for", "soon"), 2, ("soon",)),
                (("--all", "--keep", "all"), 2, ("all",))):
            done = system.run("capture", "start", "--name", "bad", "--no-wait", *options, check=(status,))
            for word in words:
                assert word in done.stderr, (options, done.stderr)
        assert system.json("capture", "list") == [], "something was started all the same"


def many_agents_and_captures_at_once():
    agents = ["node-%d" % n for n in range(1, 21)]
    with lab.Lab(*agents) as system:
        system.start_agents(*agents)
        names = ["c%d" % n for n in range(1, 6)]
        for n, name in enumerate(names):
            start(system, name, "--all", "--for", "10m", PING if n < 2 else "udp port %d" % (7000 + n), wait=False)
        for name in names:
            running(system, name, len(agents))
        for n, agent in enumerate(agents):
            system.host(agent, "ping", "-q", "-c", "3", "-i", "0.01", system.ip(agents[(n + 1) % len(agents)]))
        for name in names[:2]:
            assert requests(system, name) == 2 * 3 * len(agents)  # at both ends
        path = system.path("both.pcapng")
        system.run("pull", PING, "--vantage", "all", "--packets", "--since", "10m", "-w", path)
        interfaces, packets, _ = pcapfile.read(path)
        seen = [(interfaces[p.interface].name, p.time_ns, p.data) for p in packets]
        assert len(seen) == len(set(seen)) == 2 * 3 * len(agents), "%d packets, %d of them different" % (len(seen), len(set(seen)))
        system.run("capture", "stop", "c*", check=(0, 3))
        for name in names:
            fleet.wait_until(lambda name=name: set(system.phases(name)) == {"stopped"}, name + " to stop")


STORIES = [a_packet_of_just_now_is_in_the_answer, limits_end_it, an_agent_that_comes_later_takes_part, stopped_while_it_was_away,
           an_agent_restarted_in_the_middle_goes_on, a_collector_that_is_away_costs_nothing, killed_processes_are_started_again,
           a_hangup_reads_anew_and_loses_nothing, interfaces_come_go_and_change_names, a_full_disk_is_said_and_survived, what_is_not_allowed_is_named,
           the_monitor_ends_those_of_other_users, so_does_root_without_the_right_to, they_end_with_their_monitor, one_folder_has_one_agent,
           bad_orders_are_refused_before_anything_starts, many_agents_and_captures_at_once]


if __name__ == "__main__":
    sys.exit(lab.tell(STORIES))
