"""Reads pcap and pcapng files, for system tests to compare with: written from the formats' descriptions alone, shares
nothing with fleetdump. Not a test itself.

read(path) gives (interfaces, packets, why the file ends early or None); open_capture(path) a Capture with all there is:
packets and interfaces as below, `damage`, `refused` (a word for the kind of file that is none of these formats, or a
version that nobody knows), and `lost`, what the file itself says it lacks: interface -> [drops of the system, other drops].

What fleetdump documents about capture files is here a second time, to be compared: names (agent/intake.h), times that
do not fit or are missing (common/chunk/pcapng.h, agent/capture/file.h), losses told twice (file.h).
"""

import collections
import os
import re
import struct
import subprocess
import zlib

# limited: the time is another one, which does not fit into 64 bits of nanoseconds since 1970.
Packet = collections.namedtuple("Packet", "time_ns data wire interface limited", defaults=(False,))
Interface = collections.namedtuple("Interface", "link_type snaplen name section description mac speed", defaults=(0, "", None, 0))
Capture = collections.namedtuple("Capture", "interfaces packets damage refused lost")

PACKET_MOST = 262144
NAME_MOST = 255
TIME_MOST = 2**64 - 1
SECTION = b"\x0a\x0d\x0d\x0a"
FOREIGN = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4", b"snoop\0\0\0": "snoop"}


class Damaged(Exception):
    """The file breaks its format; what was read before was good."""


class Refused(Exception):
    """Nothing of it can be read."""


def _gunzip(data):
    """What can be expanded, and why not all."""
    found = b""
    while data[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(31)
        try:
            found += member.decompress(data)
        except zlib.error as why:
            return found, str(why)
        if not member.eof:
            return found, "gzip data end too early"
        data = member.unused_data
    return found, None


def _content(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        return _gunzip(data)
    if data[:4] == b"\x28\xb5\x2f\xfd" or (len(data) > 4 and data[1:4] == b"\x2a\x4d\x18"):
        done = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout, done.stderr.decode(errors="replace") if done.returncode else None
    return data, None


def open_capture(path):
    data, damage = _content(path)
    found = Capture([], [], damage, None, {})
    try:
        (_pcapng if data[:4] == SECTION else _pcap)(data, found)
    except Refused as why:
        return found._replace(refused=str(why))
    except (Damaged, struct.error) as why:
        return found._replace(damage=str(why) or "cut")
    return found


def read(path):
    """(interfaces, packets, why it ended early or None)."""
    found = open_capture(path)
    return found.interfaces, found.packets, found.damage or found.refused


# --- pcap -------------------------------------------------------------------------------------------------------------


def _pcap(data, found):
    for magic, kind in FOREIGN.items():
        if data.startswith(magic):
            raise Refused(kind)
    magics = {0xA1B2C3D4: (1000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1000, 24)}
    for order in "<>":
        magic = struct.unpack(order + "I", data[:4])[0]
        if magic in magics:
            unit, head = magics[magic]
            break
    else:
        raise Refused("no capture file")
    major, minor = struct.unpack(order + "HH", data[4:8])
    if (major, minor) not in {(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (543, 0)}:
        raise Refused("version %d.%d" % (major, minor))
    snaplen, link = struct.unpack(order + "II", data[16:24])
    if link & 0x03FF0000:
        raise Refused("reserved bits")
    found.interfaces.append(Interface(link & 0xFFFF, snaplen, ""))
    at = 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack(order + "IIII", data[at:at + 16])
        at += head
        if (major, minor) != (2, 4) and captured > wire:  # before 2.4 the lengths stood the other way round, or not
            captured, wire = wire, captured
        if captured > PACKET_MOST or len(data) - at < captured:
            raise Damaged("packet of %d bytes at %d" % (captured, at))
        found.packets.append(Packet(seconds * 10**9 + fraction * unit, data[at:at + captured], max(wire, captured), 0))
        at += captured


# --- pcapng -----------------------------------------------------------------------------------------------------------


def _options(order, data):
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack(order + "HH", data[at:at + 4])
        if code == 0:
            return
        if at + 4 + length > len(data):
            raise Damaged("an option of %d bytes" % length)
        yield code, data[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def _number(order, options, code, otherwise=0):
    value = options.get(code, b"")
    return struct.unpack(order + "Q", value)[0] if len(value) == 8 else otherwise


class _Pcapng:
    """What is known while the blocks go by."""

    def __init__(self, found):
        self.found, self.order, self.base, self.section = found, "<", 0, 0
        self.clocks, self.last_ns = [], 0

    def unpack(self, form, data):
        return struct.unpack(self.order + form, data)

    def section_header(self, body, at):
        if len(body) < 16:
            raise Damaged("section header at %d" % at)
        version = self.unpack("HH", body[4:8])
        if version not in {(1, 0), (1, 2)}:
            raise Refused("version %d.%d" % version)
        self.base, self.section = len(self.found.interfaces), self.section + 1

    def interface(self, body, at):
        link, _, snaplen = self.unpack("HHI", body[:8])
        options = dict(_options(self.order, body[8:]))
        resolution = options.get(9, b"\x06")[0]
        offset = self.unpack("q", options[14])[0] if len(options.get(14, b"")) == 8 else 0
        self.clocks.append((2**(resolution & 0x7F) if resolution & 0x80 else 10**resolution, offset))
        mac = options[6] if len(options.get(6, b"")) == 6 else None
        speed = _number(self.order, options, 8)
        self.found.interfaces.append(
            Interface(link, snaplen, _text(options.get(2, b"")), self.section, _text(options.get(3, b"")), mac, speed))

    def number(self, interface, at):
        if interface + self.base >= len(self.found.interfaces):
            raise Damaged("interface of the block at %d" % at)
        return interface + self.base

    def add(self, interface, time_ns, data, wire):
        limited = not 0 <= time_ns <= TIME_MOST
        self.last_ns = min(max(time_ns, 0), TIME_MOST)
        if len(data) > PACKET_MOST:
            raise Damaged("packet of %d bytes" % len(data))
        self.found.packets.append(Packet(self.last_ns, data, max(wire, len(data)), interface, limited))

    def packet(self, body, at, enhanced):
        if enhanced:
            interface, high, low, captured, wire = self.unpack("IIIII", body[:20])
            drops = 0
        else:
            interface, drops, high, low, captured, wire = self.unpack("HHIIII", body[:20])
            drops = 0 if drops == 0xFFFF else drops
        if captured > len(body) - 20:
            raise Damaged("packet block at %d" % at)
        options = dict(_options(self.order, body[20 + (captured + 3) // 4 * 4:]))
        interface = self.number(interface, at)
        per_second, offset = self.clocks[interface]
        drops = _number(self.order, options, 4, drops) if enhanced else drops
        if drops:
            system, other = self.found.lost.get(interface, [0, 0])
            self.found.lost[interface] = [system, other + drops]
        self.add(interface, (high << 32 | low) * 10**9 // per_second + offset * 10**9, body[20:20 + captured], wire)

    def simple_packet(self, body, at):
        wire = self.unpack("I", body[:4])[0]
        interface = self.number(0, at)
        captured = min(wire, len(body) - 4, self.found.interfaces[interface].snaplen or wire)
        self.add(interface, self.last_ns, body[4:4 + captured], wire)

    def statistics(self, body, at):
        """Totals, of which the packets' drops are part."""
        interface = self.number(self.unpack("III", body[:12])[0], at)
        options = dict(_options(self.order, body[12:]))
        system, other = _number(self.order, options, 7), _number(self.order, options, 5)
        told = self.found.lost.get(interface, [0, 0])
        more = system + other - sum(told)
        if more > 0:
            of_system = min(more, max(0, system - told[0]))
            self.found.lost[interface] = [told[0] + of_system, told[1] + more - of_system]


def _pcapng(data, found):
    reader, at = _Pcapng(found), 0
    while at < len(data):
        kind = data[at:at + 4]
        if kind == SECTION:
            magic = data[at + 8:at + 12]
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise Damaged("byte order of the section at %d" % at)
            reader.order = "<" if magic[0] == 0x4D else ">"
        kind, length = reader.unpack("II", data[at:at + 8])
        if length % 4 or length < 12 or at + length > len(data) or reader.unpack("I", data[at + length - 4:at + length])[0] != length:
            raise Damaged("block of %d bytes at %d" % (length, at))
        body = data[at + 8:at + length - 4]
        if kind == 0x0A0D0D0A:
            reader.section_header(body, at)
        elif kind == 1:
            reader.interface(body, at)
        elif kind in (2, 6):
            reader.packet(body, at, kind == 6)
        elif kind == 3:
            reader.simple_packet(body, at)
        elif kind == 5:
            reader.statistics(body, at)
        at += length


# --- Names ------------------------------------------------------------------------------------------------------------


def _text(value):
    """As far as its first zero byte; what is not printable UTF-8 is ?, one a byte."""
    text = value.split(b"\0")[0][:NAME_MOST].decode(errors="surrogateescape")
    clean = lambda c: "?" * len(c.encode(errors="surrogateescape")) if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 else c
    return "".join(map(clean, text))


def base_name(path):
    """What a capture, and an interface without a name, are called after."""
    name = re.sub(r"(?i)(?<=.)\.(gz|zst)$", "", os.path.basename(path))
    return _text(os.fsencode(re.sub(r"(?i)(?<=.)\.(pcapng|pcap|cap|ntar|dmp|dump|trc)$", "", name)))


def names(path, interfaces):
    """Names of the interfaces in the order of their numbers. One of a later section may be one that was there before; others of the same
    name become name#2, name#3, ..."""
    known, result = [], []
    for interface in interfaces:
        name = interface.name or base_name(path)
        alike = (name, interface.description, interface.link_type, interface.snaplen, interface.mac, interface.speed)
        for k in known:
            if k["alike"] == alike and k["section"] != interface.section:
                break
        else:
            taken, unique, n = {k["name"] for k in known}, name, 2
            while unique in taken:
                unique, n = "%s#%d" % (name, n), n + 1
            k = {"alike": alike, "name": unique}
            known.append(k)
        k["section"] = interface.section
        result.append(k["name"])
    return result
