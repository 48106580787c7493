#!/usr/bin/env python3
# timeout: 600
"""What a host lets be captured on it: nothing by default, less than was ordered, never its forbidden networks and ports (tcpdump beside says what passed),
nothing while the kill file is there, and only what a trusted operator signed. Each story on hosts of its own. Arguments name stories."""

import glob
import ipaddress
import json
import os
import signal
import struct
import subprocess
import sys
import time

import fleet
import lab
import pcapfile
from namespaces import ethernet, icmp, ip4, tcp, udp

def ping(system, source, target, count=5):
    system.host(source, "ping", "-n", "-q", "-c", str(count), "-i", "0.01", system.ip(target))


def packet(payload, proto, source, target):
    """IPv4 with a checksum: bridges that filter look at it."""
    data = bytearray(ip4(payload, proto, source, target))
    sum16 = sum(struct.unpack(">10H", data[:20]))
    struct.pack_into(">H", data, 10, ~(sum16 + (sum16 >> 16)) & 0xFFFF)
    return bytes(data)


def start(system, name, *options, words=("icmp",), check=(0,)):
    done = system.run("capture", "start", "--all", "--name", name, "--no-wait", "--for", "10m", *options, *words, check=check)
    if done.returncode == 0:
        fleet.wait_until(lambda: system.running(name, 1), "the capture to run")
    return done


def text_of(system, name, agent="web-1"):
    return next(a for a in system.order(name)["agents"] if a["agent"] == agent)["text"]


def packets_of(system, name, words=""):
    path = system.pull(words, "--capture", name, "--vantage", "all", "--packets", path=system.path(name + ".pcapng"), check=(0, 3))
    _, packets, damage = pcapfile.read(path)
    assert damage is None, damage
    return packets


def stopped(system, name):
    fleet.wait_until(lambda: set(system.phases(name)) <= {"stopped", "refused"}, "the capture to stop")


def address(system, host):
    return ipaddress.ip_address(system.ip(host)).packed


# --------------------------------------------------------------------- stories

def off_by_default():
    with lab.Lab("web-1", "client") as system:
        system.policy("web-1", text="")
        system.start_agents("web-1")
        done = start(system, "no", check=(1,))
        assert "web-1" in done.stderr and "'allow = yes'" in done.stderr, done.stderr
        done = system.run("capture", "start", "--all", "--dry-run", "icmp", check=(1,))
        assert "'allow = yes'" in done.stdout + done.stderr, done
        os.unlink(system.path("web-1.policy"))
        done = start(system, "none", check=(1,))
        assert "nothing may be captured by order" in done.stderr, done.stderr
        system.policy("web-1")
        os.chmod(system.path("web-1.policy"), 0o666)
        done = start(system, "loose", check=(1,))
        assert "may be written by others" in done.stderr, done.stderr
        os.chmod(system.path("web-1.policy"), 0o644)
        start(system, "yes")


def what_is_narrowed_is_said():
    with lab.Lab("web-1", "client") as system:
        system.policy("web-1", snaplen=60, packets=7, duration="5m", interface="eth*")
        system.start_agents("web-1")
        done = start(system, "narrow")
        for words in ("web-1: this host's policy: at most 60 bytes of a packet", "at most 7 packets", "for 5m", "only on eth*"):
            assert words in done.stderr, (words, done.stderr)
        assert "at most 60 bytes" in text_of(system, "narrow")
        assert "at most 60 bytes" in system.run("capture", "show", "narrow").stdout
        left = next(a for a in system.order("narrow")["agents"])["left_ns"]
        assert left <= 300 * 10**9, left
        ping(system, "client", "web-1", 20)
        stopped(system, "narrow")
        packets = packets_of(system, "narrow")
        assert len(packets) == 7 and all(len(p.data) == 60 for p in packets), [len(p.data) for p in packets]
        text = text_of(system, "narrow")
        assert text.startswith("its limit of 7 packets") and "at most 60 bytes" in text, text
        start(system, "told")
        system.run("capture", "stop", "told", check=(0, 3))
        stopped(system, "told")
        text = text_of(system, "told")
        assert text.startswith("stopped by ") and "collector's word" not in text and "at most 60 bytes" in text, text
        done = system.run("capture", "start", "--all", "-i", "lo", "--no-wait", "icmp", check=(1,))
        assert "lets nothing be captured on lo" in done.stderr, done.stderr


def payload_is_cut_at_the_source():
    with lab.Lab("web-1", "client") as system:
        system.policy("web-1", payload=10)
        system.start_agents("web-1")
        assert "of payload" in start(system, "cut", words=("icmp or udp port 9",)).stderr
        secret = ethernet(packet(udp(b"secret words in it", 5000, 9), 17, system.ip("client"), system.ip("web-1")), target=system.mac("web-1"))
        system.inject("client", [secret])
        ping(system, "client", "web-1", 3)
        one, = fleet.wait_until(lambda: datagrams(system, "cut"), "the packet")
        assert one.data.endswith(b"secret wor") and len(one.data) == 14 + 20 + 8 + 10, one.data
        system.policy("web-1", payload=0)
        assert "headers alone" in start(system, "headers", words=("udp port 9",)).stderr
        system.inject("client", [secret])
        one, = fleet.wait_until(lambda: datagrams(system, "headers"), "the packet")
        assert len(one.data) == 42, one.data


def rows_do_not_tell_what_the_policy_blanks():
    with lab.Lab("web-1", "client") as system:
        system.policy("web-1", blank=["path", "user-agent"])
        system.start_agents("web-1")
        os.mkdir(system.path("www"))
        with open(system.path("www", "hidden-2"), "wb") as large:  # so that whole frames of it are on the disk before the chunk ends
            large.write(os.urandom(8 << 20))
        system.nginx("web-1", system.path("www"))
        done = start(system, "blanked", words=("tcp port 80",))
        assert "rows without HTTP's path, user-agent" in done.stderr, done.stderr

        def ask(path):
            system.host("client", "curl", "-s", "-o", "/dev/null", "-A", "hidden-agent", "http://%s/%s" % (system.ip("web-1"), path))

        def requests(count):
            found = fleet.wait_until(lambda: len(rows := system.json("http", check=(0, 3))) == count and rows, "%d requests" % count)
            told = json.dumps([found, system.json("flows", check=(0, 3))])
            assert "hidden" not in told and system.ip("web-1") in told, told
            assert all(row["http_host"] == system.ip("web-1") and "path" not in row and row["status"] for row in found), found
        ask("hidden-1")
        requests(1)
        ask("hidden-2")  # of rows made anew from the packets of a capturer that died, the same is left out
        fleet.wait_until(lambda: system.order("blanked")["bytes"] > 8 << 20, "the capturer to have them")
        capturer, = lab.pids(system, "web-1", "fleetdump-cap")
        os.kill(capturer, signal.SIGKILL)
        fleet.wait_until(lambda: lab.pids(system, "web-1", "fleetdump-cap") not in ([], [capturer]), "another capturer")
        requests(2)
        assert any(b"hidden-2" in p.data for p in packets_of(system, "blanked"))


def datagrams(system, name):
    return [p for p in packets_of(system, name) if p.data[23] == 17]


def forbidden_frames(system):
    """From the client: what the kernel's filter does not see through."""
    secret, client, web, mac = system.ip("secret"), system.ip("client"), system.ip("web-1"), system.mac("web-1")
    echo = packet(icmp(8, 0, 0, b"x" * 20), 1, secret, web)
    inside = ethernet(packet(tcp(b"inside", 1000, 80), 6, "10.9.0.9", secret))
    quoted = packet(tcp(b"quoted12", 1000, 80), 6, web, secret)
    return [
        ethernet(echo, target=mac, tags=((0x8100, 5),)),
        ethernet(echo, target=mac, tags=((0x88A8, 5), (0x8100, 6))),
        ethernet(packet(udp(bytes.fromhex("0800000000000700") + inside, 40000, 4789), 17, client, web), target=mac),
        ethernet(packet(icmp(3, 1, 0, quoted), 1, client, web), target=mac),
        ethernet(packet(packet(udp(b"ipip", 7, 9), 17, secret, web), 4, client, web), target=mac),
        ethernet(echo, target=mac, tags=((0x8100, 5),))[:18 + 18],  # cut in the addresses
    ]


def forbidden_packets_never_come():
    with lab.Lab("web-1", "client", "secret") as system:
        system.policy("web-1", forbid_net=[system.ip("secret") + "/32", system.ip6("secret")], forbid_port=["81", "5000-5100"])
        system.start_agents("web-1")
        system.nginx("web-1")
        oracle = system.tcpdump("web-1", system.path("oracle.pcap"), "greater 1")
        assert "without net" in start(system, "all", words=()).stderr
        ping(system, "client", "web-1", 10)
        ping(system, "secret", "web-1", 10)
        system.host("secret", "curl", "-s", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        system.host("client", "curl", "-s", "-o", "/dev/null", "http://%s/" % system.ip("web-1"))
        system.host("client", "curl", "-s", "-o", "/dev/null", "--max-time", "2", "http://%s:81/" % system.ip("web-1"), check=False)
        frames = forbidden_frames(system)
        system.inject("client", frames)
        ping(system, "client", "web-1", 5)
        system.run("capture", "stop", "all", check=(0, 3))
        stopped(system, "all")
        system.end_tcpdump(oracle)
        passed = lab.dumped(system.path("oracle.pcap"))
        secret = address(system, "secret")
        assert sum(secret in p.data for p in passed) >= 20 + len(frames), "the oracle did not see it"
        packets = packets_of(system, "all")
        assert not any(secret in p.data or b"quoted12" in p.data or b"inside" in p.data or b"ipip" in p.data for p in packets)
        assert not any(p.data[12:14] == b"\x08\x00" and p.data[23] == 6 and 81 in (int.from_bytes(p.data[34:36], "big"), int.from_bytes(p.data[36:38], "big"))
                       for p in packets), "port 81"

        def echoes(some):
            return sum(p.data[12:14] == b"\x08\x00" and p.data[23] == 1 and p.data[34] in (0, 8) and secret not in p.data for p in some)

        assert echoes(packets) == echoes(passed) == 30, (echoes(packets), echoes(passed))
        assert packets_of(system, "all", "tcp port 80"), "what is allowed is there"
        agent = system.order("all")["agents"][0]
        assert agent["forbidden"] >= len(frames), agent
        assert agent["other_drops"] == 0, agent
        rows = json.dumps(system.flows("", "--capture", "all", "--limit", "10000"))
        assert system.ip("client") in rows and system.ip("secret") not in rows and '"resp_port": 81' not in rows
        sums = totals(system, "all")
        assert sums["forbidden"] >= len(frames) and sums["kept"], sums
        assert sums["received"] == sums["kept"] + sums["filtered"] + sums["kernel_drops"] + sums["agent_drops"] + sums["policy"] + sums["own"] + sums["forbidden"], sums


def totals(system, name):
    return next(c for c in system.json("captures") if c["capture"] == name)["counters"]


def the_kill_file_ends_all():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.start_agents("web-1", "web-2")
        for name in ("one", "two"):
            system.run("capture", "start", "--all", "--name", name, "--no-wait", "--for", "10m", "icmp")
            fleet.wait_until(lambda: system.running(name, 2), "the captures to run")
        with open(system.path("web-1.stop"), "w"):
            pass
        for name in ("one", "two"):
            fleet.wait_until(lambda: sorted(system.phases(name)) == ["running", "stopped"], "the kill file to end it")
            assert "web-1.stop is there" in text_of(system, name)
        before = len(packets_of(system, "one", "host " + system.ip("web-1")))
        ping(system, "client", "web-1", 5)
        done = system.run("capture", "start", "--on", "web-1", "--no-wait", "icmp", check=(1,))
        assert "nothing may be captured on this host while" in done.stderr, done.stderr
        assert len(packets_of(system, "one", "host " + system.ip("web-1"))) == before
        os.unlink(system.path("web-1.stop"))
        system.stop_agent("web-1")
        system.start_agents("web-1")
        fleet.wait_until(lambda: sorted(system.phases("one")) == ["running", "stopped"], "it to stay ended")
        system.run("capture", "start", "--on", "web-1", "--name", "new", "--no-wait", "icmp")
        fleet.wait_until(lambda: system.running("new", 1), "a new one to run")


def what_a_host_ended_is_no_success():
    with lab.Lab("web-1") as system:
        system.start_agents("web-1")
        words = fleet.patient(("capture", "start", "--all", "--name", "cut", "--for", "10m", "icmp"))
        waits = subprocess.Popen(system.inside("client") + [os.path.join(fleet.BIN, "fleetdump"), *words],
                                 env=dict(system.environment, FLEETDUMP_COLLECTOR=system.address), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        fleet.wait_until(lambda: system.json("capture", "list") and system.running("cut", 1), "the capture to run")
        with open(system.path("web-1.stop"), "w"):
            pass
        _, said = waits.communicate(timeout=fleet.WAIT_S)
        assert waits.returncode == 3 and "web-1: ended by this host" in said and "web-1.stop is there" in said, (waits.returncode, said)
        assert "web-1.stop is there" in system.order("cut")["why"], system.order("cut")
        start(system, "none", check=(1,))


def a_tightened_policy_narrows_what_runs():
    with lab.Lab("web-1", "client", "secret") as system:
        system.start_agents("web-1")
        start(system, "long")
        ping(system, "secret", "web-1", 5)
        fleet.wait_until(lambda: len(packets_of(system, "long")) == 10, "packets")
        system.policy("web-1", forbid_net=system.ip("secret"), snaplen=50)
        fleet.wait_until(lambda: "at most 50 bytes" in text_of(system, "long") and system.running("long", 1), "the policy to take hold")
        fleet.wait_until(lambda: "narrowed" in journal(system), "the journal")

        def narrowed():
            ping(system, "secret", "web-1", 2)
            ping(system, "client", "web-1", 2)
            return [p for p in packets_of(system, "long") if address(system, "client") in p.data]

        packets = fleet.wait_until(narrowed, "packets under the new policy")
        assert all(len(p.data) == 50 for p in packets)
        assert sum(address(system, "secret") in p.data for p in packets_of(system, "long")) == 10
        system.policy("web-1", allow="no")
        stopped(system, "long")
        assert "'allow = yes'" in text_of(system, "long")


def an_interface_that_gets_a_forbidden_name_is_left():
    with lab.Lab("web-1", "client") as system:
        system.add_interface("web-1", "eth1")
        system.policy("web-1", interface="eth*")
        system.start_agents("web-1")
        start(system, "long", "-i", "eth*", "-i", "dmz*")

        def interfaces():
            return sorted(next(a for a in system.order("long")["agents"] if a["agent"] == "web-1")["interfaces"])

        fleet.wait_until(lambda: interfaces() == ["eth0", "eth1"], "both interfaces")
        for change in (("down",), ("name", "dmz0"), ("up",)):
            system.ip_in("web-1", "link", "set", "dmz0" if change == ("up",) else "eth1", *change)
        fleet.wait_until(lambda: system.running("long", 1) and interfaces() == ["eth0"], "the renamed one to be left")
        assert "eth1 is called dmz0 now, which this host's policy does not allow" in text_of(system, "long"), text_of(system, "long")
        fleet.wait_until(lambda: "dmz0" in journal(system), "the journal")


def hours_are_kept():
    with lab.Lab("web-1", "client") as system:
        hour = time.gmtime().tm_hour
        system.policy("web-1", hours='"%02d:00-%02d:00"' % ((hour + 2) % 24, (hour + 4) % 24))
        system.start_agents("web-1")
        done = start(system, "late", check=(1,))
        assert "lets captures run from" in done.stderr, done.stderr
        system.policy("web-1", hours='"%02d:00-%02d:00"' % (hour, (hour + 3) % 24))
        done = start(system, "now", "--for", "12h")
        assert "until %02d:00" % ((hour + 3) % 24) in done.stderr, done.stderr
        system.policy("web-1", hours='"%02d:00-%02d:00"' % ((hour + 2) % 24, (hour + 4) % 24))
        stopped(system, "now")


def journal(system, agent="web-1"):
    lines = []
    for path in sorted(glob.glob(system.path("spool-%s.audit" % agent, "*.jsonl"))):
        with open(path) as file:
            lines += file.readlines()
    return "".join(lines)


def the_host_keeps_its_own_journal():
    with lab.Lab("web-1", "client") as system:
        system.policy("web-1", who="*@*")
        system.start_agents("web-1")
        start(system, "mine")
        system.run("capture", "stop", "mine", check=(0, 3))
        stopped(system, "mine")
        system.policy("web-1", who="nobody")
        start(system, "theirs", check=(1,))
        for event in ('"ended"', '"refused"'):
            fleet.wait_until(lambda: event in journal(system), event + " in the journal")
        events = [json.loads(line) for line in journal(system).splitlines()]
        assert [e["event"] for e in events if e.get("capture") == "mine"] == ["started", "ended"], events
        no, = [e for e in events if e.get("capture") == "theirs"]
        assert no["event"] == "refused" and "does not let" in no["text"], no
        assert all("@" in e["who"] and e["filter"] == "icmp" for e in events if "capture" in e), events
        assert os.stat(system.path("spool-web-1.audit")).st_mode & 0o777 == 0o700


# --------------------------------------------------------------------- signed orders

def trust(system, agent, *lines):
    with open(system.path(agent + ".operators"), "w") as file:
        file.write("\n".join(lines) + "\n")
    os.chmod(system.path(agent + ".operators"), 0o644)


def signed_orders_alone():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.policy("web-1", unsigned="no", who="alice")
        system.start_agents("web-1")
        done = start(system, "unsigned", check=(1,))
        assert "nobody has signed the order" in done.stderr, done.stderr
        line = system.run("key", "new", "--name", "alice").stdout.strip()
        assert line.startswith("operator alice ")
        done = start(system, "unknown", check=(1,))
        assert "none of those that this host trusts" in done.stderr, done.stderr
        trust(system, "web-1", line.replace("alice", "bob"))
        done = start(system, "bob", check=(1,))
        assert "does not let bob order" in done.stderr, done.stderr
        trust(system, "web-1", "# ours", line)
        assert system.run("key", "show", "--name", "alice").stdout.strip() == line
        system.run("capture", "start", "--all", "--dry-run", "icmp")
        start(system, "good")
        ping(system, "client", "web-1", 5)
        fleet.wait_until(lambda: len(packets_of(system, "good")) == 10, "packets")
        assert '"who":"alice (' in journal(system), journal(system)
        system.stop_collector()  # what it keeps in its catalog is relayed as it was signed
        system.start_collector()
        with system.anew("web-1", "good"):
            system.stop_agent("web-1")
            system.start_agents("web-1")
        system.policy("web-2", unsigned="no")
        trust(system, "web-2", line)
        system.start_agents("web-2")
        fleet.wait_until(lambda: system.running("good", 2), "it to reach an agent that comes later")
        trust(system, "web-1", "# nobody")
        trust(system, "web-2", "# nobody")
        stopped(system, "good")


def unsigned_takes_what_a_stranger_signed():
    with lab.Lab("web-1", "web-2", "client") as system:
        system.policy("web-2", unsigned="no")
        system.start_agents("web-1", "web-2")
        system.run("key", "new", "--name", "alice")
        trust(system, "web-1", "# nobody")
        done = system.run("capture", "start", "--all", "--dry-run", "icmp", check=(1,))
        assert "web-2" in done.stdout + done.stderr and "none of those that this host trusts" in done.stdout + done.stderr, done
        done = system.run("capture", "start", "--on", "web-1", "--name", "stranger", "--no-wait", "--for", "10m", "icmp")
        fleet.wait_until(lambda: system.running("stranger", 1), "the capture to run")
        who, = {json.loads(line)["who"] for line in journal(system).splitlines() if '"stranger"' in line}
        assert "@" in who and "alice" not in who, who  # the collector's word, not a signature's
        system.policy("web-1", unsigned="no")
        stopped(system, "stranger")
        assert "none of those that this host trusts" in text_of(system, "stranger"), text_of(system, "stranger")


def an_organisation_certifies():
    with lab.Lab("web-1", "client") as system:
        organisation = system.path("organisation.key")
        _, name, key = system.run("key", "new", "--key", organisation, "--name", "example.org").stdout.split()
        _, _, mine = system.run("key", "new", "--name", "alice").stdout.split()
        system.policy("web-1", unsigned="no", who="alice")
        trust(system, "web-1", "organisation %s %s" % (name, key))
        system.start_agents("web-1")
        done = start(system, "bare", check=(1,))
        assert "none of those that this host trusts" in done.stderr, done.stderr
        certificate = system.run("key", "certify", "--key", organisation, "--for", "1h", "alice", mine).stdout
        with open(system.path("home", "sign.cert"), "w") as file:
            file.write(certificate)
        start(system, "certified")
        os.chmod(system.path("home", "sign.key"), 0o644)
        done = start(system, "loose", check=(1,))
        assert "chmod 0600" in done.stderr, done.stderr


STORIES = (off_by_default, what_is_narrowed_is_said, payload_is_cut_at_the_source, rows_do_not_tell_what_the_policy_blanks, forbidden_packets_never_come, the_kill_file_ends_all,
           what_a_host_ended_is_no_success,            a_tightened_policy_narrows_what_runs, an_interface_that_gets_a_forbidden_name_is_left, hours_are_kept, the_host_keeps_its_own_journal, signed_orders_alone,
           unsigned_takes_what_a_stranger_signed, an_organisation_certifies)


if __name__ == "__main__":
    sys.exit(lab.tell(STORIES))
