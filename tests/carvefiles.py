#!/usr/bin/env python3
"""Cached files of two sessions that had one id and one buffer size, in two boots: carvefiles.py ETLIFT SCRATCH

No event of one may stand in the other's file, and a time that is said to be certain is right. Rings of even and of odd length (half of an odd one knows no head), files whose
pages follow each other and files whose buffers lie anywhere, with both headers and with one. Clocks that count alike in both boots, when the header of one file is lost.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys

PAGE, SIZE, ID, DAY = 4096, 16384, 9, 86400 * 10**7
START = 133_600_000_000_000_000
etlift, scratch = sys.argv[1:3]
bad = 0


def header(name, t0, start, n, stop=0):
    """The buffer that a file begins with; stop 0: the file is still written."""
    h = struct.pack("<IBBBBIIqIIIIIIII", SIZE, 10, 0, 1, 5, 19041, 2, stop, 156001, 0, 1, n + 1, 1, 8, 7, 2600)
    zone = struct.pack("<i", -60) + "Z\u00fcrich".encode("utf-16le").ljust(0xA8, b"\0")
    h += bytes(16) + zone + bytes(4) + struct.pack("<qqqII", start - DAY, 10**7, start, 1, 3)
    h += (name + "\0C:\\" + name + ".etl\0").encode("utf-16le")
    r = struct.pack("<HBBHHIIQII", 2, 2, 0xC0, 0x20 + len(h), 0, 4, 4, t0, 0, 0) + h
    end = 0x48 + (len(r) + 7 & ~7)
    b = struct.pack("<IIIIQQQHHIIHHQQ", SIZE, end, end, 0, 0, 0, 0, 0, ID, 3, end, 0x21, 4, 0, 0) + r
    return b.ljust(end, b"\0").ljust(SIZE, b"\xff")


def session(rng, which, n, t0=None, place=None):
    """`place`: which session's addresses it has, its own if None."""
    t0, start = t0 or rng.randrange(1, 9) * 10**11, START + which * 2 * DAY
    place = which if place is None else place
    vas = [0xFFFFB58000000000 + (place << 32) + i * 0x5000 for i in range(n)]
    head, bufs, t = 0xFFFFB50000000060 + (place << 20), [], t0 + 1000
    for i in range(n):
        body, first = b"", t
        while len(body) < SIZE - 0x200:
            t += rng.randrange(100, 9000)
            r = struct.pack("<HBBHHQ", 2, 0x11, 0xC0, 0x28, 0x0F33, t) + rng.randbytes(0x18)
            body += r
        end = 0x48 + len(body)
        flink, blink = (vas[i + 1] + 0x38 if i + 1 < n else head), (vas[i - 1] + 0x38 if i else head)
        b = struct.pack("<IIIIQQQHHIIHHQQ", SIZE, end, end, 0, t + 5, i + 1, 0, i % 2, ID, 3, end, 0x20, 0, flink, blink) + body
        bufs.append(b.ljust(SIZE, b"\xff"))
    name, stop = "S%d" % which, start + t + 5 - t0
    return {"t0": t0, "start": start, "bufs": bufs, "name": name,
            "header": header(name, t0, start, n), "closed": header(name, t0, start, n, stop)}


def place(rng, pieces, apart):
    """Physical places: all in a row, or each somewhere."""
    out, at = [], 16
    for row in pieces:
        for p in row:
            if apart:
                at += rng.randrange(1, 4)
            out.append((at, p))
            at += SIZE // PAGE
        at += rng.randrange(1, 9)
    return out, at


def times(path):
    b = open(path, "rb").read()
    t0, = struct.unpack_from("<Q", b, 0x58)
    freq, start = struct.unpack_from("<qq", b, 0x68 + 0x100)
    for at in range(SIZE, len(b), SIZE):
        for off in range(at + 0x48, at + struct.unpack_from("<I", b, at + 0x30)[0], 0x28):
            yield b[off:off + 0x28], start + (struct.unpack_from("<Q", b, off + 8)[0] - t0) * 10**7 // freq


def case(seed, n, apart, headers):
    global bad
    rng = random.Random(seed)
    both = [session(rng, k, n + k * (seed % 2)) for k in range(2)]
    owner = {b[o:o + 0x28]: (k, s["start"] + struct.unpack_from("<Q", b, o + 8)[0] - s["t0"])
             for k, s in enumerate(both) for b in s["bufs"] for o in range(0x48, struct.unpack_from("<I", b, 0x30)[0], 0x28)}
    rows = [([s["header"]] if k in headers else []) + s["bufs"] for k, s in enumerate(both)]
    pages, end = place(rng, rows, apart)
    image, out = os.path.join(scratch, "files.raw"), os.path.join(scratch, "files")
    with open(image, "wb") as f:
        f.write(rng.randbytes((end + 16) * PAGE))
        for at, p in pages:
            f.seek(at * PAGE)
            f.write(p)
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([etlift, "carve", "-q", image, "-o", out], check=True)
    seen, wrong, certain = set(), [], 0
    for o in json.load(open(out + "/report.json"))["orphans"]:
        got = list(times(os.path.join(out, o["etl"]["path"])))
        seen |= {r for r, _ in got}
        if len({owner[r][0] for r, _ in got}) != 1:
            wrong.append("two sessions in " + o["etl"]["path"])
        off = max(abs(owner[r][1] - t) for r, t in got)
        if o["time_anchor"]["sure"] == "certain":
            certain += 1
            if off > 10 or o["name"] != both[owner[got[0][0]][0]]["name"]:
                wrong.append("certain, but %s, %d s off" % (o["name"], off // 10**7))
    if len(seen) != len(owner):
        wrong.append("%d records missing" % (len(owner) - len(seen)))
    if not apart and certain != len(headers):
        wrong.append("%d files are known for certain, of %d" % (certain, len(headers)))
    bad += bool(wrong)
    print("%d buffers, %s, headers of %s: %s" % (n, "apart" if apart else "in a row", headers, wrong or "right"))


def carve(rng, pieces):
    """[piece, ...], each apart from the others by noise -> report, its folder."""
    image, out = os.path.join(scratch, "files.raw"), os.path.join(scratch, "files")
    with open(image, "wb") as f:
        f.write(b"".join(rng.randbytes(PAGE * rng.randrange(1, 4)) + p for p in pieces) + rng.randbytes(16 * PAGE))
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([etlift, "carve", "-q", image, "-o", out], check=True)
    return json.load(open(out + "/report.json")), out


def judge(what, both, report, out, want):
    """Each record's time as its own header says, or a guess; `want`: [(sure, name), ...] of the orphans, sorted; None: any that are right."""
    global bad
    owner = {b[o:o + 0x28]: s["start"] + struct.unpack_from("<Q", b, o + 8)[0] - s["t0"]
             for s in both for b in s["bufs"] for o in range(0x48, struct.unpack_from("<I", b, 0x30)[0], 0x28)}
    seen, wrong = [], []
    for o in report["orphans"]:
        got = list(times(os.path.join(out, o["etl"]["path"])))
        seen += [r for r, _ in got]
        off = max(abs(owner[r] - t) for r, t in got)
        if off > 10 and o["time_anchor"]["sure"] != "guess":
            wrong.append("%s, but %d s off" % (o["time_anchor"]["sure"], off // 10**7))
    if sorted(seen) != sorted(owner):
        wrong.append("%d records of %d" % (len(seen), len(owner)))
    have = sorted((o["time_anchor"]["sure"], o["name"]) for o in report["orphans"])
    if want is not None and have != want:
        wrong.append("orphans %s, not %s" % (have, want))
    bad += bool(wrong)
    print("%s: %s" % (what, wrong or "right"))


def two(seed, n, t1, place, kind, want, beside=False):
    """Two files of one id, whose second one began at t1; buffers anywhere. `beside`: the first one's header stands before a buffer of the second one, by chance."""
    rng = random.Random(seed)
    both = [session(rng, 0, n, 10**11, 0), session(rng, 1, n, t1, place)]
    a, b = (s["bufs"][:] for s in both)
    first = [both[0][kind] + b.pop(n // 2)] if beside else [both[0][kind]]
    pieces = first + [both[1][kind]] + a + b
    rng.shuffle(pieces)
    report, out = carve(rng, pieces)
    judge("%d buffers, second one begun at %d, %s, %s%s" % (n, t1, kind, "same place" if place == 0 else "other place", ", header beside" if beside else ""),
          both, report, out, want)


def twice(seed, n, apart):
    """One file stands in memory twice, once as it was before it was closed."""
    rng = random.Random(seed)
    s = session(rng, 0, n, 10**11)
    row = [s["header"]] + s["bufs"][:n // 2], [s["closed"]] + s["bufs"]
    pieces = [p for r in row for p in r] if apart else [b"".join(r) for r in row]
    if apart:
        rng.shuffle(pieces)
    report, out = carve(rng, pieces)
    judge("%d buffers twice, %s" % (n, "apart" if apart else "in a row"), [s], report, out, [("certain", "S0")])


def narrow(b):
    """The header buffer as a 32-bit system writes it: two pointers are 4 bytes."""
    h, end = b[0x68:struct.unpack_from("<I", b, 0x30)[0]], struct.unpack_from("<I", b, 0x30)[0] - 8
    h = h[:0x2C] + struct.pack("<I", 4) + h[0x30:0x38] + bytes(8) + h[0x48:]
    r = struct.pack("<HBBH", 2, 1, 0xC0, struct.unpack_from("<H", b, 0x4C)[0] - 8) + b[0x4E:0x68] + h
    return (struct.pack("<III", SIZE, end, end) + b[12:0x30] + struct.pack("<I", end) + b[0x34:0x48] + r).ljust(SIZE, b"\xff")


def fields(seed, wide):
    """All that the file's own header says is in the rebuilt one; a buffer's time that no clock had is none."""
    global bad
    rng = random.Random(seed)
    s = session(rng, 0, 4, 10**11)
    own = s["closed"] if wide else narrow(s["closed"])
    b = s["bufs"][1]
    s["bufs"][1] = b[:0x10] + struct.pack("<Q", s["start"]) + b[0x18:]  # as a relogger leaves it
    report, out = carve(rng, [own] + s["bufs"])
    o = report["orphans"][0]
    got = open(os.path.join(out, o["etl"]["path"]), "rb").read()
    end = struct.unpack_from("<H", own, 0x4C)[0] + 0x48
    # all but EndTime and BuffersWritten
    wrong = [hex(i) for i in range(0x68, end) if got[i] != own[i] and not 0x78 <= i < 0x80 and not 0x8C <= i < 0x90]
    facts = [o["events_lost"], o["buffers_lost"], o["log_file"], [x["timestamp"] for x in o["buffers"]].count(None)]
    if facts != [7, 3, "C:\\S0.etl", 1]:
        wrong.append(facts)
    bad += bool(wrong)
    print("fields of a %s header: %s" % ("64-bit" if wide else "32-bit", wrong or "right"))


def behind(seed, page):
    """A page in the middle of each buffer is written over: what stands in its place behind it is the buffer's still."""
    global bad
    rng = random.Random(seed)
    s = session(rng, 0, 5)
    image, out = os.path.join(scratch, "files.raw"), os.path.join(scratch, "files")
    pages, end = place(rng, [[s["header"]] + s["bufs"]], False)
    whole = set()
    with open(image, "wb") as f:
        f.write(rng.randbytes((end + 16) * PAGE))
        for at, p in pages:
            f.seek(at * PAGE)
            f.write(p if p is s["header"] else p[:page * PAGE] + rng.randbytes(PAGE) + p[(page + 1) * PAGE:])
    for b in s["bufs"]:
        for o in range(0x48, struct.unpack_from("<I", b, 0x30)[0], 0x28):
            if o + 0x28 <= page * PAGE or o >= (page + 1) * PAGE:
                whole.add(b[o:o + 0x28])
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([etlift, "carve", "-q", image, "-o", out], check=True)
    report = json.load(open(out + "/report.json"))
    got = [r for o in report["orphans"] for r, _ in times(os.path.join(out, o["etl"]["path"]))]
    gaps = sum(x["what"] == "page_missing" or x["what"] == "record_bad" for x in report["losses"])
    wrong = len(set(got) ^ whole) + (len(got) != len(set(got))) + (gaps < len(s["bufs"]))
    bad += wrong != 0
    print("page %d of each buffer lost: %d records whole, %d came back, %d wrong" % (page, len(whole), len(set(got) & whole), wrong))


def boots(seed, n, first, same, apart, left, want):
    """Two boots, both clocks begun alike; the header of the first file is lost. `first`: how many buffers that has; `same`: at the second one's addresses; `left`: which
    of the second one's are there; None: all. No time may be called more than a guess that is another boot's."""
    global bad
    rng = random.Random(seed)
    both = [session(rng, 0, first, 10**11 + 5000, 0), session(rng, 1, n, 10**11, 0 if same else 1)]
    kept = [b for i, b in enumerate(both[1]["bufs"]) if left is None or i in left]
    rows = [both[0]["bufs"], [both[1]["closed"]] + kept]
    pieces = [p for r in rows for p in r] if apart else [b"".join(r) for r in rows]
    if apart:
        rng.shuffle(pieces)
    both[1]["bufs"] = kept
    report, out = carve(rng, pieces)
    judge("two boots, %d and %d buffers, the first header lost, %s place, %s%s" % (first, n, "same" if same else "other", "apart" if apart else "in a row",
                                                                                "" if left is None else ", second file's %s left" % (left,)), both, report, out, want)
    if not apart and left is None and ("certain", "S1") not in [(o["time_anchor"]["sure"], o["name"]) for o in report["orphans"]]:
        bad += 1
        print("the second file's row is not certain")


def freed(seed, n):
    """Buffers that never were in a file, of this boot, beside a whole file of an earlier one."""
    rng = random.Random(seed)
    both = [session(rng, 0, n, 10**11), session(rng, 1, 3, 10**11 + 10**6)]
    both[1]["bufs"] = [b[:0x2C] + bytes(4) + b[0x30:0x34] + bytes(2) + b[0x36:] for b in both[1]["bufs"]]
    for i, b in enumerate(both[1]["bufs"]):  # no fill behind the data
        end, = struct.unpack_from("<I", b, 0x30)
        both[1]["bufs"][i] = b[:end].ljust(SIZE, b"\0")
    pieces = [both[0]["closed"]] + both[0]["bufs"] + both[1]["bufs"]
    rng.shuffle(pieces)
    report, out = carve(rng, pieces)
    judge("freed buffers beside a file of %d" % n, both, report, out, [("certain", "S0"), ("guess", "carved-9")])


for seed, n in enumerate((8, 9, 12)):
    for same in (False, True):
        # all of the second file's numbers are there: in its row, or in the ring of its own
        boots(70 + seed, n, n - 3, same, False, None, None)
        boots(70 + seed, n, n - 3, same, True, None, None)
        boots(70 + seed, n, n + 3, same, True, None, None)
        boots(70 + seed, n, n - 3, same, True, (), [("guess", "carved-9")] if n == 9 else None)  # an even number in the first: one ring
        boots(70 + seed, n, n - 3, same, False, (0, 1, 2), None)
        boots(70 + seed, n, 5, same, True, (0, 6), None)
for n in (4, 5):
    freed(80 + n, n)
for page in (1, 2):
    behind(50 + page, page)
for wide in (True, False):
    fields(60, wide)
CERTAIN = [("certain", "S0"), ("certain", "S1")]
for seed, n in enumerate((4, 5)):
    for where in (0, 1):
        two(seed, n, 5 * 10**11, where, "closed", CERTAIN)
        two(seed, n, 5 * 10**11, where, "closed", CERTAIN, True)
        two(seed, n, 10**11 + 10**6, where, "closed", None)  # both at the same time, by their clocks
        two(seed, n, 10**11 + 10**6, where, "closed", None, True)
        two(seed, n, 5 * 10**11, where, "header", None)
        two(seed, n, 5 * 10**11, where, "header", None, True)
    for apart in (False, True):
        twice(seed, n, apart)
for seed, n in enumerate((4, 5, 6, 7, 1)):
    for apart in (False, True):
        for headers in ((0, 1), (0,), (1,)):
            case(seed, n, apart, headers)
sys.exit(bad != 0)
