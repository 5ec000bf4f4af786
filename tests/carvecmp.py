#!/usr/bin/env python3
"""What carving made of an image against what its maker knows: carvecmp.py TRUTH.json OUTDIR [alone|moved]

alone: from carve, which does not write the sessions that recover has. moved: the pages stand at other places than the truth says.

Each record that is whole in the image must be in one of the .etl files, byte for byte, once; nothing else may be in them. Each buffer that only
its shape leads to must stand in the report under its origin; where the image holds what its times rest on, they must be exact, else within a minute,
or said to be unknown. Reads .etl files with a reader of its own (docs/etl-format.md).
"""
import collections
import glob
import json
import os
import struct
import sys

MINUTE = 60 * 10**7
bad = 0


def say(*a):
    global bad
    bad += 1
    if bad <= 30:
        print(*a)


def fnv(b):
    h = 0xCBF29CE484222325
    for c in b:
        h = (h ^ c) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


def records(path):
    """(hash, time) of every record behind the header buffer."""
    b = open(path, "rb").read()
    size, = struct.unpack_from("<I", b, 0)
    t0, = struct.unpack_from("<Q", b, 0x58)
    mhz, = struct.unpack_from("<I", b, 0x68 + 0x34)
    freq, start, clock = struct.unpack_from("<qqI", b, 0x68 + 0x100)
    for at in range(size, len(b), size):
        end = at + struct.unpack_from("<I", b, at + 0x30)[0]
        off = at + 0x48
        while off < end:
            kind, n, ts = b[off + 2], struct.unpack_from("<H", b, off)[0], 0x10
            if b[off + 3] == 0x90:
                flags, = struct.unpack_from("<H", b, off + 6)
                ts = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 16 if flags & 2 else 0)
            elif kind in (1, 2, 3, 4, 0x10, 0x11):
                n, = struct.unpack_from("<H", b, off + 4)
                ts = 8 if kind >= 0x10 else 0x10
            if n < 8 or off + n > end:
                sys.exit("%s: a record of %d bytes at %d" % (path, n, off))
            t, = struct.unpack_from("<Q", b, off + ts)
            if clock == 3 and not mhz:
                start, mhz, freq = 0, 1, 1  # nothing tells what a tick is
            t = t if clock == 2 else start + (t - t0) * (10 if clock == 3 else 10**7) // (mhz if clock == 3 else freq)
            yield fnv(b[off:off + n]), t
            off += n + 7 & ~7


def main():
    truth, out = json.load(open(sys.argv[1])), sys.argv[2]
    rep = json.load(open(os.path.join(out, "report.json")))
    have = collections.Counter()
    files = {}
    for path in sorted(glob.glob(os.path.join(out, "sessions", "*.etl"))):
        files[os.path.relpath(path, out)] = list(records(path))
        have.update(h for h, _ in files[os.path.relpath(path, out)])
    want, maybe = {}, set()
    both = [(s, None) for s in truth["sessions"]] + [(o["session"], o) for o in truth["orphans"]]
    for s, orphan in both:
        if orphan is None and "alone" in sys.argv[3:]:
            maybe.update(r["fnv"] for b in s["buffers"] for r in b["records"] + b["old"])
            continue
        for b in s["buffers"]:
            maybe.update(r["fnv"] for r in b["records"] + b["old"])
            if not b["header_lost"]:
                want.update((r["fnv"], (s, b, r["time"], orphan)) for r in b["records"] if not r["lost"])
    for f, (s, b, _, _) in want.items():
        if f not in have:
            say("session %d, buffer %s (%s): record %s is missing" % (s["id"], b["va"], b["state"], f))
        elif have[f] > 1:
            say("session %d, buffer %s: record %s was written %d times" % (s["id"], b["va"], f, have[f]))
    for f in have:
        if f not in maybe:
            say("record", f, "is in a file and not in the image's truth")
    rows = {b["pa"]: (o, b) for o in rep.get("orphans", []) for b in o["buffers"]}
    for o in truth["orphans"]:
        for b in o["session"]["buffers"]:
            if b["header_lost"] or not [r for r in b["records"] if not r["lost"]]:
                continue
            if "moved" in sys.argv[3:]:
                continue
            got = rows.get(b["pages"][0])
            if got is None:
                say("orphan of id %d at %s is not in the report" % (o["session"]["id"], b["pages"][0]))
            elif got[0]["origin"] != o["origin"] or got[0]["id"] != o["session"]["id"]:
                say("orphan of id %d at %s: %s, id %d; should be %s" % (o["session"]["id"], b["pages"][0], got[0]["origin"], got[0]["id"], o["origin"]))
    for o in rep.get("orphans", []):
        if not o["etl"]:
            continue
        for f, t in files[o["etl"]["path"]]:
            if f not in want or want[f][3] is None:
                continue
            if want[f][3]["certain"] and o["time_anchor"]["sure"] != "certain" and ((rep["kernel"] or {}).get("profile") or {"match": "inferred"})["match"] != "inferred":
                say(o["etl"]["path"], "is not certain of its times:", o["time_anchor"])
                break
            off = abs(t - want[f][2])
            if off > (0 if o["time_anchor"]["sure"] == "certain" else MINUTE) and o["time_anchor"]["sure"] != "unknown":
                say(o["etl"]["path"], "time of", f, "is off by", off, "and", o["time_anchor"])
                break
    # what a carved buffer has lost is a loss of the image
    gaps = sum(sum(x["why"] != "copied" for x in b["gaps"]) for o in rep.get("orphans", []) if o["origin"] != "loose" for b in o["buffers"] if b["same_as"] is None)
    named = sum(x["detail"].startswith("carved buffer ") for x in rep["losses"])
    if gaps != named:
        say("%d gaps in carved buffers, %d of them are losses" % (gaps, named))
    print("%d records, %d in files, %d orphans, %d differences" % (len(want), sum(have.values()), len(rep.get("orphans", [])), bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
