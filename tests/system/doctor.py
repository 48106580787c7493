#!/usr/bin/env python3
"""doctor, of agent, collector and command line: a healthy fleet has no failures; each thing that is broken is named, with what mends it."""

import glob
import json
import os
import signal
import subprocess
import sys

import certificates
import fleet
import wire

VERDICTS = {"ok", "warning", "failure"}


def doctor(system, program, *options, check=None):
    """{check: [finding, ...]}"""
    command = [os.path.join(fleet.BIN, program), "doctor", "-o", "json", *options]
    done = subprocess.run(command, env=dict(system.environment, FLEETDUMP_COLLECTOR=system.address), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    findings = json.loads(done.stdout)
    for one in findings:
        assert set(one) == {"check", "verdict", "found", "mend"} and one["verdict"] in VERDICTS and one["found"], one
        assert one["mend"] or one["verdict"] == "ok", one
    failed = [one for one in findings if one["verdict"] == "failure"]
    assert done.returncode == (1 if failed else 0), (done.returncode, failed, done.stderr)
    checks = {}
    for one in findings:
        checks.setdefault(one["check"], []).append(one)
    names = {one["check"] for one in failed}
    assert check is None or names == set(check), (program, failed)
    return checks


def config_of(system, name, **more):
    """As the agent's own, but for some lines."""
    lines = {"name": name, "collector": system.address, "spool": system.path("spool-" + name), "floor": "0", **system.security(name), **more}
    path = system.path("doctor.conf")
    with open(path, "w") as conf:
        conf.writelines("%s = %s\n" % line for line in lines.items())
    return "--config", path


def check_healthy(system):
    agent = doctor(system, "fleetdump-agent", *config_of(system, "web-1"), check=())
    assert {"configuration", "version", "clock", "running", "ring", "disk", "spool", "name", "reach", "users", "certificate"} <= set(agent), set(agent)
    offset = lambda: [one["found"] for one in doctor(system, "fleetdump-agent", *config_of(system, "web-1"), check=())["clock"]
                      if one["found"].startswith("this host's clock is ") and one["found"].endswith(" the collector's")]
    fleet.wait_until(offset, "the agent to know how far its clock is from the collector's")
    collector = doctor(system, "fleetdump-collector", "--config", system.path("collector.conf"), "--listen", system.address, check=())
    assert {"configuration", "version", "clock", "data", "disk", "retention", "files", "listen", "reach"} <= set(collector), set(collector)
    client = doctor(system, "fleetdump", check=())
    assert "web-1 is connected" in [one["found"] for one in client["agent"]]


def check_broken(system):
    nobody = doctor(system, "fleetdump-agent", *config_of(system, "web-1", collector="127.0.0.1:1"), check={"reach"})
    assert "127.0.0.1 1" in nobody["reach"][0]["mend"], nobody
    unnamed = doctor(system, "fleetdump-agent", *config_of(system, "web-1", collector="no-such-host.invalid:4741"), check={"name"})
    assert "no-such-host.invalid" in unnamed["name"][0]["found"]
    small = doctor(system, "fleetdump-agent", *config_of(system, "web-1", ring="1G", memory="64M"), check={"ring"})
    assert "memory = " in small["ring"][0]["mend"]
    unknown = doctor(system, "fleetdump-agent", *config_of(system, "web-1", no_such_key="1"), check={"configuration"})
    assert "no_such_key" in unknown["configuration"][0]["found"]
    full = doctor(system, "fleetdump-agent", *config_of(system, "web-1", floor="1000T"), check={"disk"})
    assert "floor = " in full["disk"][0]["mend"]


def check_secrets(system):
    """Certificates that are not there, or over, or a collector's; files that others may read; a collector of another authority."""
    certificates_of = lambda folder, check: doctor(system, "fleetdump-agent", *config_of(system, "web-1", tls=folder), check=check)["certificate"]
    folder = system.path("tls")
    os.mkdir(folder, mode=0o700)
    assert "join" in certificates_of(folder, {"certificate"})[-1]["mend"]
    system.authority.issue("agent", "web-1", folder)
    assert "agent web-1, for another" in certificates_of(folder, ())[-1]["found"]
    authority = lambda check: doctor(system, "fleetdump-agent", *config_of(system, "web-1", tls=folder), check=check)["authority"][0]
    assert authority(())["verdict"] == "ok" and os.path.join(folder, "ca.pem") in authority(())["found"]
    for days, verdict in (((-60, 11), "warning"), ((-60, -1), "failure")):
        system.authority.renew(os.path.join(folder, "ca.pem"), days)
        assert authority({"authority", "reach"} if verdict == "failure" else ())["verdict"] == verdict
    system.authority.issue("agent", "web-1", folder)
    for path in (folder, os.path.join(folder, "key.pem")):
        mode = os.stat(path).st_mode
        os.chmod(path, 0o755)
        assert "chmod go= " + path in [one["mend"] for one in certificates_of(folder, {"certificate"})]
        os.chmod(path, mode & 0o7777)
    system.authority.issue("agent", "web-1", folder, days=(-2, -1))
    assert "ended at" in certificates_of(folder, {"certificate", "reach"})[-1]["found"]
    system.authority.issue("user", "web-1", folder)
    assert "join" in certificates_of(folder, {"certificate"})[-1]["mend"]
    certificates.Authority(system.path("other")).issue("agent", "web-1", folder)
    certificates_of(folder, {"reach"})


def check_policy(system):
    policy, operators = system.path("doctor.policy"), system.path("doctor.operators")

    def policy_of(text, check):
        with open(policy, "w") as file:
            file.write(text)
        return doctor(system, "fleetdump-agent", *config_of(system, "web-1", policy=policy, operators=operators), check=check)

    assert "allow = yes" in policy_of("", ())["policy"][0]["mend"]
    assert "unsigned = no" in policy_of("allow = yes\nunsigned = yes\n", ())["policy"][1]["mend"]
    assert "key show" in policy_of("allow = yes\n", ())["operators"][0]["mend"]
    system.run("key", "new", "--name", "tester")
    with open(operators, "w") as file:
        file.write(system.run("key", "show", "--name", "tester").stdout)
    assert "1 trusted" in policy_of("allow = yes\n", ())["operators"][0]["found"]
    assert "edit " + policy in policy_of("allow = perhaps\n", {"policy"})["policy"][0]["mend"]
    kill = system.path("doctor.kill")
    with open(kill, "w"):
        killed = policy_of("allow = yes\nkill_file = %s\n" % kill, ())["policy"]
    assert [one["verdict"] for one in killed] == ["warning"] and "rm " + kill == killed[0]["mend"], killed
    os.chmod(operators, 0o666)
    assert "chmod" in policy_of("allow = yes\n", {"operators"})["operators"][0]["mend"]
    os.chmod(operators, 0o644)
    with open(operators, "w") as file:
        file.write("nonsense\n")
    assert "edit " + operators in policy_of("allow = yes\n", {"operators"})["operators"][0]["mend"]


def check_audit(system):
    """A line that was changed is named, on both sides."""
    agent = ("fleetdump-agent", *config_of(system, "web-1"))
    collector = ("fleetdump-collector", "--config", system.path("collector.conf"), "--listen", system.address)
    system.run("capture", "start", "--all", "--no-wait", "--for", "1s", "--name", "noted", "tcp", check=None)
    for program, folder in ((agent, system.path("spool-web-1.audit")), (collector, system.path("store", "audit"))):
        path = os.path.join(folder, "audit.jsonl")
        fleet.wait_until(lambda: os.path.getsize(path), "a line in the audit")
        assert doctor(system, *program, check=())["audit"][0]["verdict"] == "ok"
        with open(path, "r+b") as file:
            first = file.readline()
            file.seek(first.index(b'"event":"') + 9)
            file.write(b"X")
        found = doctor(system, *program, check={"audit"})["audit"][0]
        assert "audit.jsonl, line 1 " in found["found"] and folder + ".evidence" in found["mend"], found
        with open(path, "r+b") as file:
            file.write(first)


def check_audit_of_an_agent(system):
    """An agent that finds its host's audit changed tells the collector."""
    path = system.path("spool-web-1.audit", "audit.jsonl")
    problem = lambda: [a.get("problem", "") for a in system.json("agents") if a["agent"] == "web-1" and a["connected"]]

    assert "audit" not in doctor(system, "fleetdump", check=())
    system.stop_agent("web-1")
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "r+b") as file:
        file.seek(whole.index(b'"event":"') + 9)
        file.write(b"X")
    system.start_agent("web-1")
    fleet.wait_until(lambda: any("audit.jsonl, line 1 " in one for one in problem()), "the list of agents to say it")
    found = doctor(system, "fleetdump", check={"audit"})["audit"][0]
    assert "web-1: the audit in " in found["found"] and "(on web-1:" in found["mend"], found
    system.stop_agent("web-1")
    fleet.wait_until(lambda: any("web-1 is away" in one["found"] for one in doctor(system, "fleetdump", check={"audit"})["agent"]), "it to be away")
    with open(path, "wb") as file:
        file.write(whole)
    system.start_agent("web-1")
    fleet.wait_until(lambda: any("audit" not in one for one in problem()), "it to be well again")
    doctor(system, "fleetdump", check=())


def check_clocks(system):
    """Whose clock is ahead of whose."""
    for hours, words in ((1, "far-1's clock is 1h00m ahead of the collector's"), (-1, "far-1's clock is 1h00m behind the collector's")):
        with wire.Agent(system, "far-1", tls=system.security("far-1")["tls"]) as agent:
            agent.peer.send("Status", json=json.dumps({"clock": {"offset_ns": hours * 3600 * 10**9, "uncertainty_ns": 1}}))
            found = lambda: [one for one in doctor(system, "fleetdump", "--on", "far-1").get("clock", ()) if "far-1" in one["found"]]
            one = fleet.wait_until(lambda: [one for one in found() if one["found"] == words], words)[0]
            assert one["verdict"] == "failure" and one["mend"], one


def check_waiting(system):
    """What is to be captured on a host, and is not, is its problem."""
    why = "far-2's policy.conf, line 1: no such key"
    with wire.Agent(system, "far-2", tls=system.security("far-2")["tls"]) as agent:
        system.run("capture", "start", "--on", "far-2", "--partial", "--no-wait", "--for", "1h", "--name", "waits", "tcp", check=(0, 3))
        fleet.wait_until(lambda: "waits" in agent.running.values(), "it to run")
        identity, = [i for i, name in agent.running.items() if name == "waits"]
        problem = lambda: [a.get("problem") for a in system.json("agents") if a["agent"] == "far-2"]
        assert problem() == [None], problem()
        agent.tell(identity, "waiting", text="for its time to start")
        agent.tell(identity, "waiting", text=why)
        fleet.wait_until(lambda: problem() == ["capture waits waits: " + why], "the list to say it")
        found, = doctor(system, "fleetdump", "--on", "far-2", check=())["problem"]
        assert found["found"].endswith(why) and found["verdict"] == "warning", found
        system.run("capture", "stop", "waits", check=(0, 3))


def check_refused(system):
    """What the collector answered to the shipper is said until it lets the agent in: doctor's own connections would hear nothing of it."""
    folder, config = system.path("tls-web-2"), lambda: ("fleetdump-agent", *config_of(system, "web-2"))
    issue = lambda authority, **more: authority.issue("agent", "web-2", folder, owner=certificates.ship_user(), **more)
    other = certificates.Authority(system.path("other-authority"))

    def expect(words, mend, check):
        found = fleet.wait_until(lambda: [one for one in doctor(system, *config()).get("collector", ()) if words in one["found"]], words)[0]
        assert found["verdict"] == "failure" and mend in found["mend"], found
        assert "collector" in check and doctor(system, *config(), check=check)

    def join_anew(authority, **more):
        issue(authority, **more)
        system.agents["web-2"].send_signal(signal.SIGHUP)  # at once, not after the pause

    system.start_agent("web-2")
    fleet.wait_until(lambda: "web-2" in {a["agent"] for a in system.json("agents") if a["connected"]}, "the agent to connect")
    assert doctor(system, *config(), check=())["collector"][0]["verdict"] == "ok"
    renamed = config_of(system, "web-3", tls=folder, spool=system.path("spool-web-2"))
    assert "agent web-2" in doctor(system, "fleetdump-agent", *renamed, check={"certificate"})["certificate"][-1]["found"]
    join_anew(other, trusted=system.authority)
    expect("it trusts another authority", "admin enroll --name web-2", {"collector", "reach"})
    join_anew(other)
    expect("not of the authority that is trusted here", "admin enroll --name web-2", {"collector", "reach"})
    join_anew(system.authority)
    fleet.wait_until(lambda: doctor(system, *config())["collector"][0]["verdict"] == "ok", "it to be let in")
    system.run("admin", "revoke", "web-2")
    expect("was revoked", "admin enroll --name web-2", {"collector"})
    system.stop_agent("web-2")
    for path in glob.glob(system.path("spool-web-2", "refused-*")):
        with open(path, "wb") as file:  # by a shipper that was taken over
            file.write(b"1 5 -13 \033[2Jall is well\n")
    found = [one["found"] for one in doctor(system, *config())["collector"]]
    assert len(found) == 1 and found[0].endswith("): ?[2Jall is well") and " 1970-" in found[0], found


def check_stopped(system):
    system.stop_agent("web-1")
    doctor(system, "fleetdump-agent", *config_of(system, "web-1"), check={"running"})
    fleet.wait_until(lambda: any("web-1 is away" in one["found"] for one in doctor(system, "fleetdump").get("agent", ())), "the client to see it")
    system.stop_collector()
    doctor(system, "fleetdump-collector", "--config", system.path("collector.conf"), "--listen", system.address, check={"running"})
    doctor(system, "fleetdump", check={"reach", "collector"})


def main():
    with fleet.Fleet(tls=True) as system:
        system.start_agent("web-1")
        fleet.wait_until(lambda: any(a["connected"] for a in system.json("agents")), "the agent to connect")
        check_healthy(system)
        check_broken(system)
        check_secrets(system)
        check_policy(system)
        check_audit(system)
        check_audit_of_an_agent(system)
        check_clocks(system)
        check_waiting(system)
        check_refused(system)
        check_stopped(system)
        table = subprocess.run([os.path.join(fleet.BIN, "fleetdump"), "doctor"], env=dict(system.environment, FLEETDUMP_COLLECTOR=system.address),
                               stdout=subprocess.PIPE, text=True, check=False)
        assert table.returncode == 1 and " -> nc -vz " in table.stdout, table.stdout
    print("doctor: what is healthy and what is broken, as it is")


if __name__ == "__main__":
    sys.exit(main())
