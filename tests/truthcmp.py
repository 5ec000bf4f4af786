#!/usr/bin/env python3
"""Compares what etlift says with what the maker of the image knows: truthcmp.py [--inferred] TRUTH.json OUTDIR [CONSUMERS.json PROVIDERS.json]

--inferred: the layout was found out, not known: counters may be unknown.

OUTDIR is from `etlift recover`, the other two are `etlift consumers --json` and `etlift providers --json`.

Reads the .etl files with a reader of its own (from docs/etl-format.md, no code shared with the product). Every record that is whole in the image
must be there once, byte for byte, with its time; nothing else may be. Prints each difference; exit status 1 when there is one.
"""
import collections
import datetime
import hashlib
import json
import os
import struct
import sys

bad = 0


def say(*a):
    global bad
    bad += 1
    if bad <= 40:
        print(*a)


def fnv(b):
    h = 0xCBF29CE484222325
    for c in b:
        h = (h ^ c) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


def record_at(b, off, end):
    """(size, kind, timestamp or None) of the record at off, or None."""
    if off + 8 > end or b[off + 3] not in (0xC0, 0x90):
        return None
    kind = b[off + 2]
    if b[off + 3] == 0x90:
        size, flags = struct.unpack_from("<H", b, off)[0], struct.unpack_from("<H", b, off + 6)[0]
        at = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 16 if flags & 2 else 0)
        return size, "message", struct.unpack_from("<Q", b, off + at)[0] if flags & 8 else None
    if kind in (1, 2, 3, 4):
        return struct.unpack_from("<H", b, off + 4)[0], kind, struct.unpack_from("<Q", b, off + 16)[0]
    if kind in (0x10, 0x11):
        return struct.unpack_from("<H", b, off + 4)[0], kind, struct.unpack_from("<Q", b, off + 8)[0]
    return struct.unpack_from("<H", b, off)[0], kind, struct.unpack_from("<Q", b, off + 16)[0]


class Etl:
    def __init__(self, path):
        b = open(path, "rb").read()
        self.size = struct.unpack_from("<I", b, 0)[0]
        self.t0 = struct.unpack_from("<Q", b, 0x58)[0]
        h = 0x68
        self.cpus, = struct.unpack_from("<I", b, h + 0xC)
        self.build, = struct.unpack_from("<I", b, h + 8)
        self.end_time, = struct.unpack_from("<q", b, h + 0x10)
        self.mode, self.written = struct.unpack_from("<II", b, h + 0x20)
        self.lost, = struct.unpack_from("<I", b, h + 0x30)
        self.mhz, = struct.unpack_from("<I", b, h + 0x34)
        self.pointer, = struct.unpack_from("<I", b, h + 0x2C)
        wide = h if self.pointer == 8 else h - 8  # two pointers stand in front of the time zone
        self.bias, = struct.unpack_from("<i", b, wide + 0x48)
        self.boot, self.freq, self.start, self.clock, self.buffers_lost = struct.unpack_from("<qqqII", b, wide + 0xF8)
        self.buffers = []
        if len(b) % self.size or len(b) // self.size != self.written:
            say(path, "size and BuffersWritten disagree")
        for off in range(self.size, len(b), self.size):
            end = struct.unpack_from("<I", b, off + 0x30)[0]
            cpu, = struct.unpack_from("<H", b, off + 0x28)
            if cpu >= self.cpus:
                say(path, "processor index", cpu, "of", self.cpus)
            recs, at = [], 0x48
            buf = b[off:off + self.size]
            while at < end:
                r = record_at(buf, at, end)
                if not r:
                    say(path, "no record at", hex(off + at))
                    break
                recs.append((fnv(buf[at:at + r[0]]), r[2]))
                at += (r[0] + 7) & ~7
            if buf[end:].strip(b"\xff"):
                say(path, "no FF fill behind the data of the buffer at", hex(off))
            self.buffers.append((cpu, recs))

    def time(self, ts):
        if self.clock == 2:
            return ts
        if (self.clock == 3 and not self.mhz) or not self.freq:
            return None
        d = ts - self.t0
        return self.start + (d * 10 // self.mhz if self.clock == 3 else d * 10000000 // self.freq)


def iso(t):
    """FILETIME as the report writes it."""
    if t is None:
        return None
    d = datetime.datetime(1601, 1, 1) + datetime.timedelta(seconds=t // 10000000)
    return d.strftime("%Y-%m-%dT%H:%M:%S") + ".%07dZ" % (t % 10000000)


def compare_file(what, etl, want, ses, truth):
    """want: list of buffers (cpu, [record]); every record once."""
    got = collections.Counter(r[0] for _, recs in etl.buffers for r in recs)
    exp = collections.Counter(r["fnv"] for _, recs in want for r in recs)
    if got - exp:
        say(what, sum((got - exp).values()), "records that should not be there")
    if exp - got:
        say(what, sum((exp - got).values()), "of", sum(exp.values()), "records are missing")
    times = {r["fnv"]: r["time"] for _, recs in want for r in recs}
    for cpu, recs in etl.buffers:
        for h, ts in recs:
            if times.get(h) is None or (truth["foreign"] and etl.time(ts) is None):
                continue
            if etl.time(ts) != times[h]:
                say(what, "time of a record is off by", etl.time(ts) - times[h])
                break
    order = {tuple(r["fnv"] for r in recs) for _, recs in want}
    for cpu, recs in etl.buffers:
        if tuple(r[0] for r in recs) not in order:
            say(what, "a buffer whose records are not those of one buffer, in order")


def compare_row(what, row, b, keep, ses, truth):
    used = 72 + sum((r["size"] + 7) & ~7 for r in keep)
    for key, want in (("pa", b["pa"]), ("state", b["state"]), ("cpu", b["cpu"]), ("sequence", b["sequence"]), ("used_bytes", used),
                      ("timestamp", iso(b["timestamp"])), ("events", len(keep)), ("type", "generic"),
                      ("flags", "0x100" if b["state"] == "unused" else "0x0")):
        # a kernel that nobody knows: its clock may be unknown (frequency of Windows 7, MHz), unknown is null
        if row[key] != want and not (key == "timestamp" and row[key] is None and truth["foreign"] and ses["clock"] != 2):
            say(what, key, row[key], "should be", want)
    if sorted(row["from"]) != sorted(b["from"]):
        say(what, "from", row["from"], "should be", b["from"])
    if (row["same_as"] is not None) != b["copy"]:
        say(what, "same_as is", row["same_as"])
    have = [(g["offset"], g["bytes"], g["why"] == "page_missing") for g in row["gaps"]]
    want = [(g["offset"], g["bytes"], g["page"]) for g in b["gaps"]]
    if have != want:
        say(what, "gaps", row["gaps"], "should be", b["gaps"])


def compare_losses(truth, losses):
    """Each expected loss is named once, nothing else is (but what carved buffers have lost: carvecmp.py)."""
    losses = [y for y in losses if not y["detail"].startswith("carved buffer ")]
    left = list(losses)
    for x in truth["losses"]:
        session = None if x["session"] < 0 else x["session"]
        va = int(x["va"], 16)
        fit = [y for y in losses if y["what"] == x["what"] and y["session"] == session and (session is None or y["silo"] == x["silo"]) and
               (va == 0 or int(y["va"], 16) <= va < int(y["va"], 16) + max(y["bytes"] or 0, 1))]
        if not fit:
            say("loss is not named:", x)
        elif va and len(fit) > 1:
            say("loss is named", len(fit), "times:", x)
        for y in fit[:1]:
            if y in left:
                left.remove(y)
            elif va == 0 and any(z in left for z in fit):
                left.remove(next(z for z in fit if z in left))
    for y in left:
        say("loss should not be there:", y)


def compare_consumers(truth, doc):
    key = lambda c: int(c["va"], 16)
    want = sorted((c for s in truth["sessions"] for c in s["consumers"]), key=key)
    have = sorted(doc["consumers"], key=key)
    if want != have:
        say("consumers", have, "should be", want)


def compare_providers(truth, doc):
    def flat(p):
        return (p["guid"], p["group"], p["pid"], p["process"], p["registered"],
                tuple(sorted((e["silo"], e["session"], e["level"], e["match_any"], e["match_all"]) for e in p["enabled"])))

    want = collections.Counter(flat(p) for p in truth["providers"])
    have = collections.Counter(flat(p) for p in doc["providers"])
    for p in want - have:
        say("provider is missing:", p)
    for p in have - want:
        say("provider should not be there:", p)


def compare_session(truth, ses, rep, out):
    what = "session s%d %d" % (ses["silo"], ses["id"])
    if inferred:  # counters are nowhere to be told from other numbers
        for key in ("events_lost", "buffers_lost", "buffers_written"):
            if rep[key] not in (None, 0, ses[key]):
                say(what, key, rep[key])
            ses[key] = rep[key]
        ses["events_lost"] = ses["events_lost"] or 0
        rep["events_lost"] = rep["events_lost"] or 0
    for key, have, want in (
        ("clock", rep["clock"], {1: "qpc", 2: "system_time", 3: "cpu_cycle"}[ses["clock"]]),
        ("mode", int(rep["mode"], 16), ses["mode"]),
        ("buffer_size", rep["buffer_size"], ses["buffer_size"]),
        ("events_lost", rep["events_lost"], ses["events_lost"]),
        ("buffers_lost", rep["buffers_lost"], ses["buffers_lost"]),
        ("buffers_written", rep["buffers_written"], ses["buffers_written"]),
        ("consumers", [(c["va"], c["pid"], c["process"]) for c in rep["consumers"]],
         sorted((c["va"], c["pid"], c["process"]) for c in ses["consumers"])),
        ("providers", sorted((p["guid"], p["level"], p["match_any"], p["match_all"]) for p in rep["providers"]),
         sorted((p["guid"], e["level"], e["match_any"], e["match_all"]) for p in truth["providers"] for e in p["enabled"]
                if e["session"] == ses["id"] and e["silo"] == ses["silo"])),
    ):
        if have != want:
            say(what, key, have, "should be", want)
    raw = b"".join(struct.pack("<H", int(ses["name16"][i:i + 4], 16)) for i in range(0, len(ses["name16"]), 4))
    name = None if ses["name_lost"] else raw.decode("utf-16-le", "replace").rstrip("\0")
    if (rep["name"] or None) != (name or None) and "\ufffd" not in (name or ""):
        say(what, "name", repr(rep["name"]), "should be", repr(name))
    if rep["start_time"] != iso(ses["start_time"]):
        say(what, "start_time", rep["start_time"], "should be", iso(ses["start_time"]))
    if ("table" in rep["found_by"]) != (ses["in_table"] and not truth["foreign"]) and not (truth["foreign"] and ses["in_table"]):
        say(what, "found_by", rep["found_by"])
    live, old, left = [], [], {(x["va"], x["pid"]): x for x in rep["buffers"]}
    if len(left) != len(rep["buffers"]):
        say(what, "a buffer stands in the report twice")
    for b in ses["buffers"]:
        if b["header_lost"]:
            continue
        keep = [r for r in b["records"] if not r["lost"]]
        if keep and not b["copy"]:
            live.append((b["cpu"], keep))
        row = left.pop((b["va"], b["pid"] or None), None)
        residual = [r for r in b["old"] if not r["lost"]]
        if residual:
            old.append((b["cpu"], residual))
        if row is None:
            say(what, "buffer", b["va"], b["state"], b["from"], "is not in the report")
        else:
            compare_row("%s buffer %s (%s)" % (what, b["va"], b["state"]), row, b, keep, ses, truth)
    for va, _ in left:
        say(what, "buffer", va, "should not be in the report")
    for key, want in (("etl", live), ("residual", old)):
        have = rep[key]
        if not want:
            if have is not None:
                say(what, key, "should be null")
            continue
        if have is None:
            say(what, key, "is null:", sum(len(r) for _, r in want), "records are missing")
            continue
        path = os.path.join(out, have["path"])
        if hashlib.sha256(open(path, "rb").read()).hexdigest() != have["sha256"]:
            say(what, key, "sha256 in the report is wrong")
        etl = Etl(path)
        compare_file(what + " " + key, etl, want, ses, truth)
        for k, h, w in (("pointer size", etl.pointer, truth["pointer_size"]), ("cpus", etl.cpus, max([truth["cpus"]] + [c + 1 for c, _ in want if c < 2048])), ("build", etl.build, truth["build"]), ("boot", etl.boot, truth["boot_time"]),
                        ("bias", etl.bias, truth["bias"]), ("clock", etl.clock, ses["clock"]), ("start", etl.start, ses["start_time"]),
                        ("t0", etl.t0, ses["start_ts"]), ("freq", etl.freq, truth["perf_freq"]), ("lost", etl.lost, ses["events_lost"])):
            if h != w:
                say(what, key, "header", k, h, "should be", w)
        loss = {"what": "context_bad", "silo": ses["silo"], "session": ses["id"], "va": "0x0"}
        if key == "etl" and etl.clock == 3 and not etl.mhz and loss not in truth["losses"]:
            if not inferred:
                say(what, "the image tells the processors' MHz, the file does not")
            truth["losses"].append(loss)  # no table leads to them: said once
        if key == "etl" and have["events"] != sum(len(r) for _, r in want):
            say(what, "the report counts", have["events"], "events")


inferred = "--inferred" in sys.argv


def main():
    if inferred:
        sys.argv.remove("--inferred")
    truth = json.load(open(sys.argv[1]))
    if not truth["guid_table"]:  # no symbol leads to the table of GUIDs: what nobody has registered can't be known
        groups = {p["group"] for p in truth["providers"] if p["registered"]}
        truth["providers"] = [p for p in truth["providers"] if p["registered"] or (p["is_group"] and p["guid"] in groups)]
    out = sys.argv[2]
    rep = json.load(open(os.path.join(out, "report.json")))
    reps = {(s["silo"], s["id"], s["va"]): s for s in rep["sessions"]}
    for ses in truth["sessions"]:
        key = (ses["silo"], ses["id"], ses["va"])
        if key not in reps:
            say("session s%d %d at %s is missing" % key)
            continue
        compare_session(truth, ses, reps.pop(key), out)
    for key in reps:
        say("session s%s %s at %s should not be there" % key)
    compare_losses(truth, rep["losses"])
    kern = rep["kernel"]
    for k, want in (("build", truth["build"]), ("base", truth["base"]), ("cpus", truth["cpus"]), ("system_time", iso(truth["system_time"])),
                    ("boot_time", iso(truth["boot_time"])), ("dtb", kern["dtb"] if truth["any_dtb"] else truth["dtb"])):
        if kern[k] != want:
            say("kernel", k, kern[k], "should be", want)
    if len(sys.argv) > 3:
        compare_consumers(truth, json.load(open(sys.argv[3])))
        compare_providers(truth, json.load(open(sys.argv[4])))
    print("%d differences; %d sessions, %d losses" % (bad, len(truth["sessions"]), len(rep["losses"])))
    sys.exit(1 if bad else 0)


main()
