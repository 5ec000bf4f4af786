"""An independent reader of .etl files, for tests only: written from the format notes (docs/etl-format.md), shares no code with the product.

read(path) -> Etl: header facts, buffers, records. Understands 32- and 64-bit files and XPRESS-compressed ones.
"""
import struct

KINDS = {0x01: "SYSTEM32", 0x02: "SYSTEM64", 0x03: "COMPACT32", 0x04: "COMPACT64", 0x10: "PERFINFO32", 0x11: "PERFINFO64", 0x0A: "FULL32",
         0x14: "FULL64", 0x0B: "INSTANCE32", 0x15: "INSTANCE64", 0x0D: "ERROR", 0x12: "EVENT32", 0x13: "EVENT64"}


def u16(b, o):
    return b[o] | b[o + 1] << 8


def u32(b, o):
    return struct.unpack_from("<I", b, o)[0]


def u64(b, o):
    return struct.unpack_from("<Q", b, o)[0]


def unpack(src):
    """Plain LZ77 of MS-XCA: 32 flags at a time, literals and matches."""
    out = bytearray()
    at = flags = left = half = 0
    while True:
        if left == 0:
            if at + 4 > len(src):
                return bytes(out)
            flags, left, at = u32(src, at), 32, at + 4
        left -= 1
        if at >= len(src):
            return bytes(out)
        if not flags >> left & 1:
            out.append(src[at])
            at += 1
            continue
        word, at = u16(src, at), at + 2
        length, back = word & 7, (word >> 3) + 1
        if length == 7:
            if half:
                length, half = src[half] >> 4, 0
            else:
                length, half, at = src[at] & 15, at, at + 1
            if length == 15:
                length, at = src[at], at + 1
                if length == 255:
                    length, at = u16(src, at), at + 2
                    if length == 0:
                        length, at = u32(src, at), at + 4
                    length -= 22
                length += 15
            length += 7
        for _ in range(length + 3):
            out.append(out[-back])


class Record:
    __slots__ = ("off", "size", "kind", "ts", "bytes")

    def __init__(self, off, size, kind, ts, data):
        self.off, self.size, self.kind, self.ts, self.bytes = off, size, kind, ts, data


def records(b, end):
    """The records of one unpacked buffer, up to `end`."""
    at = 0x48
    while at + 8 <= end:
        mark = b[at + 3]
        if mark == 0x90:
            size, flags, kind, ts = u16(b, at), u16(b, at + 6), "MESSAGE", None
            if flags & 8:
                pos = at + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 16 if flags & 2 else 0)
                ts = u64(b, pos)
        elif mark == 0xC0 and b[at + 2] in KINDS:
            kind = KINDS[b[at + 2]]
            short = kind[:4] in ("SYST", "COMP", "PERF")
            size = u16(b, at + 4 if short else at)
            ts = u64(b, at + (8 if kind.startswith("PERF") else 16))
        else:
            return
        if size < 8 or at + size > end:
            return
        yield Record(at, size, kind, ts, bytes(b[at:at + size]))
        at += size + 7 & ~7


class Etl:
    pass


def read(path):
    data = open(path, "rb").read()
    f = Etl()
    first = u32(data, 0)
    wide = u32(data, 0x68 + 0x2C) == 8
    h = 0x68
    f.buffer_size, f.provider_version, f.cpus = u32(data, h), u32(data, h + 8), u32(data, h + 0xC)
    f.end_time, f.mode, f.written, f.pointer = u64(data, h + 0x10), u32(data, h + 0x20), u32(data, h + 0x24), u32(data, h + 0x2C)
    f.lost, f.mhz, f.t0 = u32(data, h + 0x30), u32(data, h + 0x34), u64(data, 0x58)
    f.zone = data[h + (0x48 if wide else 0x40):][:0xAC]
    f.boot, f.freq, f.start, f.clock, f.buffers_lost = struct.unpack_from("<qqqII", data, h + (0xF8 if wide else 0xF0))
    rec = u16(data, 0x48 + 4)
    names = data[h + (0x118 if wide else 0x110):0x48 + rec].decode("utf-16-le", "surrogatepass").split("\0")
    f.name, f.file = names[0], names[1] if len(names) > 1 else ""
    packed = bool(f.mode & 0x4000000)
    f.buffers = []
    off = 0
    while off + 0x48 <= len(data):
        size = first if off == 0 else u32(data, off) if packed else f.buffer_size
        if size < 0x48:
            break
        raw = data[off:off + size]
        flag = u16(raw, 0x34)
        if packed and off and flag & 0x40:
            raw = raw[:0x48] + unpack(raw[0x48:])
        end = max(u32(raw, 0x30), u32(raw, 4) if off == 0 and u32(raw, 4) <= size else 0)
        b = Etl()
        b.off, b.flag, b.type, b.offset, b.saved, b.current = off, flag, u16(raw, 0x36), u32(raw, 0x30), u32(raw, 4), u32(raw, 8)
        b.ts, b.seq, b.state, b.logger = u64(raw, 0x10), u64(raw, 0x18), u32(raw, 0x2C), u16(raw, 0x2A)
        b.pointers = raw[0x20:0x28] + raw[0x38:0x48]
        b.cpu = u16(raw, 0x28) if flag & 0x20 else raw[0x28]
        b.fill = raw[end:]
        b.records = list(records(raw, min(end, len(raw))))
        f.buffers.append(b)
        off += size
    f.size = len(data)
    return f


def time(f, ts):
    """Raw clock value -> FILETIME, floor."""
    if f.clock == 2:
        return ts
    d = ts - f.t0
    if d >= 1 << 63:
        d -= 1 << 64
    return f.start + (d * 10 // f.mhz if f.clock == 3 else d * 10000000 // f.freq)
