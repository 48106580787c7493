"""Network namespaces of a test's own, gone with it. Not a test itself.

with Net() as net:
    a, b = net.space(), net.space()
    net.veth(a, "eth0", "10.0.0.1/24", b, "eth0", "10.0.0.2/24")
    a.run("ip", "link", "show")
    a.call(function, ...)           # in a child process, inside
    frames.send(...)                # see the functions below
"""

import ctypes
import os
import pickle
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from fleet import BIN, WAIT_S, skip, wait_until

CLONE_NEWNET = 0x40000000

# IPv6 is off in the kernel, so that it says nothing by itself; frames of it are sent as they are.
HOLD = ("mount -t sysfs sysfs /sys && for i in all default lo; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done; "
        "ip link set lo up && echo && exec cat")


def need(*programs):
    """Skips the test without root or one of the programs."""
    if os.geteuid() != 0:
        skip("needs root, for network namespaces")
    for program in ("ip", "unshare", "nsenter", *programs):
        if not shutil.which(program):
            skip(program + " is not installed")


class Space:
    """A network namespace with its own /sys: held by a process that ends with this one."""

    def __init__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", HOLD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.holder.stdout.readline():
            skip("no network namespaces here")
        self.processes = []  # what popen started ends with the space at the latest
        self.enter = ["nsenter", "--target", str(self.holder.pid), "--net", "--mount"]

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_S)
        self.holder.stdin.close()
        self.holder.wait(WAIT_S)
        self.holder.stdout.close()

    def run(self, *command, check=True, **more):
        return subprocess.run(self.enter + list(command), check=check, **more)

    def popen(self, *command, **more):
        self.processes.append(subprocess.Popen(self.enter + list(command), **more))
        return self.processes[-1]

    def until_it_sends(self, name):
        """The kernel notices some time after it that the other end of a link has come up, and drops what is sent before."""
        wait_until(lambda: self.run("cat", "/sys/class/net/%s/operstate" % name, stdout=subprocess.PIPE).stdout == b"up\n", name + " to have a carrier")
        self.run("ip", "link", "set", name, "up")  # changes nothing, but comes behind what the kernel does with its lock

    def call(self, function, *arguments):
        """What function(*arguments) returns, run in a child process inside."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with open("/proc/%d/ns/net" % self.holder.pid) as ns:
                    if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(function(*arguments), pipe)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read()
        if os.waitpid(child, 0)[1] != 0:
            raise AssertionError("%s failed in the namespace" % function.__name__)
        return pickle.loads(answer)


class Net:
    def __init__(self):
        self.spaces = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for space in self.spaces:
            space.close()

    def space(self):
        self.spaces.append(Space())
        return self.spaces[-1]

    def veth(self, a, a_name, a_address, b, b_name, b_address):
        """A link between two spaces, both ends up, without offloads that make frames larger than the link."""
        a.run("ip", "link", "add", a_name, "type", "veth", "peer", "name", b_name, "netns", str(b.holder.pid))
        for space, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
            if address:
                space.run("ip", "address", "add", address, "dev", name)
            space.run("ip", "link", "set", name, "up")
        for space, name in ((a, a_name), (b, b_name)):
            space.until_it_sends(name)


# ---------------------------------------------------------------- frames

BROADCAST = b"\xff" * 6


def mac(n):
    return bytes((2, 0, 0, 0, 0, n))


def ethernet(payload, ethertype=0x0800, source=mac(1), target=mac(2), tags=()):
    """tags: (tpid, id), the outermost first."""
    head = target + source
    for tpid, number in tags:
        head += struct.pack(">HH", tpid, number)
    return head + struct.pack(">H", ethertype) + payload


def ip4(payload, proto, source="10.9.0.1", target="10.9.0.2", identification=1, offset=0, more=False):
    fragment = offset // 8 | (0x2000 if more else 0)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, fragment, 64, proto, 0,
                       socket.inet_aton(source), socket.inet_aton(target)) + payload


def ip6(payload, following, source="fd09::1", target="fd09::2"):
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), following, 64, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, target)) + payload


def fragment6(payload, following, offset, more, identification):
    return struct.pack(">BBHI", following, 0, offset | more, identification) + payload


def udp(payload, source, target, length=None):
    return struct.pack(">HHHH", source, target, length or 8 + len(payload), 0) + payload


def tcp(payload, source, target, flags=0x10, seq=1, ack=1):
    return struct.pack(">HHIIBBHHH", source, target, seq, ack, 0x50, flags, 8192, 0, 0) + payload


def icmp(kind, code, rest, quoted=b""):
    return struct.pack(">BBHI", kind, code, 0, rest) + quoted


def send_frames(interface, frames, pause_s=0.0):
    """For Space.call: puts frames on the interface as they are, all from one processor: else one may overtake another."""
    os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((interface, 0))
        for frame in frames:
            s.send(frame.ljust(14, b"\0"))
            if pause_s:
                time.sleep(pause_s)
    return len(frames)


def tell(stories):
    """Runs stories, each with a network of its own and a folder of all: those named on the command line, or all."""
    folder = tempfile.mkdtemp(prefix="fleetdump-test.")
    try:
        for story in [s for s in stories if s.__name__ in (sys.argv[1:] or s.__name__)]:
            start = time.monotonic()
            with Net() as net:
                story(net, folder)
            print("%s: %.1f s" % (story.__name__, time.monotonic() - start))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
