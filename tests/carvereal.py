#!/usr/bin/env python3
"""Real .etl files as pages of a memory, in order and shuffled: carvereal.py ETLIFT FOLDER SCRATCH

No kernel and no page table is in it. In order, each record of each buffer must be carved, byte for byte, once, and no other. Shuffled, a record may be missing
only where nothing tells whose a page is: no record begins in it. Of compressed files shuffled no record may come back that was not there. Reads .etl files with
a reader of its own.
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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import refetl  # noqa: E402

PAGE = 4096


def buffers(b):
    """(offset in the file, [(offset in the buffer, size)]) of every data buffer."""
    size, = struct.unpack_from("<I", b, 0)
    for at in range(size, len(b) - 0x47, size):
        if struct.unpack_from("<H", b, at + 0x36)[0] == 4:
            continue
        end, off, recs = struct.unpack_from("<I", b, at + 0x30)[0], 0x48, []
        while off < end:
            n, = struct.unpack_from("<H", b, at + off)
            if b[at + off + 3] == 0xC0 and b[at + off + 2] in (1, 2, 3, 4, 0x10, 0x11):
                n, = struct.unpack_from("<H", b, at + off + 4)
            recs.append((off, n))
            off += n + 7 & ~7
        yield at, recs


def records(path):
    b = open(path, "rb").read()
    return collections.Counter(b[at + o:at + o + n] for at, recs in buffers(b) for o, n in recs)


def untold(b):
    """Records that touch a page in which none of their buffer begins, but for the first page."""
    out = collections.Counter()
    for at, recs in buffers(b):
        begun = {0} | {(at % PAGE + o) // PAGE for o, _ in recs}
        for o, n in recs:
            if any(k not in begun for k in range((at % PAGE + o) // PAGE, (at % PAGE + o + n - 1) // PAGE + 1)):
                out[b[at + o:at + o + n]] += 1
    return out


etlift, folder, scratch = sys.argv[1:4]
bad = tried = 0
for row in json.load(open(os.path.join(folder, "index.json"))):
    path = os.path.join(folder, row["file"])
    b = open(path, "rb").read()
    packed = "COMPRESSED" in row["mode"]
    if not packed and len(b) < 16384:
        continue
    want = collections.Counter(r.bytes for x in refetl.read(path).buffers[1:] for r in x.records) if packed else records(path)
    image, out = os.path.join(scratch, "real.raw"), os.path.join(scratch, "real")
    tried += 1
    for seed in (None, 1, 2):
        pages = [b[i:i + PAGE].ljust(PAGE, b"\0") for i in range(0, len(b), PAGE)]
        if seed is not None:
            random.Random(seed).shuffle(pages)
        open(image, "wb").write(bytes(PAGE) + b"".join(pages) + bytes(1 << 17))
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([etlift, "carve", "-q", "--no-residual", image, "-o", out], check=True)
        have = sum((records(f) for f in glob.glob(out + "/sessions/*.etl")), collections.Counter())
        # the same buffer twice in a file (a merged one) is written once
        missing = {r for r in want if r not in have} - (set(untold(b)) if seed is not None and not packed else set())
        extra = have - want
        if missing and not (packed and seed) or extra:
            bad += 1
        print("%s, %s: %d records, %d missing, %d that should not be there" %
              (row["file"], "in order" if seed is None else "shuffled by %d" % seed, sum(want.values()), len(missing), sum(extra.values())))
print("%d files, %d differ" % (tried, bad))
sys.exit(1 if bad or tried < 10 else 0)
