#!/usr/bin/env bash
# etlift events --format evtx: all events of the sample files and dumps, read back by libevtx (evtxexport), with the values of the JSON lines; without it, the
# structure is checked: signatures, checksums, counts, every record's size.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.img || exit 1
"$ETLIFT" events demo.img --format evtx 2>err
[ $? = 2 ] && grep -q -e '-o' err || bad "evtx to standard output: $(cat err)"
"$ETLIFT" events demo.img --event 65000 --format evtx -o none.evtx || bad "evtx without events"
sources=(demo.img)
[ -z "$DATA" ] || sources+=("$DATA"/etl/*.etl "$DATA"/etl/*.blg "$DATA"/triage/triage_x64.dmp "$DATA"/triage/triage_arm64.dmp)
"$ETLIFT" events "${sources[@]}" -o all.jsonl || bad "jsonl: status $?"
"$ETLIFT" events "${sources[@]}" --format evtx -o all.evtx 2>evtx.err || bad "evtx: status $?"
# Only an event larger than a chunk may be missing: the comparison below counts them.
grep "left out" evtx.err
"$ETLIFT_SAN" events demo.img --format evtx -o san.evtx && "$ETLIFT" events demo.img --format evtx -o demo.evtx && cmp san.evtx demo.evtx || bad "under sanitizers"
/usr/bin/python3 - <<'PY' || fail=1
import struct, zlib
for name in ("all.evtx", "none.evtx"):
    b = open(name, "rb").read()
    first, last, following, size, minor, major, block, chunks = struct.unpack_from("<QQQIHHHH", b, 8)
    assert b[:8] == b"ElfFile\0" and (size, major, block) == (128, 3, 4096) and zlib.crc32(b[:120]) == struct.unpack_from("<I", b, 124)[0]
    assert len(b) == 4096 + 65536 * chunks and last == max(chunks - 1, 0)
    record = 1
    for k in range(chunks):
        c = b[4096 + 65536 * k:4096 + 65536 * (k + 1)]
        lo, hi, lo2, hi2, head, at_last, free, crc = struct.unpack_from("<QQQQIIII", c, 8)
        assert c[:8] == b"ElfChnk\0" and (lo, hi) == (lo2, hi2) and lo == record and head == 128
        assert crc == zlib.crc32(c[512:free]) and struct.unpack_from("<I", c, 124)[0] == zlib.crc32(c[:120] + c[128:512])
        at = 512
        while at < free:
            mark, n, number = struct.unpack_from("<IIQ", c, at)
            assert mark == 0x2a2a and number == record and struct.unpack_from("<I", c, at + n - 4)[0] == n
            record, was, at = record + 1, at, at + n
        assert at == free and was == at_last and hi == record - 1
    assert following == record
    print(name, chunks, "chunks,", record - 1, "records")
PY
command -v evtxexport >/dev/null || { echo "no evtxexport: values were not compared"; exit $fail; }
# It prints bytes of a binary value and text as they are: what XML can't hold was replaced by us, so that its output must be XML.
evtxexport -f xml all.evtx >all.xml 2>err || bad "evtxexport: status $? $(head -3 err)"
/usr/bin/python3 - <<'PY' || fail=1
import json, re, sys
import xml.etree.ElementTree as ET
NS, REC = "{http://schemas.microsoft.com/win/2004/08/events/event}", "{urn:etlift:record:1}"
bad = n = values = huge = as_payload = 0
said = re.search("evtx: ([0-9]+) events", open("evtx.err").read())


def wrong(*what):
    global bad
    bad += 1
    if bad < 20:
        print(*what)


def events():
    some = []
    for line in open("all.xml", encoding="utf-8", newline="\n"):
        if line.startswith("<Event xmlns="):
            some = [line]
        elif some:
            some.append(line)
        if some and line.startswith("</Event>"):
            yield ET.fromstring("".join(some))
            some = []


def clean(s):
    s = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", s)
    return s.replace("\r\n", "\n").replace("\r", "\n")  # as an XML reader does


def same(v, got):
    got = got or ""
    if isinstance(v, bool):
        return got.lower() == str(v).lower()
    if v is None:
        return got == ""
    # libevtx 20181227 prints a negative number as "-" and its low 63 bits: still one number for each.
    if isinstance(v, int) and v < 0 and got == "-%d" % (v & (1 << 63) - 1):
        return True
    if isinstance(v, (int, list, dict)):
        return got == str(v) or got == clean(json.dumps(v, separators=(",", ":"), ensure_ascii=False)) or (isinstance(v, (list, dict)) and json.loads(got) == json.loads(json.dumps(v)))
    if clean(v) == got or clean(v).strip() == got.strip():
        return True
    if v.startswith("0x"):
        return got.startswith("0x") and int(got, 16) == int(v, 16)
    if re.fullmatch("[0-9a-fA-F-]{36}", v):
        return got.strip("{}").lower() == v
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", v):
        return got[:len(v) - 1] == v[:-1]
    return got.lower() == v  # bytes


xml = events()
waits = None
for line in open("all.jsonl", encoding="utf-8"):
    j = json.loads(line, parse_float=lambda s: s)
    el = waits if waits is not None else next(xml, None)
    waits = None
    if el is not None and len(line) > 100000 and el.find(REC + "Record").get("Offset") != str(j["source"]["offset"]):
        waits, huge = el, huge + 1
        continue
    n += 1
    if el is None:
        wrong("fewer events:", n)
        break
    s, r = el.find(NS + "System"), el.find(REC + "Record")
    t = s.find(NS + "TimeCreated")
    if int(s.find(NS + "EventRecordID").text) != n or not same(j["time"], t.get("SystemTime") if t is not None else None):
        wrong("time", n, j["time"], t.attrib)
    x = s.find(NS + "Execution")
    for what, v, got in (("guid", j["provider"]["guid"], s.find(NS + "Provider").get("Guid")), ("name", j["provider"]["name"], s.find(NS + "Provider").get("Name")),
                         ("id", j["event"]["id"] or 0, s.findtext(NS + "EventID")), ("level", j["event"]["level"], s.findtext(NS + "Level")),
                         ("task", j["event"]["task"], s.findtext(NS + "Task")), ("opcode", j["event"]["opcode"], s.findtext(NS + "Opcode")),
                         ("keywords", j["event"]["keywords"], s.findtext(NS + "Keywords")), ("pid", j["pid"], x.get("ProcessID") if x is not None else None),
                         ("activity", j["activity"], s.find(NS + "Correlation").get("ActivityID")), ("sid", j["sid"], s.find(NS + "Security").get("UserID")),
                         ("kind", j["kind"], r.get("Kind")), ("session", j["session"], r.get("Session")), ("event name", j["event"]["name"], r.get("EventName")),
                         ("offset", j["source"]["offset"], r.get("Offset")), ("reason", j.get("reason") or ("the fields do not fit a chunk" if el.find(NS + "EventData") is None else None), r.get("Reason"))):
        if not same(v, got):
            wrong(what, n, repr(v), repr(got))
    if j["data"] is None:
        if (el.findtext(NS + "BinaryEventData") or "").lower() != j["payload"]:
            wrong("payload", n)
        continue
    d = el.find(NS + "EventData")
    if d is None:
        as_payload += 1
        if len(line) < 30000 or r.get("Reason") != "the fields do not fit a chunk" or not el.findtext(NS + "BinaryEventData"):
            wrong("no EventData", n)
        continue
    rows = d.findall(NS + "Data")
    if len(rows) != len(j["data"]):
        wrong("fields", n, len(rows), len(j["data"]))
    for (k, v), row in zip(j["data"].items(), rows):
        values += 1
        if row.get("Name") != k and k.rsplit("_", 1)[0] != row.get("Name") or not same(v, row.text):
            wrong("value", n, k, repr(v)[:200], row.get("Name"), repr(row.text)[:200])
if next(xml, None) is not None:
    wrong("more events")
if huge != (int(said[1]) if said else 0):
    wrong("left out:", huge, said and said[1])
print(n, "events and", values, "values read back,", as_payload, "as payload,", huge, "left out,", bad, "differences")
sys.exit(bad != 0 or n < 100)
PY
exit $fail
