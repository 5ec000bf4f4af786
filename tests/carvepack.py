#!/usr/bin/env python3
"""Packed buffers in a memory that is no machine: carvepack.py ETLIFT SCRATCH [SEED]

Compressed .etl files in the cache and rows of compressed sessions, by a writer of its own (docs/etl-format.md section 8, docs/live-buffers.md): buffers begin at any
address, headers and streams lie across the edges of pages. Whole: every record comes back, marked as unpacked. Each page in turn lost (zeros), taken
(noise) or exchanged (another page of packed bytes): every buffer that does not touch it comes back, and no record that was not there. Headers that break
one rule each: nothing comes back, and from their sound twin all does.
"""
import collections
import json
import os
import random
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "lib")]
import carvemix  # noqa: E402
import refetl  # noqa: E402

PAGE, HDR, SIZE = 4096, 0x48, 16384
bad = 0


def say(*a):
    global bad
    bad += 1
    if bad < 20:
        print(*a)


def pack(src):
    """Plain LZ77 of MS-XCA, greedy; matches of 3 to 9 bytes and longer ones, whose lengths go on."""
    out, last, at, flags, bits, mark, half = bytearray(4), {}, 0, 0, 0, 0, None
    while at < len(src):
        key = bytes(src[at:at + 3])
        back = at - last[key] if len(key) == 3 and key in last else 0
        n = 0
        if 0 < back <= 8192:
            while at + n < len(src) and n < 2000 and src[at + n] == src[at - back + n]:
                n += 1
        if n < 3:
            out.append(src[at])
            n = 1
        else:
            flags |= 1 << 31 - bits
            more = n - 3
            out += struct.pack("<H", back - 1 << 3 | min(more, 7))
            if more >= 7:
                more -= 7
                if half is None:
                    half = len(out)
                    out.append(min(more, 15))
                else:
                    out[half] |= min(more, 15) << 4
                    half = None
                if more >= 15:
                    more -= 15
                    out.append(min(more, 255))
                    if more >= 255:
                        out += struct.pack("<H", more + 15 + 7)
        for k in range(at, at + n):
            last[bytes(src[k:k + 3])] = k
        at += n
        bits += 1
        if bits == 32:
            struct.pack_into("<I", out, mark, flags)
            flags, bits, mark = 0, 0, len(out)
            out += bytes(4)
    if bits:
        struct.pack_into("<I", out, mark, flags | (1 << 32 - bits) - 1)
    else:
        del out[mark:]
    return bytes(out)


class Packed:
    def __init__(self, rng, ident, clock, row, n, lie=None, seq=None):
        self.ident, self.row, self.records = ident, row, []
        body = bytearray()
        for _ in range(n):
            r = carvemix.record(rng, rng.choice((0x13, 0x14, 0x90, 2)), clock.next(), 200)
            self.records.append(r)
            body += r.ljust(len(r) + 7 & ~7, b"\0")
        stream, end = pack(bytes(body)), HDR + len(body)
        assert refetl.unpack(stream) == bytes(body)
        f = dict(size=HDR + len(stream), saved=end, current=end if row else end + SIZE, ref=0, ts=clock.t + 9, seq=rng.randrange(1, 99), cpu=rng.randrange(4),
                 id=ident, state=3, offset=rng.randrange(HDR, SIZE) if row else end, flag=0 if row else 0x60, type=0)
        f["seq"] = seq or f["seq"]
        if lie in f:
            f[lie] = {"size": HDR + len(body) * 2, "saved": end + 8, "current": end + 8, "ref": 1, "ts": 1 << 62, "seq": 1 << 48, "id": 0x4001, "state": 7,
                      "offset": end + 8, "flag": 0x8060 if not row else 0x8000, "type": 1}[lie]
        if lie == "short":
            stream = stream[:-6]
            f["size"] -= 6
        if lie == "long":
            f["saved"] = f["current"] = end - 8
            f["offset"] = end - 8
        if lie == "time":  # the records go back in time
            body[:] = b""
            for r in reversed(self.records):
                body += r.ljust(len(r) + 7 & ~7, b"\0")
            stream = pack(bytes(body))
            f["size"] = HDR + len(stream)
        self.raw = struct.pack("<IIIiQQQHHIIHHQQ", f["size"], f["saved"], f["current"], f["ref"], f["ts"], f["seq"], 0, f["cpu"], f["id"], f["state"], f["offset"],
                               f["flag"], f["type"], 0xFFFFE00000005038, 0xFFFFE00000009038) + stream


def header_buffer(ident, t0):
    """A compressed file's first buffer, trimmed."""
    names = "Packed\0C:\\packed.etl\0".encode("utf-16-le")
    h = bytearray(0x118)
    struct.pack_into("<IBBBBIIQIIIIIIII", h, 0, SIZE, 10, 0, 2, 0, 19041, 4, 0, 156250, 0, 0x4000001, 9, 1, 8, 0, 3000)
    struct.pack_into("<qqqII", h, 0xF8, carvemix.NOW - 10**12, 10**7, carvemix.NOW - 10**11, 1, 0)
    rec = struct.pack("<HBBHHIIQII", 2, 2, 0xC0, 0x20 + len(h) + len(names), 0, 4, 8, t0, 0, 0) + bytes(h) + names
    end = HDR + len(rec)
    head = struct.pack("<IIIiQQQHHIIHHQQ", 0x200, end, end, 0, 0, 0, 0, 0, ident, 3, end, 0x21, 4, 0, 0)
    return (head + rec).ljust(0x200, b"\xff")


def carve(etlift, scratch, memory):
    """Counter of records, rows of the report."""
    image, out = os.path.join(scratch, "pack.raw"), os.path.join(scratch, "pack")
    with open(image, "wb") as f:
        f.write(memory)
    shutil.rmtree(out, ignore_errors=True)
    rc = subprocess.run([etlift, "carve", "-q", "-j", "1", "--no-residual", image, "-o", out], stderr=subprocess.PIPE)
    if rc.returncode not in (0, 4):
        say("carve ends with", rc.returncode, rc.stderr)
    rep, have = json.load(open(out + "/report.json")), collections.Counter()
    for o in rep["orphans"]:
        if o["etl"]:
            have.update(r.bytes for b in refetl.read(os.path.join(out, o["etl"]["path"])).buffers[1:] for r in b.records)
    return have, rep["orphans"]


def scene(rng):
    """(memory, [(first byte, Packed)])"""
    mem, where = bytearray(bytes(PAGE) + b"".join(carvemix.noise(rng) for _ in range(40))), []

    def put(head, items):
        mem.extend(head)
        for b in items:
            where.append((len(mem), b))
            mem.extend(b.raw)
        mem.extend(bytes(-len(mem) % PAGE))
        mem.extend(b"".join(carvemix.noise(rng) for _ in range(rng.randrange(1, 3))))

    clock = carvemix.Clock(rng)
    put(header_buffer(11, clock.t - 1), [Packed(rng, 11, clock, False, rng.randrange(1, 60), seq=i + 1) for i in range(14)])
    clock = carvemix.Clock(rng, True)
    put(b"", [Packed(rng, 12, clock, False, rng.randrange(20, 70)) for _ in range(6)])
    for ident in (13, 14 | 0x8000):
        clock = carvemix.Clock(rng)
        subs = [Packed(rng, ident, clock, True, rng.randrange(1, 50)) for _ in range(6)]
        at = HDR + sum(len(b.raw) for b in subs)
        put(struct.pack("<IIIiQQQHHIIHHQQ", 1 << 16, 0, at, 0, 0, 0, 0, 0, ident, 5, 0, 0, 0, 0, 0), subs)
    return bytes(mem), where


def judge(what, have, where, lost=()):
    """lost: pages that are not what they were."""
    known = {r for _, b in where for r in b.records}
    for at, b in where:
        if not any(p in lost for p in range(at // PAGE, (at + len(b.raw) - 1) // PAGE + 1)):
            gone = sum(r not in have for r in b.records)
            if gone:
                say("%s: the buffer at %#x: %d of %d records are missing" % (what, at, gone, len(b.records)))
    extra = sum(n for r, n in have.items() if r not in known) + sum(n - 1 for n in have.values() if n > 1)
    if extra:
        say("%s: %d records that should not be there" % (what, extra))


def bombs(rng, etlift, scratch, mem, where):
    """Rows of streams that take a few bytes and claim to make 16 MB, before all others: those come back all the same."""
    clock, rows, own = carvemix.Clock(rng), bytearray(), set()
    for n in range(400):
        r = carvemix.record(rng, 0x13, clock.t, 40)
        own.add(r)
        r = r.ljust(len(r) + 7 & ~7, b"\0")
        stream, left = bytearray(), 50 * len(r)
        for at in range(0, len(r) + 1, 32):  # one record, the same 50 times, and zeros
            more = r[at:at + 32]
            stream += struct.pack("<I", 0 if len(more) == 32 else (1 << 32 - len(more)) - 1) + more
        stream += struct.pack("<HBBHI", len(r) - 1 << 3 | 7, 255, 255, 0, left - 3)
        end = 1 << 24
        stream += struct.pack("<HBHI", 7, 255, 0, end - HDR - len(r) - left - 3)  # the half byte is used up by both
        rows += struct.pack("<IIIiQQQHHIIHHQQ", HDR + len(stream), end, end, 0, clock.t, n + 1, 0, 0, 21, 3, end, 0x60, 0, 0, 0) + stream
    rows += bytes(-len(rows) % PAGE)
    have, _ = carve(etlift, scratch, mem[:PAGE] + bytes(rows) + mem[PAGE:])
    judge("behind rows that claim 16 MB each", collections.Counter({r: 1 for r in have if r not in own}), [(0, b) for _, b in where])
    with open(os.path.join(scratch, "pack", "report.json")) as f:
        if not any(x["what"] == "limit_reached" for x in json.load(f)["losses"]):
            say("400 streams that make 16 MB each: no limit is named")


def literals(b):
    """The same buffer with a stream of literals only: (its bytes, where a byte of the records stands in them)."""
    body = bytearray()
    for r in b.records:
        body += r.ljust(len(r) + 7 & ~7, b"\0")
    stream = bytearray()
    for at in range(0, len(body), 32):
        more = bytes(body[at:at + 32])
        stream += struct.pack("<I", (1 << 32 - len(more)) - 1) + more
    return struct.pack("<I", HDR + len(stream)) + b.raw[4:HDR] + stream, lambda off: HDR + off // 32 * 36 + 4 + off % 32


def rival(rng, etlift, scratch):
    """Pages apart, and one that goes on just as well for one record, behind which a header claims all the rest: the page with many records is the one."""
    b = Packed(rng, 22, carvemix.Clock(rng), False, 200)
    body, starts = bytearray(), []
    for r in b.records:
        starts.append(len(body))
        body += r.ljust(len(r) + 7 & ~7, b"\0")
    raw, place = literals(b)
    page = [raw[i:i + PAGE].ljust(PAGE, b"\xff") for i in range(0, len(raw), PAGE)]
    off = [x for x in starts if place(x) >= PAGE][1]
    at = off + (4 if body[off + 3] == 0xC0 and body[off + 2] in (1, 2, 3, 4, 0x10, 0x11) else 0)
    other = bytearray(page[1])
    for i, v in enumerate(struct.pack("<H", min(len(body) - off, 0xFFF0))):
        other[place(at + i) - PAGE] = v
    apart = [page[0], bytes(other)] + page[:0:-1]
    have, _ = carve(etlift, scratch, bytes(PAGE) + b"".join(p + carvemix.noise(rng) for p in apart))
    judge("beside a page that begins as well", have, [(0, b)])


def impostors(rng, etlift, scratch):
    """The second page is lost. One of something else ends the record across the edge, with other bytes, and begins one that claims nearly all that comes; in the second round
    one match before makes the same record five times more. None of it may come out, wherever the page is."""
    for copies in (0, 5):
        b, clock = Packed(rng, 23, carvemix.Clock(rng), False, 1), carvemix.Clock(rng)
        b.records = []
        while len(b.records) < 150:
            r = carvemix.record(rng, 0x13, clock.t, 200)
            if len(r) % 32 == 0:
                b.records.append(r)
                clock.next()
        end = HDR + sum(len(r) for r in b.records)
        b.raw = b.raw[:4] + struct.pack("<II", end, end + SIZE) + b.raw[12:0x10] + struct.pack("<Q", clock.t + 9) + b.raw[0x18:0x30] + struct.pack("<I", end) + b.raw[0x34:]
        raw, place = literals(b)
        page = [raw[i:i + PAGE].ljust(PAGE, b"\xff") for i in range(0, len(raw), PAGE)]
        starts, at = [], 0
        for r in b.records:
            starts.append(at)
            at += len(r)
        k = next(i for i, x in enumerate(starts) if place(x) >= PAGE)
        if (k == 0 or place(starts[k] - 1) < PAGE + 1) and say("no record lies across the edge"):
            continue
        other, off = bytearray(page[1]), starts[k + 1]
        for x in range(starts[k] - 16, starts[k]):  # a page of something else
            if place(x) >= PAGE:
                other[place(x) - PAGE] ^= 0x55
        last = bytes(b.records[k])
        claim = struct.pack("<H", at - off - copies * len(last) - 8) + last[2:]
        if copies:  # one match, and its length in a half byte, a byte and 16 bits
            more = struct.pack("<IHBBH", 1 << 31, len(last) - 1 << 3 | 7, 15, 255, copies * len(last) - 3) + claim[:31] + struct.pack("<I", 0) + claim[31:63]
        else:
            more = struct.pack("<I", 0) + claim[:32] + struct.pack("<I", 0) + claim[32:64]
        other[place(off) - 4 - PAGE:] = more
        other = bytes(other.ljust(PAGE, b"\0")[:PAGE])
        for how, memory in (("behind", [page[0], other] + page[2:]), ("apart", [page[0], carvemix.noise(rng), other] + page[:1:-1])):
            have, orphans = carve(etlift, scratch, bytes(9 * PAGE) + b"".join(p + (carvemix.noise(rng) if how == "apart" else b"") for p in memory) + bytes(9 * PAGE))
            judge("an impostor %s, %d copies" % (how, copies), have, [(0, b)], (0,))
            if k - 1 > len(set(have)) or [len(o["buffers"]) for o in orphans] != [1]:
                say("an impostor %s, %d copies: %d records of the %d in the first page" % (how, copies, len(set(have)), k - 1))


def followed_nowhere(rng, etlift, scratch):
    """A header of which hardly anything but itself is left: its place and what it held are named."""
    clock = carvemix.Clock(rng)
    a, b, c = (Packed(rng, 24, clock, False, n) for n in (3, 200, 3))
    lead = bytes(2 * PAGE - 100 - len(a.raw))
    mem = bytearray(lead + a.raw + b.raw + c.raw)
    behind = len(lead) + len(a.raw) + len(b.raw)
    mem[2 * PAGE:behind // PAGE * PAGE] = bytes(behind // PAGE * PAGE - 2 * PAGE)
    have, _ = carve(etlift, scratch, bytes(mem) + bytes(-len(mem) % PAGE + 16 * PAGE))
    judge("beside a header that leads nowhere", have, [(0, a), (0, c)])
    with open(os.path.join(scratch, "pack", "report.json")) as f:
        named = [x for x in json.load(f)["losses"] if "%#x" % (2 * PAGE - 100) in x["detail"]]
    if [(x["what"], x["session"], x["bytes"]) for x in named] != [("page_missing", 24, struct.unpack_from("<I", b.raw, 4)[0] - HDR)]:
        say("a header that leads nowhere is not named:", named)


def main():
    etlift, scratch = sys.argv[1:3]
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    mem, where = scene(rng)
    have, orphans = carve(etlift, scratch, mem)
    judge("whole", have, where)
    if [(o["origin"], o["id"], o["buffer_size"]) for o in orphans] != [("freed", 13, 65536), ("private", 14, 65536), ("file_cache", 11, SIZE),
                                                                     ("file_cache", 12, orphans[-1]["buffer_size"])]:
        say("groups:", [(o["origin"], o["id"], o["buffer_size"]) for o in orphans])
    if any(o["time_anchor"] != {"source": "file_header", "sure": "certain"} for o in orphans if o["id"] == 11):
        say("the header of the file is not the anchor")
    sizes = {at: len(b.raw) - HDR for at, b in where}
    for o in orphans:
        for b in o["buffers"]:
            if b["packed_bytes"] != sizes.get(b["file_offset"]) or b["gaps"]:
                say("buffer", b["pa"], "of", b["packed_bytes"], "packed bytes, gaps", b["gaps"])
    rival(rng, etlift, scratch)
    impostors(rng, etlift, scratch)
    followed_nowhere(rng, etlift, scratch)
    bombs(rng, etlift, scratch, mem, where)
    touched = sorted({p for at, b in where for p in range(at // PAGE, (at + len(b.raw) - 1) // PAGE + 1)})
    for n, p in enumerate(touched):
        for how, page in (("zeros", bytes(PAGE)), ("noise", carvemix.noise(rng)), ("another", mem[touched[n - 3] * PAGE:][:PAGE])):
            have, orphans = carve(etlift, scratch, mem[:p * PAGE] + page + mem[(p + 1) * PAGE:])
            if how != "another":
                judge("page %d %s" % (p, how), have, where, (p,))
            else:  # what it holds may come out a second time
                judge("page %d %s" % (p, how), collections.Counter(set(have)), where, (p,))
    # cut behind each page: an image that ends early
    for p in touched:
        judge("cut at page %d" % p, carve(etlift, scratch, mem[:p * PAGE])[0], where, range(p, len(mem) // PAGE))
    seen = 0
    for row in (False, True):
        lies = ["size", "saved", "ref", "ts", "seq", "id", "state", "flag", "type", "short", "long", "time", "current" if row else "offset"]
        for lie in lies:
            state = rng.getstate()
            for told in (None, lie):
                rng.setstate(state)
                b = Packed(rng, 20, carvemix.Clock(rng), row, 2, told)
                have, _ = carve(etlift, scratch, bytes(PAGE + 333) + b.raw + bytes(40 * PAGE - 333 - len(b.raw)))
                if told and have:
                    say("a header with a lie (%s, row: %s) is believed" % (lie, row))
                if not told:
                    seen += 1
                    judge("twin of " + lie, have, [(PAGE, b)])
    print("%d packed buffers in %d pages, %d almost-buffers with twins, %d faults" % (len(where), len(touched), seen, bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
