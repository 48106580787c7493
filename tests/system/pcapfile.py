"""Reads pcap and pcapng files, for system tests to compare with: written from the formats' descriptions alone, shares
nothing with fleetdump. Not a test itself.

packets(path) gives Packet(time_ns, captured bytes, wire length, interface number) in the file's order; interfaces(path)
gives Interface(link type, snaplen, name).
"""

import collections
import gzip
import struct
import subprocess

Packet = collections.namedtuple("Packet", "time_ns data wire interface")
Interface = collections.namedtuple("Interface", "link_type snaplen name")


class Damaged(Exception):
    """The file breaks its format; `packets` before it were good."""


def content(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd" or (len(data) > 4 and data[1:4] == b"\x2a\x4d\x18"):
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return data


def read(path):
    """(interfaces, packets, why it ended early or None)."""
    data = content(path)
    reader = _pcapng if data[:4] == b"\x0a\x0d\x0d\x0a" else _pcap
    interfaces, found = [], []
    try:
        reader(data, interfaces, found)
    except (Damaged, struct.error) as why:
        return interfaces, found, str(why) or "cut"
    return interfaces, found, None


def _pcap(data, interfaces, found):
    magics = {0xA1B2C3D4: (1000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1000, 24)}
    for order in "<>":
        magic = struct.unpack(order + "I", data[:4])[0]
        if magic in magics:
            unit, head = magics[magic]
            break
    else:
        raise Damaged("no pcap file")
    snaplen, link = struct.unpack(order + "II", data[16:24])
    interfaces.append(Interface(link & 0xFFFF, snaplen, ""))
    at = 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack(order + "IIII", data[at:at + 16])
        at += head
        if captured > 262144 or len(data) - at < captured:
            raise Damaged("packet of %d bytes at %d" % (captured, at))
        found.append(Packet(seconds * 10**9 + fraction * unit, data[at:at + captured], max(wire, captured), 0))
        at += captured


def _options(order, data):
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack(order + "HH", data[at:at + 4])
        if code == 0:
            return
        yield code, data[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def _pcapng(data, interfaces, found):
    at, base, order, units = 0, 0, "<", []
    while at < len(data):
        kind = data[at:at + 4]
        if kind == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            base = len(interfaces)
        kind, length = struct.unpack(order + "II", data[at:at + 8])
        if length % 4 or length < 12 or at + length > len(data) or struct.unpack(order + "I", data[at + length - 4:at + length])[0] != length:
            raise Damaged("block of %d bytes at %d" % (length, at))
        body = data[at + 8:at + length - 4]
        if kind == 1:
            link, _, snaplen = struct.unpack(order + "HHI", body[:8])
            options = dict(_options(order, body[8:]))
            resolution = options.get(9, b"\x06")[0]
            offset = struct.unpack(order + "q", options[14])[0] if len(options.get(14, b"")) == 8 else 0
            units.append(((2**(resolution & 0x7F)) if resolution & 0x80 else 10**resolution, offset))
            interfaces.append(Interface(link, snaplen, options.get(2, b"").decode(errors="replace")))
        elif kind in (2, 6):
            if kind == 6:
                interface, high, low, captured, wire = struct.unpack(order + "IIIII", body[:20])
            else:
                interface, _, high, low, captured, wire = struct.unpack(order + "HHIIII", body[:20])
            if interface + base >= len(interfaces) or captured > len(body) - 20:
                raise Damaged("packet block at %d" % at)
            per_second, offset = units[base + interface]
            time_ns = (high << 32 | low) * 10**9 // per_second + offset * 10**9
            found.append(Packet(time_ns, body[20:20 + captured], max(wire, captured), base + interface))
        elif kind == 3:
            wire = struct.unpack(order + "I", body[:4])[0]
            if base >= len(interfaces):
                raise Damaged("packet block at %d" % at)
            snaplen = interfaces[base].snaplen
            captured = min(wire, len(body) - 4, snaplen or wire)
            found.append(Packet(0, body[4:4 + captured], wire, base))
        at += length
