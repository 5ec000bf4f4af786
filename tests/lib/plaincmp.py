#!/usr/bin/env python3
"""plaincmp.py [--scanned] TRUTH.json OUTDIR [CONSUMERS.json]: every session and record of a plainimage.py memory, with its time, and nothing else. Reads the .etl with the
tests' own reader. --scanned: no symbol led to anything, contexts were found by their shape: one without a name has none, the build and the
system's root can't be known, and the report says so."""
import datetime
import json
import os
import struct
import sys

bad = 0


def say(*a):
    global bad
    bad += 1
    if bad < 30:
        print(*a)


def records(path):
    b = open(path, "rb").read()
    size, = struct.unpack_from("<I", b, 0)
    t0, = struct.unpack_from("<q", b, 0x58)
    freq, start, clock = struct.unpack_from("<qqI", b, 0x68 + 0x100)
    for off in range(size, len(b), size):
        end, = struct.unpack_from("<I", b, off + 0x30)
        at = 0x48
        while at < end:
            o = off + at
            if b[o + 3] == 0x90:
                n, ts = struct.unpack_from("<H", b, o)[0], struct.unpack_from("<q", b, o + 24)[0]
            elif b[o + 2] in (1, 2):
                n, ts = struct.unpack_from("<H", b, o + 4)[0], struct.unpack_from("<q", b, o + 16)[0]
            else:
                n, ts = struct.unpack_from("<H", b, o)[0], struct.unpack_from("<q", b, o + 16)[0]
            yield b[o:o + n].hex(), ts if clock == 2 else start + (ts - t0) * 10**7 // freq
            at += n + 7 & ~7


def main():
    scanned = "--scanned" in sys.argv
    if scanned:
        sys.argv.remove("--scanned")
    truth, rep = json.load(open(sys.argv[1])), json.load(open(os.path.join(sys.argv[2], "report.json")))
    k = rep["kernel"]
    for key in ("base",) if scanned else ("build", "base", "dtb"):
        if k[key] != truth[key]:
            say("kernel", key, k[key], "should be", truth[key])
    when = datetime.datetime(1601, 1, 1) + datetime.timedelta(microseconds=truth["time"] // 10)
    if not (k["system_time"] or "").startswith(when.strftime("%Y-%m-%dT%H:%M:%S")):
        say("system_time", k["system_time"], "should be", when)
    have = {(s["id"], s["va"]): s for s in rep["sessions"]}
    total = 0
    for s in truth["sessions"]:
        r = have.pop((s["id"], s["va"]), None)
        if not r and scanned and not s["name"]:
            continue
        if not r:
            say("session", s["id"], s["name"], "is missing")
            continue
        if (r["name"] or "") != s["name"] or int(r["mode"], 16) != s["mode"] or r["buffer_size"] != s["buffer_size"]:
            say("session", s["id"], "facts", r["name"], r["mode"], r["buffer_size"])
        if scanned:  # no symbol leads to the processes, so not to consumers' copies
            s["buffers"] = [b for b in s["buffers"] if int(b["va"], 16) >> 63]
        if {b["va"] for b in r["buffers"]} != {b["va"] for b in s["buffers"]}:
            say("session", s["id"], "buffers", len(r["buffers"]), "should be", len(s["buffers"]))
        want = sorted(tuple(x) for b in s["buffers"] for x in b["records"])
        got = sorted(records(os.path.join(sys.argv[2], r["etl"]["path"]))) if r["etl"] else []
        total += len(want)
        if want != got:
            say("session", s["id"], len(got), "records,", len(set(want) & set(got)), "of", len(want), "right")
    if len(sys.argv) > 3:
        key = lambda c: (c["va"], c["pid"], c["process"], c["session"], c["buffers"], c["wow64"])
        want, got = sorted(map(key, truth["consumers"])), sorted(map(key, json.load(open(sys.argv[3]))["consumers"]))
        if want != got:
            say("consumers", got, "should be", want)
    for key in have:
        say("session", key, "should not be there")
    for x in rep["losses"]:  # such tables are not in the image at all
        if not scanned and not x["detail"].startswith(("GUID table", "slots of", "frequency of the performance counter: 10000000 Hz")):
            say("loss", x)
    print(bad, "differences;", len(truth["sessions"]), "sessions,", total, "records")
    sys.exit(1 if bad else 0)


main()
