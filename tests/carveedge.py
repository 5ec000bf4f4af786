#!/usr/bin/env python3
"""Buffers at the edges of what an image may be: carveedge.py ETLIFT SCRATCH [CASE...]

text    the first page of a raw image is text: no text file, for any command; a text file is one still
cut     the image ends inside a page: every record that is whole in it comes back, whether its buffer begins there or goes on there
cpu     a header names a processor that no machine has: its records come back, the report says what it says, and the file has a processor for each of its buffers
late    text, noise or a later time stands over a record's header from its time on: it is torn, all before it comes back, and nothing of the year 26000
local   a performance log's records have local time, its header UTC: buffers that lie anywhere get its name, those of another day don't
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
image, out = os.path.join(scratch, "edge.raw"), os.path.join(scratch, "edge")
bad = 0


def say(*what):
    global bad
    bad = 1
    print(*what)


def buffer(rng, size, form="freed", ident=7, cpu=1, room=0, start=10**10):
    """[bytes, records as (offset, bytes)]; room: left free at its end."""
    body, recs, t, state, offset, flag = b"", [], start + rng.randrange(10**8), 0, 0, 0
    while HDR + len(body) + 0x90 <= size - room:
        t += rng.randrange(1, 900)
        n = 8 * rng.randrange(1, 15)
        r = struct.pack("<HBBHHQ", 2, 0x11, 0xC0, 0x10 + n, 0x0F33, t) + rng.randbytes(n)
        recs.append((HDR + len(body), r))
        body += r
    end = HDR + len(body)
    saved, cur, ref, ts = end, end + size, 0, t + 5
    if form == "logging":
        saved, cur, ref, ts, state = 0, end, 15, 0, 1
    if form == "file":
        cur, state, offset, flag = end, 3, end, 0x20
    links = [0xFFFFB58000000038 + (rng.randrange(1 << 20) << 12) for _ in "ab"]
    raw = struct.pack("<IIIIQQQHHIIHHQQ", size, saved, cur, ref, ts, 9, 0, cpu, ident, state, offset, flag, 0, *links) + body
    return raw.ljust(size, b"\xff" if form == "file" else b"\0"), recs


def write(data):
    with open(image, "wb") as f:
        f.write(data)


def run(*args):
    return subprocess.run([etlift, *args], capture_output=True, text=True)


def carve(*args):
    """(exit status, report or None, records)"""
    shutil.rmtree(out, ignore_errors=True)
    p = run("carve", image, "-q", "-o", out, *args)
    if not os.path.exists(out + "/report.json"):
        return p.returncode, None, []
    got = []
    for path in glob.glob(out + "/sessions/*.etl"):
        b = open(path, "rb").read()
        size, = struct.unpack_from("<I", b)
        for at in range(size, len(b), size):
            off, end = at + HDR, at + struct.unpack_from("<I", b, at + 0x30)[0]
            while off < end:
                n, = struct.unpack_from("<H", b, off + 4)
                got.append(b[off:off + n])
                off += n
        if run("check", path).returncode:
            say(path, "is not valid")
    return p.returncode, json.load(open(out + "/report.json")), got


def case_text():
    rng = random.Random(1)
    b, recs = buffer(rng, 16384)
    for text in ("key%d=value\n", "<item name=\"n%d\">text</item>\r\n"):
        page = "".join(text % i for i in range(400)).encode()[:PAGE]
        for n in (1, 2, 5):
            write(page * n + rng.randbytes(20 * PAGE) + b + rng.randbytes(40 * PAGE))
            rc, _, got = carve()
            if rc != 0 or sorted(got) != sorted(r for _, r in recs):
                say("text in", n, "pages: carve ends with", rc, "and gives", len(got), "of", len(recs))
            for args in (["info"], ["sessions"], ["recover", "-o", out + ".r"], ["events"], ["events", "--carve"], ["scan", "--memory", "-y", scratch + "/edge.yar"]):
                p = run(*args[:1], image, *args[1:])
                if "text file" in p.stderr or p.returncode not in (0, 4):
                    say("text in", n, "pages:", args[0], "ends with", p.returncode, p.stderr)
                shutil.rmtree(out + ".r", ignore_errors=True)
        for n in (1, 17, 300):
            write(page * n + b"\xc3\xa4\xe2\x82\xac end")
            p = run("info", image)
            if p.returncode != 3 or (n > 15 and "a text file" not in p.stderr):
                say("a text file of", n, "pages: info ends with", p.returncode, p.stderr)


def case_cut():
    rng = random.Random(2)
    for form in ("freed", "logging", "file"):
        for size in (4096, 8192, 16384, 65536):
            b, recs = buffer(rng, size, form, room=rng.randrange(300))
            end = recs[-1][0] + len(recs[-1][1])
            for at in {300, 777, 4095, size - 2500, size - 4096 + 777, size - 4096 + 3001, size - 1, end}:
                if not 0 < at < size or at % PAGE == 0:
                    continue
                write(rng.randbytes(20 * PAGE) + b[:at])
                rc, report, got = carve()
                want = [r for o, r in recs if o + len(r) <= at]
                # one page of a buffer and a bit tell nothing when no record begins in that bit
                sure = [r for o, r in recs if o + len(r) <= at and (at < PAGE or o + len(r) <= at // PAGE * PAGE)]
                begins = sum(at // PAGE * PAGE <= o and o + len(r) <= at for o, r in recs)
                need = want if begins else sure
                if at < 777 and len(want) < 8:
                    continue
                if not set(need) <= set(got) or not set(got) <= set(want) or len(got) != len(set(got)):
                    say(form, size, "cut at", at, ":", len(got), "of", len(want), "records,", len(set(got) - set(want)), "others, ends with", rc)
                elif len(want) < len(recs) and not any(x["what"] in ("page_missing", "record_bad") for x in report["losses"]):
                    say(form, size, "cut at", at, ": no loss is named")


def case_cpu():
    for form in ("freed", "logging", "file"):
        for cpu in (0, 7, 255, 256, 2047, 0x81F, 4095, 4096, 5000, 0xFFFF):
            rng = random.Random(cpu)
            b, recs = buffer(rng, 16384, form, cpu=cpu)
            write(rng.randbytes(20 * PAGE) + b + rng.randbytes(3 * PAGE))
            rc, report, got = carve()
            if rc != 0 or got != [r for _, r in recs]:
                say(form, "processor", cpu, ":", len(got), "of", len(recs), "records, ends with", rc)
                continue
            said = [x["cpu"] for o in report["orphans"] for x in o["buffers"]]
            if said != [31 if cpu == 0x81F else cpu]:  # Windows 7's word
                say(form, "processor", cpu, "is", said, "in the report")
            raw = open(glob.glob(out + "/sessions/*.etl")[0], "rb").read()
            size, n = struct.unpack_from("<I", raw)[0], struct.unpack_from("<I", raw, 0x74)[0]
            if any(struct.unpack_from("<H", raw, at + 0x28)[0] >= n for at in range(0, len(raw), size)):
                say(form, "processor", cpu, ": the file has", n, "processors, too few for its buffers")


def case_late():
    rng = random.Random(4)
    for form in ("freed", "logging", "file"):
        for size in (4096, 16384, 65536):
            for kind in ("text", "noise", "soon"):
                b, recs = buffer(rng, size, form)
                # a time that is late by no more than an hour is known by that of the buffer, which one that is being written has not
                if kind == "soon" and (form == "logging" or size > PAGE):
                    continue
                o, r = rng.choice([x for x in recs[8:-8] if (x[0] + 8) % 16 == 0])
                at = o + 8
                over = (b"Lorem ipsum dolor sit amet, " * size)[:size - at] if kind == "text" else b"\x7f" * 8 + rng.randbytes(size - at - 8)
                if kind == "soon":
                    over = struct.pack("<Q", struct.unpack_from("<Q", recs[-1][1], 8)[0] + 36 * 10**9) + over[8:]
                write(rng.randbytes(20 * PAGE) + b[:at] + over + rng.randbytes(3 * PAGE))
                rc, report, got = carve()
                want = [x for p, x in recs if p < o]
                if rc != 0 or got != want:
                    say(form, size, kind, "over the record at", o, ":", len(got), "of", len(want), "records, ends with", rc)
                    continue
                gaps = [g for k in report["orphans"] for x in k["buffers"] for g in x["gaps"]]
                if not gaps or gaps[0]["offset"] != o or gaps[0]["why"] != "torn_record":
                    say(form, size, kind, "over the record at", o, ": gaps are", gaps)


def header(size, start, end, bias, name, ident):
    """The buffer that a file begins with; its clock is wall time. bias: minutes, standard and daylight time."""
    zone = struct.pack("<i", bias[0]) + bytes(0xA8 - 4) + struct.pack("<i", bias[1] - bias[0])
    h = struct.pack("<IBBBBIIqIIIIIIII", size, 6, 2, 1, 5, 9200, 1, end, 156250, 0, 1, 4, 1, 8, 0, 2600)
    h += bytes(16) + zone + bytes(4) + struct.pack("<qqqII", start - 10**12, 10**7, start, 2, 0)
    h += (name + "\0C:\\" + name + ".blg\0").encode("utf-16le")
    r = struct.pack("<HBBHHIIQII", 2, 2, 0xC0, 0x20 + len(h), 0, 4, 4, start, 0, 0) + h
    last = HDR + (len(r) + 7 & ~7)
    b = struct.pack("<IIIIQQQHHIIHHQQ", size, last, last, 0, 0, 0, 0, 0, ident, 3, last, 0x21, 4, 0, 0) + r
    return b.ljust(last, b"\0").ljust(size, b"\xff")


def case_local():
    start, minute, size = 133_600_000_000_000_000, 600_000_000, 16384
    for bias, off, named in (((480, 420), 480, True), ((480, 420), 420, True), ((-330, -330), -330, True), ((0, 0), 0, True),
                             ((480, 420), 481, False), ((480, 420), 480 + 1440, False), ((0, 0), 60, False)):
        rng = random.Random(off)
        bufs = [buffer(rng, size, "file", start=start + k * minute - off * minute) for k in range(3)]
        pieces = [header(size, start, start + 10 * minute, bias, "PerfLog", 7)] + [b[:0x18] + struct.pack("<Q", k + 1) + b[0x20:] for k, (b, _) in enumerate(bufs)]
        pages = [p[i:i + PAGE] for p in pieces for i in range(0, size, PAGE)]
        places = rng.sample(range(16, 200), len(pages))
        data = bytearray(rng.randbytes(200 * PAGE))
        for at, page in zip(places, pages):
            data[at * PAGE:(at + 1) * PAGE] = page
        write(data)
        rc, report, got = carve()
        names = {o["name"] for o in report["orphans"]} if report else None
        if rc != 0 or names != {"PerfLog" if named else "carved-7"} or not set(got) <= {r for _, rs in bufs for _, r in rs}:
            say("zone", bias, "records off by", off, "minutes: names are", names)


with open(scratch + "/edge.yar", "w") as f:
    f.write('rule r { strings: $a = "never there" condition: $a }')
for name in sys.argv[3:] or ("text", "cut", "cpu", "late", "local"):
    globals()["case_" + name]()
sys.exit(bad)
