#!/usr/bin/env python3
"""Captures ordered from the collector, with agents played here: what starts, what does not and why, what agents are told when they come and
when things change, what outlives the collector, and answers that wait for what was captured just now."""

import json
import os
import struct
import subprocess
import sys
import time

import fleet
import wire

NOT_FOUND, LIMIT, REFUSED, EXISTS, BUSY, FULL, INCOMPLETE = -8, -6, -13, -9, -10, -11, -17


def until_orders(agent, *names):
    fleet.wait_until(lambda: agent.orders == sorted(names), "%s to be told of %s (it is told of %s)" % (agent.name, names, agent.orders))


def until_phases(client, which, **phases):
    want = {name.replace("_", "-"): phase for name, phase in phases.items()}
    fleet.wait_until(lambda: wire.phases(client.order(which)) == want, "phases %s of %s" % (want, which))


def come_and_go(system, client, name):
    """The collector knows the agent, and that it is away."""
    wire.Agent(system, name).connect().leave()
    until_away(client, name)


def until_away(client, *names):
    connected = lambda: {a["agent"] for a in json.loads(client.query("agents")["data"]) if a["connected"]}
    fleet.wait_until(lambda: not connected() & set(names), "%s to be gone" % (names,))


def remove_all(client):
    """Stops and removes what there is; returns how many."""
    client.command("stop", which="*")
    mine = [o for o in client.orders() if o["capture"] != "baseline"]
    fleet.wait_until(lambda: all(o["state"] == "over" for o in client.orders() if o["capture"] != "baseline"), "all to be over")
    done = client.command("remove", which="*")
    assert not mine or done["code"] == 0, done
    return len(mine)


def audit(system):
    with open(system.path("collector.log")) as log:
        return [line for line in log if " command: " in line]


def start_with_all_yes(system, client):
    with wire.Agent(system, "web-1", ["role=web"]) as web1, wire.Agent(system, "web-2", ["role=web"]) as web2, \
            wire.Agent(system, "db-1", ["role=db"]) as db:
        done = client.command("start", wire.request("http", on=["web-*"]))
        assert done["code"] == 0 and not done["text"], done
        assert {a["agent"]: a["interfaces"] for a in done["manifest"]["agents"]} == {"web-1": ["eth0"], "web-2": ["eth0"]}
        until_phases(client, "http", web_1="running", web_2="running")
        order = client.order("http")
        assert order["state"] == "running" and order["packets"] == 2 and order["id"] == done["manifest"]["id"], order
        assert order["selector"] == "--on 'web-*'" and order["who"] == "tester@here" and order["filter"] == "tcp port 80", order
        done = client.command("start", wire.request("by-label", labels=["role=web", "role=db"], on=["*-1"]))
        until_orders(web1, "http", "by-label")
        until_orders(web2, "http")
        until_orders(db, "by-label")
        assert client.command("stop", which="*")["code"] == 0
        until_orders(web1)
        until_phases(client, "http", web_1="stopped", web_2="stopped")
        assert client.order("http")["state"] == "over"
        fleet.wait_until(lambda: client.order("by-label")["state"] == "over", "the other to be over")
        assert len(client.command("remove", which="*")["manifest"]) == 2
        assert client.orders() == []
    said = audit(system)[-4:]
    for line, words in zip(said, (("start 'http' (", "--on 'web-*', filter 'tcp port 80') by tester@here from 127.0.0.1", "started on 2 of 2 agents"),
                                  ("start 'by-label'", "started on 2 of 2 agents"), ("stop '*' by somebody", "2 captures"), ("remove '*'", "2 captures"))):
        assert all(word in line for word in words), (line, words)


def one_says_no(system, client):
    with wire.Agent(system, "web-1") as web1, wire.Agent(system, "web-2") as web2:
        web2.code, web2.text = NOT_FOUND, "no interface fits eth9"
        until_orders(web1)
        until_orders(web2)
        done = client.command("start", wire.request("http", on=["web-*"]))
        assert done["code"] == NOT_FOUND and "web-2: no interface fits eth9" in done["text"], done
        assert "nothing was started" in done["text"] and "--partial" in done["text"], done
        assert client.orders() == [] and web1.orders == [] and "not-found" in audit(system)[-1]
        done = client.command("start", wire.request("http", on=["web-*"]), partial=True)
        assert done["code"] == 0 and "left out: web-2: no interface fits eth9" in done["text"], done
        until_phases(client, "http", web_1="running", web_2="refused")
        assert web2.orders == []
        done = client.command("start", wire.request("only-web-2", on=["web-2"]), partial=True)
        assert done["code"] == NOT_FOUND, done
    client.command("stop", which="http")


def nobody_matches(system, client):
    done = client.command("start", wire.request("none", on=["mail-*"]), partial=True)
    assert done["code"] == NOT_FOUND and "--on 'mail-*'" in done["text"] and "web-1" in done["text"], done


def away_then_coming(system, client):
    come_and_go(system, client, "web-3")
    done = client.command("start", wire.request("later", on=["web-3", "web-4"]))
    assert done["code"] == 0 and "1 not connected" in done["text"] and "web-3" in done["text"], done
    agent, = client.order("later")["agents"]
    assert agent["phase"] == "pending" and not agent["connected"] and "is not connected since" in agent["text"], agent
    with wire.Agent(system, "web-3"), wire.Agent(system, "web-4"):  # the second one was never heard of
        until_phases(client, "later", web_3="running", web_4="running")
    fleet.wait_until(lambda: not any(a["connected"] for a in client.order("later")["agents"]), "both to be gone")
    assert all("when it was, it ran" in a["text"] for a in client.order("later")["agents"])
    web3 = wire.Agent(system, "web-3")
    web3.running = {bytes.fromhex(client.order("later")["id"]): "later"}  # it went on alone
    client.command("stop", which="later")
    with web3:
        until_orders(web3)
        fleet.wait_until(lambda: wire.phases(client.order("later"))["web-3"] == "stopped", "web-3 to stop what nobody wants any more")


def two_commands_at_once(system, client):
    with wire.Agent(system, "web-1") as web1, wire.Agent(system, "web-2"), wire.Client(system.address) as other:
        web1.code = None
        client.send("Command", kind=wire.COMMANDS["start"], request=wire.request("same", on=["web-1", "web-2"]), wait_ms=3000, partial=True)  # in which web-2 answers
        fleet.wait_until(lambda: "Check" in web1.seen, "the first to be asked")
        done = other.command("start", wire.request("same", on=["web-1"]))
        assert done["code"] == EXISTS and "there is a capture same already" in done["text"], done
        web1.code = 0
        assert other.command("start", wire.request("another", on=["web-1"]))["code"] == 0
        assert client.answer()["code"] == 0
        until_orders(web1, "same", "another")
        assert client.command("stop", which="same", who="someone@else")["code"] == 0
        assert client.order("same")["why"] == "stopped by someone@else"
        assert client.command("stop", which="another")["code"] == 0


def over_before_the_agent_came(system, client):
    come_and_go(system, client, "late-1")
    assert client.command("start", wire.request("short", seconds=3, on=["late-1"]))["code"] == 0
    fleet.wait_until(lambda: client.order("short")["state"] == "over", "the end")
    agent, = client.order("short")["agents"]
    assert agent["phase"] == "missed" and "was not connected before the end" in agent["text"], agent
    with wire.Agent(system, "late-1") as late:
        until_orders(late)
    done = client.command("start", wire.request("past", seconds=-1, on=["late-1"]))
    assert done["code"] != 0 and "would end at" in done["text"], done


def an_agent_that_never_answers(system, client):
    with wire.Agent(system, "web-1") as web1, wire.Agent(system, "web-2") as web2:
        web2.code = None
        done = client.command("start", wire.request("silent", on=["web-*"]), wait_ms=3000)  # in which web-1 does answer
        assert done["code"] != 0 and "web-2 is connected, but did not answer in time" in done["text"], done
        done = client.command("start", wire.request("silent", on=["web-*"]), wait_ms=3000, partial=True)
        assert done["code"] == 0 and "1 did not answer in time: web-2" in done["text"], done
        until_orders(web1, "silent")
        until_orders(web2, "silent")  # it may be slow, and is told all the same
        client.command("stop", which="silent")


def limits(system, client):
    with wire.Agent(system, "busy-1") as busy:
        for n in range(64):
            done = client.command("start", wire.request("busy-%02d" % n, on=["busy-1"]))
            assert done["code"] == 0, done
        done = client.command("start", wire.request("one-more", on=["busy-1"]))
        assert done["code"] == LIMIT and "busy-1: it has 64 captures already" in done["text"], done
        fleet.wait_until(lambda: len(busy.orders) == 64, "64 captures")
        client.command("stop", which="busy-*")
        assert client.command("start", wire.request("one-more", on=["busy-1"]))["code"] == 0
        until_orders(busy, "one-more")
    done = client.command("start", wire.request("long", on=["x" * 200 + str(n) for n in range(100)]))
    assert done["code"] == LIMIT and "by patterns" in done["text"], done
    assert remove_all(client) > 64


def names_of_stored_streams(system, client):
    with open(system.path("a.pcap"), "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + struct.pack("<IIII", 1_700_000_000, 0, 20, 20) + bytes(20))
    system.read("file-1", system.path("a.pcap"), capture="monday-files")
    done = client.command("start", wire.request("monday-files"))
    assert done["code"] == EXISTS and "stored already" in done["text"], done


def a_restart_in_the_middle(system, client):
    web1 = wire.Agent(system, "web-1").connect()
    assert client.command("start", wire.request("standing", seconds=0, on=["web-*"]))["code"] == 0
    assert client.command("start", wire.request("ended", on=["web-1"]))["code"] == 0
    until_orders(web1, "standing", "ended")
    client.command("stop", which="ended")
    until_phases(client, "ended", web_1="stopped")
    before = {o["capture"]: (o["id"], o["state"]) for o in client.orders()}
    for how in (15, 9):
        system.stop_collector(how)
        web1.leave()
        system.start_collector()
        with wire.Client(system.address) as new:
            after = {o["capture"]: (o["id"], o["state"]) for o in new.orders()}
            assert after == before, (after, before)
            assert wire.phases(new.order("standing"))["web-1"] == "running"
            web1.connect()
            until_orders(web1, "standing")
            fleet.wait_until(lambda: [a["connected"] for a in new.order("standing")["agents"] if a["agent"] == "web-1"] == [True], "web-1")
            assert list(web1.running.values()) == ["standing"]  # nothing was started anew
    with wire.Client(system.address) as new:
        new.command("stop", which="standing")
        until_orders(web1)
        remove_all(new)
    web1.leave()


def a_disk_that_takes_nothing(system, _):
    system.stop_collector()
    system.start_collector(environment={"FLEETDUMP_FAULT": "orders.keep:ENOSPC:1"})
    with wire.Client(system.address) as client, wire.Agent(system, "web-1") as web1:
        done = client.command("start", wire.request("full", on=["web-1"]))
        if done["code"] == 0:
            print("(built without fault points)", end=" ")
            return
        assert done["code"] == FULL and "nothing was started" in done["text"], done
        assert client.orders() == [] and web1.orders == []
        assert client.command("start", wire.request("full", on=["web-1"]))["code"] == 0
        until_orders(web1, "full")
        remove_all(client)


def the_baseline(system, _):
    system.config["baseline"] = "yes"
    system.stop_collector()
    system.start_collector()
    with wire.Client(system.address) as client, wire.Agent(system, "web-1") as web1, wire.Agent(system, "fresh-1") as fresh:
        until_orders(web1, "baseline")
        until_orders(fresh, "baseline")
        order = client.order("baseline")
        assert order["keep"] == "flows" and order["end"] is None and order["selector"] == "-A", order
        assert client.command("stop", which="baseline")["code"] == REFUSED
    system.config["baseline"] = "no"
    system.stop_collector()
    system.start_collector()
    with wire.Client(system.address) as client, wire.Agent(system, "web-1") as web1:
        until_orders(web1)
        order = client.order("baseline")
        assert order["ended"] and "configuration" in order["why"], order


def stream_of(system):
    """Head and body of the first chunk of a stream of web-1, capture monday: one packet of long ago."""
    packet = bytes(60)
    blocks = ((0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)), (1, struct.pack("<HHI", 1, 0, 262144)),
              (6, struct.pack("<IIIII", 0, 0, 1000, len(packet), len(packet)) + packet))
    with open(system.path("one.pcapng"), "wb") as file:
        for kind, body in blocks:
            file.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))
    tool = os.path.join(fleet.BIN, "chunk_tool")
    subprocess.run([tool, "pack", system.path("one.pcapng"), system.path("body"), system.path("head")], check=True)
    with open(system.path("head"), "rb") as head, open(system.path("body"), "rb") as body:
        return head.read(), body.read()


def answers_wait_for_what_was_captured_just_now(system, _):
    head, body = stream_of(system)
    epoch = bytes([0xFE, 1, 2, 3]) + bytes(12)
    with wire.Client(system.address) as client, wire.Agent(system, "web-1") as web1:
        assert client.command("start", wire.request("monday", on=["web-1"]))["code"] == 0
        until_phases(client, "monday", web_1="running")
        with wire.Peer(system.address, "data", "web-1") as data:
            data.send("Stream", epoch=epoch, capture="monday")
            assert data.receive()[0] == "StreamState"
            for part, content in ((1, head), (2, body)):
                data.send("Piece", epoch=epoch, seq=0, part=part, total=len(content), offset=0, data=content)
                name, message = data.receive()
                assert name == "Ack", (name, message)
            assert (message["head_next"], message["body_next"]) == (1, 1), message
        done = client.query("pull", capture="monday", fresh_ms=5000)
        assert done["code"] == 0 and web1.seen.count("Flush") == 1, (done, web1.seen)
        done = client.query("flows", capture="monday")
        assert done["code"] == INCOMPLETE and "web-1: was not asked" in done["text"], done
        web1.flushes = False
        begun = time.monotonic()
        done = client.query("pull", capture="monday", fresh_ms=300)
        assert done["code"] == INCOMPLETE and "web-1: did not hand over what it captured within 300 ms" in done["text"], done
        assert time.monotonic() - begun >= 0.3
        agent, = done["manifest"]["agents"]
        assert agent["open_streams"] == 1 and not agent["complete"] and "did not hand over" in agent["reaches_no_further"], agent
    with wire.Client(system.address) as client:
        until_away(client, "web-1")
        done = client.query("pull", capture="monday", fresh_ms=5000)
        assert done["code"] == INCOMPLETE and "web-1: is not connected since" in done["text"], done
        remove_all(client)


def clocks(system, _):
    with wire.Peer(system.address, "control", "clock-1") as peer:
        assert peer.receive()[0] == "Orders"
        before = time.time_ns()
        peer.send("Clock", sent_ns=before)
        name, clock = peer.receive()
        assert name == "Clock" and clock["sent_ns"] == before <= clock["received_ns"] <= clock["replied_ns"] <= time.time_ns(), clock
        peer.send("Status", json='{"clock": {"offset_ns": 312000, "uncertainty_ns": 120000}}')
        peer.send("Clock", sent_ns=1)
        peer.receive()
        fleet.wait_until(lambda: "+0.3 ms ± 0.1 ms" in system.run("agents").stdout, "the clock's offset")
        mine, = [a for a in system.json("agents", "--columns", "agent,connected,clock_offset,clock_uncertainty") if a["agent"] == "clock-1"]
        assert mine == {"agent": "clock-1", "connected": True, "clock_offset": 312000, "clock_uncertainty": 120000}, mine
    fleet.wait_until(lambda: not [a for a in system.json("agents") if a["agent"] == "clock-1"][0]["connected"], "it to be gone")


def what_breaks_the_rules(system, _):
    with wire.Client(system.address) as client:
        client.send("Clock", sent_ns=1)
        assert client.receive()[0] == "Refuse"
    with wire.Peer(system.address, "control", "web-1") as peer:
        peer.receive()
        peer.send("Query", kind=1)
        name, message = peer.receive()
        assert name == "Refuse" and "does not send" in message["text"], message
    with wire.Peer(system.address, "data", "web-1") as peer:
        peer.send("CaptureState", id=bytes(16), phase=4)
        assert peer.receive()[0] == "Refuse"
    system.run("status")


STORIES = (start_with_all_yes, one_says_no, nobody_matches, away_then_coming, two_commands_at_once, over_before_the_agent_came,
           an_agent_that_never_answers, limits, names_of_stored_streams, a_restart_in_the_middle, the_baseline,
           answers_wait_for_what_was_captured_just_now, clocks, what_breaks_the_rules, a_disk_that_takes_nothing)


def main():
    with fleet.Fleet() as system:
        for story in STORIES:
            with wire.Client(system.address) as client:
                story(system, client)
            print(story.__name__.replace("_", " ") + ": right", flush=True)


if __name__ == "__main__":
    sys.exit(main())
