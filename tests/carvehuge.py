#!/usr/bin/env python3
"""Headers that claim far more than there is: carvehuge.py ETLIFT SCRATCH

A memory of some MiB whose pages each hold the beginning of a buffer "of 16 MiB", alone or beside one that is large indeed, in one session or in hundreds. Every record comes
back, no file is much larger than the image, and each is a valid trace.
"""
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys

PAGE, HDR = 4096, 0x48
etlift, scratch = sys.argv[1:3]
bad = 0


def say(*what):
    global bad
    bad = 1
    print(*what)


def buffer(rng, ident, claim, have, t, n):
    """`have` bytes of records behind a header that claims a buffer of `claim` bytes, full."""
    body = b""
    while len(body) + 0x50 + HDR <= have:
        t += rng.randrange(1, 900)
        body += struct.pack("<HBBHHQ", 2, 0x11, 0xC0, 0x50, 0x0F33, t) + rng.randbytes(0x40)
    end = HDR + len(body)
    a, b = 0xFFFFB58000000038 + (n << 24), 0xFFFFB57000000038 + (n << 24)
    return struct.pack("<IIIIQQQHHIIHHQQ", claim, end, end + claim, 0, t + 5, n + 1, 0, n % 4, ident, 0, end, 0, 0, a, b) + body, t


def records(path):
    b = open(path, "rb").read()
    size, = struct.unpack_from("<I", b)
    for at in range(size, len(b), size):
        for off in range(at + HDR, at + struct.unpack_from("<I", b, at + 0x30)[0], 0x50):
            yield b[off:off + 0x50]


def case(what, mib, bufs):
    """bufs: (id, size claimed, bytes that are there)"""
    rng = random.Random(mib)
    image, out, t, made, row = os.path.join(scratch, "huge.raw"), os.path.join(scratch, "huge"), 10**10, set(), []
    for n, (ident, claim, have) in enumerate(bufs):
        raw, t = buffer(rng, ident, claim, have, t, n)
        made |= {raw[o:o + 0x50] for o in range(HDR, len(raw), 0x50)}
        row.append(raw.ljust(-(-len(raw) // PAGE) * PAGE, b"\0") + bytes(PAGE))
    data = bytes(16 * PAGE) + b"".join(row)
    assert len(data) <= mib << 20
    with open(image, "wb") as f:
        f.write(data.ljust(mib << 20, b"\0"))
    shutil.rmtree(out, ignore_errors=True)
    p = subprocess.run([etlift, "carve", image, "-q", "-o", out], capture_output=True, text=True)
    if p.returncode != 0:
        return say(what, "ends with", p.returncode, p.stderr)
    files = sorted(glob.glob(out + "/sessions/*.etl"))
    size = sum(os.path.getsize(f) for f in files)
    got = [r for f in files for r in records(f)]
    if size > (64 << 20) + 9 * (mib << 20):
        say(what, "takes", size, "bytes of an image of", mib, "MiB")
    if set(got) != made or len(got) != len(made):
        say(what, len(made), "records,", len(got), "came back, wrong", len(set(got) - made))
    orphans = json.load(open(out + "/report.json"))["orphans"]
    if {o["buffer_size"] for o in orphans} != {c for _, c, _ in bufs}:
        say(what, "the report says other sizes than the headers")
    if subprocess.run([etlift, "check", "-q", *files], stdout=subprocess.DEVNULL).returncode != 0:
        say(what, "files that are not valid")
    print(what, len(files), "files,", size, "bytes")
    shutil.rmtree(out)
    os.remove(image)


BIG = 16 << 20
case("headers of 16 MiB", 4, [(5, BIG, 4096)] * 250)
case("beside large ones", 16, [(5, BIG, 4096)] * 900 + [(5, BIG, 3 << 20), (5, BIG, 40000)])
case("of many sessions", 8, [(5 + k % 400, BIG, 4096) for k in range(800)])
case("as they should be", 4, [(5, 65536, 60000)] * 20 + [(5, 65536, 2000)] * 5)
sys.exit(bad)
