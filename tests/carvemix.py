#!/usr/bin/env python3
"""Buffers of every kind in a memory that is no machine: carvemix.py ETLIFT SCRATCH [SEED | FIRST-LAST [SHARE]]

A range of seeds: scattered pages only, without --deep. SHARE of them are zeros then: what is missing is not counted, what is mixed is.

No kernel, no page table. Made by a writer of its own (docs/etl-format.md, docs/live-buffers.md): sizes from 0x100 bytes to 16 MiB, powers of two or not; 64-bit and
32-bit links that lead nowhere; Windows 7's processor word; headers with a value that lies; buffers in use, flushed, reused, of private loggers, consumers'
copies, pages of files and of real-time backups; records of every kind. Their pages stand in order, or scattered between pages of noise
that looks like what memory holds: pointers, small numbers, text, markers. Every record of every buffer must come back, under the right origin; no other may.
"""
import collections
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys

PAGE, HDR = 4096, 0x48
NOW = 133600000000000000
GUIDS = [bytes([17 * i + k & 255 for k in range(16)]) for i in range(1, 6)]


class Clock:
    def __init__(self, rng, dates=False, start=None):
        self.rng, self.dates = rng, dates
        self.t = start or (NOW if dates else 5 * 10**10)

    def next(self):
        self.t += self.rng.randrange(1, 4000)
        return self.t


MADE = set()  # every record there ever was, also those that something was written over


def record(rng, kind, ts, most=600):
    r = one_record(rng, kind, ts, most)
    MADE.add(r)
    return r


def one_record(rng, kind, ts, most):
    """One record with its exact size; kinds by their type byte, 0x90: a WPP message."""
    body = rng.randbytes(rng.randrange(8, most)) if rng.random() < 0.5 else "".join(rng.choice("etwlogging ") for _ in range(rng.randrange(4, most // 2))).encode("utf-16-le")
    pid, tid = 4 * rng.randrange(1, 5000), 4 * rng.randrange(1, 9000)
    if kind in (0x12, 0x13):
        head = struct.pack("<HHIIQ16sHBBBBHQQ16s", 0, 0, tid, pid, ts, rng.choice(GUIDS), rng.randrange(1, 999), 0, 0, 4, 0, 0, 1 << 62, 0, bytes(16))
        return struct.pack("<HBB", 4 + len(head) + len(body), kind, 0xC0) + head + body
    if kind in (0x0A, 0x14):
        head = struct.pack("<BBHIIQ16sQ", rng.randrange(40), 4, 2, tid, pid, ts, rng.choice(GUIDS), 0)
        return struct.pack("<HBB", 4 + len(head) + len(body), kind, 0xC0) + head + body
    if kind in (1, 2):
        return struct.pack("<HBBHHIIQII", 2, kind, 0xC0, 0x20 + len(body), 0x0524, tid, pid, ts, 0, 0) + body
    if kind in (0x10, 0x11):
        return struct.pack("<HBBHHQ", 2, kind, 0xC0, 0x10 + len(body), 0x0F2E, ts) + body
    return struct.pack("<HBBHH16sQII", 0x28 + len(body), 0, 0x90, rng.randrange(10, 80), 0xAA, rng.choice(GUIDS), ts, tid, pid) + body


class Buffer:
    """Records up to `fill` of the size, and a header of one of the forms."""

    def __init__(self, rng, size, form, ident, clock, cpu=0, fill=0.9, kinds=(0x13,), links=None, most=600, fixed=0, lie=None):
        self.size, self.form, self.ident, self.records = size, form, ident, []
        raw, off = bytearray(size), HDR
        while off < HDR + (size - HDR) * fill or not self.records:
            r = record(rng, rng.choice(kinds), clock.next(), most)
            if fixed:
                r = struct.pack("<H", fixed) + r[2:fixed].ljust(fixed - 2, b"\0")
            if off + (len(r) + 7 & ~7) > size:
                break
            raw[off:off + len(r)] = r
            self.records.append(r)
            off += len(r) + 7 & ~7
        self.end, last = off, clock.t
        saved, cur, ref, ts, seq, state, offset, flag = off, off + size, 0, last + 900, rng.randrange(1, 400), 0, off, 0
        self.origin = "freed"
        if form == "logging":
            saved, cur, ref, ts, state, offset = 0, off, 15, 0, 1, 0
        elif form == "full":
            cur = max(off + 184, size + 16)
        elif form == "reused":  # what an earlier use left stands behind
            saved, cur, ref, ts, state, offset = 0, off, 15, self_first(self.records) - 5000, 1, size - 40
            old, at = Clock(rng, clock.dates, self_first(self.records) - 10**8), off + 24
            while True:
                r = record(rng, 0x13, old.next())
                if at + (len(r) + 7 & ~7) > size:
                    break
                raw[at:at + len(r)] = r
                at += len(r) + 7 & ~7
        elif form in ("file", "rtbackup"):
            state, flag = 3, 0x20 | (0x10 if form == "rtbackup" else 0)
            raw[off:] = b"\xff" * (size - off)
            self.origin = "file_cache" if form == "file" else "rtbackup"
        elif form == "copy":  # a consumer's: header and data, not more
            state = 3
            self.origin = "consumer"
        elif form == "private":
            ident |= 0x8000
            self.origin = "private"
        a, b = (0xFFFFE00000000038 + (rng.randrange(1 << 24) << 12) for _ in "ab")
        if form == "private":
            a, b = (0x0000020000000038 + (rng.randrange(1 << 20) << 12) for _ in "ab")
        if links == 32:
            a, b = 0x85000038 + (rng.randrange(1 << 8) << 12) | 0x86000038 + (rng.randrange(1 << 8) << 12) << 32, 0
        if links == 7:
            cpu, flag = 0x800 | cpu, 0
        if lie == "current":
            cur = 0xFFFFFFFF
        if lie == "references":
            ref = -0x80000000
        if lie == "processor":
            cpu = 0xFFFF
        struct.pack_into("<IIIiQQQHHIIHHQQ", raw, 0, size, saved, cur, ref, ts, seq, 0, cpu, ident, state, offset, flag, 0, a, b)
        if form == "copy":
            raw[off:] = bytes(size - off)
        self.raw = bytes(raw)


def self_first(records):
    r = records[0]
    return struct.unpack_from("<Q", r, 0x18 if r[3] == 0x90 else 8 if r[2] in (0x10, 0x11) else 0x10)[0]


def noise(rng):
    """A page of what memory holds."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(PAGE)
    if kind == 1:
        return ("\r\n".join("GET /%x HTTP/1.1 %d" % (rng.randrange(1 << 40), rng.randrange(999)) for _ in range(200))).encode()[:PAGE].ljust(PAGE)
    if kind == 2:
        return bytes(PAGE)
    words = []
    while len(words) < 512:
        k = rng.randrange(8)
        words.append(0xFFFFE00000000038 + (rng.randrange(1 << 24) << 12) if k < 2 else rng.randrange(64) * 0x400 | rng.randrange(64) * 0x400 << 32 if k == 2 else
                     0xC0000000 | rng.randrange(1, 0x16) << 16 | rng.randrange(512) if k == 3 else 0x90000000 | rng.randrange(600) if k == 4 else
                     NOW + rng.randrange(10**12) if k == 5 else rng.randrange(1 << 16) if k == 6 else 0)
    return struct.pack("<512Q", *words)


def wide(b):
    """The pages of one buffer: its last one is not all its own."""
    return [b[i:i + PAGE].ljust(PAGE, b"\0") for i in range(0, len(b), PAGE)]


def scene(rng, scattered):
    """(pages in the order of memory, buffers). Runs of pages that must stay in order are lists."""
    bufs, runs = [], []
    every = (0x13, 0x13, 0x12, 0x14, 0x0A, 2, 1, 0x11, 0x10, 0x90, 0x90)

    def put(*args, **kw):
        b = Buffer(rng, *args, **kw)
        bufs.append(b)
        runs.append(wide(b.raw))

    ident = 3
    for size in (4096, 5120, 7168, 8192, 12288, 20480, 65536, 81920, 98304, 1 << 20) + (() if scattered else (5 << 20, 16 << 20)):
        clocks = [Clock(rng, dates=size == 65536, start=None) for _ in range(4)]
        for form in ("logging", "flushed", "full", "reused", "file", "rtbackup", "copy", "private"):
            if size > 1 << 20 and form not in ("flushed", "file"):
                continue
            big = {"most": 3000} if size >= 1 << 20 and not scattered else {}
            for cpu, clock in enumerate(clocks[:1 if size > 1 << 20 else 2]):
                put(size, form, ident, clock, cpu=cpu, fill=rng.choice((0.3, 0.6, 0.95)), kinds=every, **big)
        ident += 1
    for links in (32, 7):
        for form in ("logging", "flushed", "private"):
            put(16384, form, ident, Clock(rng), links=links, kinds=every)
            ident += 1
    for lie in ("current", "references", "processor"):
        put(4096, "flushed", ident, Clock(rng), lie=lie, most=200)
        ident += 1
    # a file of buffers that share their pages
    for size in (1024, 3072, 5120):
        clock, run = Clock(rng), b""
        for _ in range(9):
            b = Buffer(rng, size, "file", ident, clock, most=300)
            bufs.append(b)
            run += b.raw
        runs.append(wide(run))
        ident += 1
    # the pool: 16 bytes of its own before each buffer
    for size in (0x100, 0x3F8, 0x400, 0x7F0, 0x800, 0xC00):
        page, at = bytearray(noise(rng)), 0x10 * rng.randrange(1, 9)
        while at + 0x10 + size <= PAGE:
            b = Buffer(rng, size, "flushed", ident, Clock(rng), most=120)
            page[at:at + 16] = struct.pack("<BBBB4sQ", 0, 0, (size + 16) // 16 & 255, 2, b"EtwB", 0)
            page[at + 16:at + 16 + size] = b.raw
            b.pool = True
            bufs.append(b)
            at += 16 + size + 15 & ~15
        runs.append([bytes(page)])
        ident += 1
    rng.shuffle(runs)
    if scattered:
        runs = [[p] for r in runs for p in r]
        rng.shuffle(runs)
    pages = [bytes(PAGE)]
    for r in runs:
        pages += r + [noise(rng) for _ in range(rng.randrange(3))]
    return pages, bufs


def records_of(path):
    b = open(path, "rb").read()
    size, = struct.unpack_from("<I", b, 0)
    for at in range(size, len(b), size):
        end, off = struct.unpack_from("<I", b, at + 0x30)[0], HDR
        while off < end:
            n = struct.unpack_from("<H", b, at + off + (4 if b[at + off + 3] == 0xC0 and b[at + off + 2] in (1, 2, 3, 4, 0x10, 0x11) else 0))[0]
            yield b[at + off:at + off + n]
            off += n + 7 & ~7


def untold(b, bufs):
    """Records that touch a page in which none begins (and which no fill tells, begun at a place where no other's does): shuffled, nothing says whose it is."""
    at, out, spans = HDR, set(), []
    for r in b.records:
        spans.append((at, at + len(r)))
        at += len(r) + 7 & ~7
    begun = {0} | {s // PAGE for s, _ in spans}  # (the first page is known)
    files = [x for x in bufs if x.form in ("file", "rtbackup") and x.size % PAGE == 0 and x.end % PAGE <= PAGE - 8]
    fill = {b.end // PAGE} if b in files and sum(x.end % PAGE == b.end % PAGE for x in files) == 1 else set()
    for r, (s, e) in zip(b.records, spans):
        if any(k not in begun | fill for k in range(s // PAGE, (e - 1) // PAGE + 1)):
            out.add(r)
    return out


def swapped(bufs):
    """Records in pages that could as well be another buffer's, by place and time: at two cuts, the records of either go on in the other (or both end alike)."""
    cuts = {}  # (record that leads out of page, its next one) by where the next one begins
    for n, b in enumerate(bufs):
        at, last = HDR, None
        for r in b.records:
            if last is not None and at // PAGE != last[0] // PAGE:
                cuts.setdefault(at % PAGE, []).append((n, at // PAGE, last[1], self_first([r])))
            last = (at, self_first([r]))
            at += len(r) + 7 & ~7
    pairs = {}
    for same in cuts.values():
        for x in same:
            for y in same:
                if x[0] < y[0] and x[2] <= y[3] and y[2] <= x[3]:
                    pairs.setdefault((x[0], y[0], x[1] - y[1]), []).append(x[1])
    out = set()
    for (a, b, shift), pages in pairs.items():
        tail = bufs[a].end - shift * PAGE == bufs[b].end
        if len(pages) < 2 and not tail:
            continue
        lo, hi = min(pages), 1 << 20 if tail else max(pages)
        for n, first in ((a, lo), (b, lo - shift)):
            at = HDR
            for r in bufs[n].records:
                if at // PAGE < first + hi - lo and (at + len(r) - 1) // PAGE >= first - 1:
                    out.add(r)
                at += len(r) + 7 & ~7
    return out


def alone(b, alive):
    """Records that a page without its buffer tells: whole in a page that is still there, several in a row."""
    at, inside = HDR, collections.defaultdict(list)
    for r in b.records:
        if at // PAGE == (at + len(r) - 1) // PAGE and at >= PAGE:
            inside[at // PAGE].append(r)
        at += len(r) + 7 & ~7
    return {r for k, rs in inside.items() for r in rs if len(rs) >= (8 if k == (at - 1) // PAGE else 4) and b.raw[k * PAGE:(k + 1) * PAGE] in alive}


def seeds(etlift, scratch, first, last, share=0.0):
    """Many scattered memories: no record may be made of two buffers' bytes, and none be lost but where place and time fit in more than one way."""
    bad, image, out = 0, os.path.join(scratch, "mix.raw"), os.path.join(scratch, "mix")
    for seed in range(first, last + 1):
        pages, bufs = scene(random.Random(seed), True)
        plain = [b for b in bufs if not hasattr(b, "pool")]
        known = {r for b in bufs for r in b.records}
        rng = random.Random(7 * seed + 1)
        pages = [bytes(PAGE) if rng.random() < share else p for p in pages]
        open(image, "wb").write(b"".join(pages))
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([etlift, "carve", "-q", "--no-residual", "--loose", image, "-o", out], check=True)
        report = json.load(open(out + "/report.json"))
        have, loose = (collections.Counter(r for o in report["orphans"] if o["etl"] and (o["origin"] == "loose") == w
                                           for r in records_of(os.path.join(out, o["etl"]["path"]))) for w in (False, True))
        # what no buffer has any more: all of it that a page tells by itself, nothing that was not written, and nothing twice
        alive = set(pages)
        left = sum(r not in have and r not in loose for b in plain if b.size % PAGE == 0 for r in alone(b, alive))
        wrong = sum(n for r, n in loose.items() if r not in MADE or r in have or n > 1)
        open_ = swapped(plain)
        lost = [r for b in plain for forgiven in [untold(b, bufs)] for r in b.records if r not in have and r not in forgiven]
        missing = [r for r in lost if r not in open_]
        mixed = sum(n for r, n in have.items() if r not in known or n > 1)
        gaps = sum(len(b["gaps"]) for o in report["orphans"] for b in o["buffers"])
        bad += (0 if share else len(missing)) + mixed + (1 if lost and not gaps else 0) + left + wrong
        print("seed %d, scattered" % seed + (", %g of the pages zeros" % share if share else "") + ": %d records, %d mixed, %d missing, %d more where two ways fit, %d gaps named; --loose: %d records, %d wrong, %d left out" %
              (len(known), mixed, len(missing), len(lost) - len(missing), gaps, sum(loose.values()), wrong, left))
    sys.exit(1 if bad else 0)


def main():
    if "-" in "".join(sys.argv[3:]):
        seeds(*sys.argv[1:3], *map(int, sys.argv[3].split("-")), *map(float, sys.argv[4:5]))
    etlift, scratch, bad = sys.argv[1], sys.argv[2], 0
    for seed in [int(sys.argv[3])] if len(sys.argv) > 3 else [1, 2]:
        for scattered in (False, True):
            rng = random.Random(seed)
            pages, bufs = scene(rng, scattered)
            image, out = os.path.join(scratch, "mix.raw"), os.path.join(scratch, "mix")
            open(image, "wb").write(b"".join(pages))
            for deep in (False, True):
                shutil.rmtree(out, ignore_errors=True)
                subprocess.run([etlift, "carve", "-q", "--no-residual", image, "-o", out] + (["--deep"] if deep else []), check=True)
                have, where = collections.Counter(), {}
                for o in json.load(open(out + "/report.json"))["orphans"]:
                    if o["etl"]:
                        for r in records_of(os.path.join(out, o["etl"]["path"])):
                            have[r] += 1
                            where[r] = (o["origin"], o["id"], o["buffer_size"])
                want = collections.Counter(r for b in bufs for r in b.records if deep or not hasattr(b, "pool"))
                known = {r for b in bufs for r in b.records}
                said = missing = wrong = 0
                for b in bufs:
                    if hasattr(b, "pool") and not deep:
                        continue
                    forgiven = untold(b, bufs) if scattered else ()
                    lost = [r for r in b.records if r not in have and r not in forgiven]
                    # whether fill stands behind the data is all that tells a file's page from a consumer's copy: without that page it is unknown
                    dim = any(r in forgiven for r in b.records) and b.origin in ("file_cache", "consumer")
                    other = [where[r] for r in b.records if r in where and (where[r][0] != b.origin and not (dim and where[r][0] == "unknown") or where[r][1] != b.ident)]
                    missing += len(lost)
                    wrong += len(other)
                    if (lost or other) and said < 12:
                        said += 1
                        print("  %s of %#x bytes, id %d, data to %#x: %d of %d records missing, %s" %
                              (b.form, b.size, b.ident, b.end, len(lost), len(b.records), set(other)))
                extra = sum(n for r, n in have.items() if r not in known or n > 1)
                bad += missing + wrong + extra
                print("seed %d, %s%s: %d buffers, %d records, %d missing, %d under a wrong name, %d that should not be there" %
                      (seed, "scattered" if scattered else "in order", ", --deep" if deep else "", len(bufs), sum(want.values()), missing, wrong, extra))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
