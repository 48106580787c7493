#!/usr/bin/env python3
# timeout: 300
"""Who is the client of connections that are older than the capture: on the host whose socket listens that is known, whatever the ports are."""

import subprocess
import sys

import fleet
import lab

SERVER = """
import socket, sys
ends = [socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        for address, port in zip(sys.argv[1::2], sys.argv[2::2])]
print("listening", flush=True)
connections = [end.accept()[0] for end in ends]
while any([connection.send(connection.recv(100)) for connection in connections]):
    pass
"""
CLIENT = """
import socket, sys
connections = [socket.create_connection((address, int(port)), source_address=("", int(own)))
               for address, port, own in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3])]
print("connected", flush=True)
for line in sys.stdin:
    for connection in connections:
        connection.sendall(b"once more")
        connection.recv(100)
    print("said", flush=True)
"""
PORTS = ((50001, 2001), (50002, 443))  # the server's, the client's: by ports alone both would be taken for the wrong way round


def python(system, host, program, *arguments):
    return subprocess.Popen(system.inside(host) + ["python3", "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def by_agent(system):
    """How each agent knows the originator of each connection: {agent: {(client's port, server's port, how)}}."""
    found = {}
    for flow in system.json("flows", "tcp and portrange 50001-50002", "--capture", "older", "--fresh", "10s"):
        found.setdefault(flow["agent"], set()).add((flow["orig_port"], flow["resp_port"], flow["originator_by"]))
    return found


def main():
    with lab.Lab("web-1", "client") as system:
        system.start_agents("web-1", "client")
        addresses = system.ip("web-1"), system.ip6("web-1")
        server = python(system, "web-1", SERVER, "0.0.0.0", str(PORTS[0][0]), addresses[1], str(PORTS[1][0]))
        client = None
        try:
            assert server.stdout.readline() == "listening\n"
            client = python(system, "client", CLIENT, *(str(word) for address, ports in zip(addresses, PORTS) for word in (address, *ports)))
            assert client.stdout.readline() == "connected\n"
            system.run("capture", "start", "-A", "--for", "5m", "--name", "older", "--no-wait")
            fleet.wait_until(lambda: system.running("older", 2), "both to capture")
            client.stdin.write("now\n")
            client.stdin.flush()
            assert client.stdout.readline() == "said\n"
            fleet.wait_until(lambda: {agent: len(flows) for agent, flows in by_agent(system).items()} == {"web-1": 2, "client": 2}, "the flows")
            found = by_agent(system)
            assert found["web-1"] == {(2001, 50001, "listening"), (443, 50002, "listening")}, found
            assert found["client"] == {(50001, 2001, "lower-port"), (50002, 443, "known-port")}, found  # no socket of its own says more
        finally:
            for process in (client, server):
                if process:
                    process.kill()
                    process.communicate()


if __name__ == "__main__":
    sys.exit(main())
