#!/usr/bin/env python3
"""Every record of the truth against the files that carving made: carvecmp.py TRUTH.json OUTDIR...

Each record that is whole in the image must be in one of the .etl files of the folders, byte for byte, as often as different buffers hold it;
what a file holds beyond the truth must be in `more` (records of the truth's sessions marked as optional). Reads .etl files with a reader of its own.
"""
import collections
import glob
import json
import os
import struct
import sys


def fnv(b):
    h = 0xCBF29CE484222325
    for c in b:
        h = (h ^ c) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


def records(path):
    b = open(path, "rb").read()
    size = struct.unpack_from("<I", b, 0)[0]
    for at in range(size, len(b), size):
        end = at + struct.unpack_from("<I", b, at + 0x30)[0]
        off = at + 0x48
        while off < end:
            n = struct.unpack_from("<H", b, off)[0]
            if b[off + 3] == 0xC0 and b[off + 2] in (1, 2, 3, 4, 0x10, 0x11):
                n = struct.unpack_from("<H", b, off + 4)[0]
            if n < 8 or off + n > end:
                sys.exit("%s: a record of %d bytes at %d" % (path, n, off))
            yield b[off:off + n]
            off += n + 7 & ~7


truth = json.load(open(sys.argv[1]))
have, extra = collections.Counter(), 0
for folder in sys.argv[2:]:
    for path in sorted(glob.glob(os.path.join(folder, "sessions", "*.etl"))):
        for r in records(path):
            have[fnv(r)] += 1
want, maybe = {}, set()
bad = 0
for s in truth["sessions"]:
    for b in s["buffers"]:
        for key, sure in (("records", True), ("old", False)):
            for r in b[key]:
                if r["lost"]:
                    maybe.add(r["fnv"])
                elif sure and not b["header_lost"] and not b.get("optional"):
                    want[r["fnv"]] = (s["id"], b["va"], b["state"])
                else:
                    maybe.add(r["fnv"])
missing = [(want[f], f) for f in want if f not in have]
for (sid, va, state), f in missing[:20]:
    print("session %d, buffer %s (%s): record %s is missing" % (sid, va, state, f))
invented = [f for f in have if f not in want and f not in maybe]
for f in invented[:20]:
    print("record %s is in a file and not in the image's truth" % f)
twice = [f for f in want if have[f] > 1]
for f in twice[:20]:
    print("record %s of session %d was written %d times" % (f, want[f][0], have[f]))
print("%d records, %d missing, %d invented, %d twice" % (len(want), len(missing), len(invented), len(twice)))
sys.exit(1 if missing or invented or twice else 0)
