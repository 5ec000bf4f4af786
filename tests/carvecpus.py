#!/usr/bin/env python3
"""One session, eight processors that log side by side, records of one size, nothing mapped, every page anywhere, or all of them in order and some lost:
carvecpus.py ETLIFT SCRATCH [SEED...]

All pages are in the image, but most fit into more than one buffer by place and time. What can't be told apart may be left out, and named as a gap. No record may be made of
two buffers' bytes, none may stand in another buffer, and so under another processor, than the one it was logged to, and none may come twice. In order, all that stands before a buffer's
first lost page must come back as well.
"""
import collections
import json
import os
import random
import shutil
import struct
import subprocess
import sys

PAGE, HDR, CPUS = 4096, 0x48, 8
etlift, scratch = sys.argv[1:3]
bad = 0


def record(rng, kind, ts, number, payload):
    body = struct.pack("<Q", number << 8 | 0x5A) + rng.choice([rng.randbytes(payload - 8), bytes(payload - 8)])
    pid, tid = 4 * rng.randrange(1, 2000), 4 * rng.randrange(1, 2000)
    if kind == "system":
        return struct.pack("<HBBHHIIQII", 2, 2, 0xC0, 0x20 + payload, 0x0F00 | rng.randrange(40), tid, pid, ts, 0, 0) + body
    if kind == "perfinfo":
        return struct.pack("<HBBHHQ", 2, 0x11, 0xC0, 0x10 + payload, 0x0F33, ts) + body
    return struct.pack("<HBBHHIIQ16sHBBBBHQQ16s", 0x50 + payload, 0x13, 0xC0, 0, 0, tid, pid, ts, b"provider of some", 7, 0, 16, 4, 0, 0, 1 << 62, 0,
                       bytes(16)) + body


def session(rng, size, kinds, payload, n):
    """n buffers, each of one processor; records go round anyhow. [(cpu, bytes, records as {bytes: offset})]"""
    done, now, t, number = [], [None] * CPUS, 10**10, 0
    while len(done) < n:
        cpu = rng.randrange(CPUS)
        t += max(1, int(rng.expovariate(1 / 1000)))
        number += 1
        r = record(rng, rng.choice(kinds), t, number, payload or 8 * rng.randrange(1, 16))
        b = now[cpu]
        if b and b["end"] + len(r) > size:
            b["over"], b["flushed"] = len(r), t
            done.append(b)
            b = None
        if not b:
            b = now[cpu] = {"cpu": cpu, "end": HDR, "raw": bytearray(size), "recs": {}}
        b["raw"][b["end"]:b["end"] + len(r)] = r
        b["recs"][r] = b["end"]
        b["end"] += len(r)
    for b in now:
        if b:
            b["over"], b["flushed"] = size, t + 5
            done.append(b)
    for i, b in enumerate(done):
        links = [0xFFFFB58000000038 + (rng.randrange(1 << 20) << 12) for _ in "ab"]
        struct.pack_into("<IIIIQQQHHIIHHQQ", b["raw"], 0, size, b["end"], b["end"] + b["over"], 0, b["flushed"], i + 1, 0, b["cpu"], 5, 0, 0, 0, 0, *links)
    return done


def case(seed, size, kinds, payload, n, share=None):
    """share: of the pages that are lost, headers apart; then they stand in order."""
    global bad
    rng = random.Random(seed)
    bufs = session(rng, size, kinds, payload, n)
    image, out = os.path.join(scratch, "cpus.raw"), os.path.join(scratch, "cpus")
    pages = [(k, i) for k in range(len(bufs)) for i in range(size // PAGE)]
    total = 16 + 2 * len(pages)
    places = dict(zip(rng.sample(range(16, total), len(pages)) if share is None else range(16, total), pages))
    lost = {p for p in pages if share and p[1] and rng.random() < share}
    first = {at: k for at, (k, i) in places.items() if i == 0}
    with open(image, "wb") as f:
        for at in range(total):
            k, i = places.get(at, (None, 0))
            f.write(rng.randbytes(PAGE) if k is None or (k, i) in lost else bufs[k]["raw"][i * PAGE:(i + 1) * PAGE])
    shutil.rmtree(out, ignore_errors=True)
    p = subprocess.run([etlift, "carve", image, "-q", "-o", out], capture_output=True, text=True)
    owner = {r: k for k, b in enumerate(bufs) for r in b["recs"]}
    got, mixed, moved, headless = collections.Counter(), 0, 0, set(first.values())
    for o in json.load(open(out + "/report.json"))["orphans"] if p.returncode == 0 else []:
        raw = open(os.path.join(out, o["etl"]["path"]), "rb").read()
        at = struct.unpack_from("<I", raw)[0]
        for b in (b for b in o["buffers"] if not b["same_as"]):
            mine = first.get(int(b["pa"], 16) // PAGE)
            headless.discard(mine)
            size_, = struct.unpack_from("<I", raw, at)
            cpu, = struct.unpack_from("<H", raw, at + 0x28)
            off, end = at + HDR, at + struct.unpack_from("<I", raw, at + 0x30)[0]
            while off < end:
                n_, = struct.unpack_from("<H", raw, off + (4 if kinds != ("event",) else 0))
                r = raw[off:off + n_]
                got[r] += 1
                mixed += r not in owner
                moved += r in owner and (owner[r] != mine or bufs[mine]["cpu"] != cpu)
                off += n_ + 7 & ~7
            at += size_
    twice = sum(n - 1 for n in got.values())
    hole = {k: min([i for n_, i in lost if n_ == k] + [size]) * PAGE for k in range(len(bufs))}
    before = sum(r not in got for k, b in enumerate(bufs) for r, at in b["recs"].items() if share is not None and at + len(r) <= hole[k])
    print("seed %d, buffers of %d, %s: %d records, %d came back, %d mixed, %d moved, %d twice, %d of those before a hole missing, %d buffers not found" %
          (seed, size, "anywhere" if share is None else "in order, %g lost" % share, len(owner), len(got), mixed, moved, twice, before, len(headless)))
    if p.returncode != 0 or mixed or moved or twice or before or headless:
        bad = 1
        print("carve ends with", p.returncode, p.stderr)
    shutil.rmtree(out)
    os.remove(image)


for seed in map(int, sys.argv[3:] or (1, 2, 3)):
    case(seed, 16384, ("system", "perfinfo"), 40, 48)
    case(seed, 65536, ("event",), 40, 32)
    case(seed, 262144, ("event",), 16, 16)
    case(seed, 65536, ("event",), 0, 48, 0.15)
    case(seed, 65536, ("system", "perfinfo"), 0, 48, 0.15)
sys.exit(bad)
