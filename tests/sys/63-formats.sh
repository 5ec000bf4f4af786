#!/usr/bin/env bash
# etlift events --format csv, xml, timesketch, pcapng: every event that jsonl has is in each of them with the same facts; hostile names stay data; the frames
# of a real capture come out as tshark reads them.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

# a session whose name is a formula, markup, control characters and half a surrogate pair
sed 's/^session id=6 name=EdrFlightRecorder/session id=6 name==1+1%0022,%003cb%003e%0026%0001%d800%000a]]%003e/' "$TOP/testdata/recipes/demo.recipe" >hostile.recipe
"$TOOLS/mkdump" hostile.recipe hostile.img || exit 1
sources=(hostile.img)
[ -z "$DATA" ] || sources+=("$DATA"/etl/*.etl "$DATA"/etl/*.blg)
for f in jsonl csv xml timesketch; do "$ETLIFT" events "${sources[@]}" --format $f -o all.$f 2>err.$f || bad "$f: status $?"; done
"$ETLIFT_SAN" events hostile.img --format xml >/dev/null && "$ETLIFT_SAN" events hostile.img --format csv >/dev/null && "$ETLIFT_SAN" events hostile.img --format timesketch >/dev/null || bad "under sanitizers"
/usr/bin/python3 - <<'PY' || fail=1
import csv, itertools, json, re, xml.etree.ElementTree as ET
csv.field_size_limit(1 << 30)
bad = 0
def differs(what, *a):
    global bad
    bad += 1
    if bad < 10:
        print(what, *a)
NS = "{http://schemas.microsoft.com/win/2004/08/events/event}"
def xml_events():
    for _, el in ET.iterparse("all.xml"):
        if el.tag == NS + "Event":
            yield el
            el.clear()
def timed():
    for line in open("all.jsonl", encoding="utf-8"):
        e = json.loads(line)
        if e["time"]:
            yield e
rows = csv.DictReader(open("all.csv", newline="", encoding="utf-8"))
n = 0
for line, row, x in itertools.zip_longest(open("all.jsonl", encoding="utf-8"), rows, xml_events()):
    if line is None or row is None or x is None:
        differs("other counts", n)
        break
    e = json.loads(line)
    n += 1
    if row["time"] != (e["time"] or "") or row["provider_guid"] != (e["provider"]["guid"] or "") or row["kind"] != e["kind"]:
        differs("csv", e, row)
    if (json.loads(row["data"]) if row["data"] else None) != e["data"] or (e["data"] is None and row["payload"] != e["payload"]):
        differs("csv data", e, row)
    if row["session"].lstrip("'") != re.sub("[\0-\x1f\x7f-\x9f]", "\ufffd", e["session"] or "") or row["session"][:1] in ("=", "+", "-", "@"):
        differs("csv session", e["session"], row["session"])
    s = x.find(NS + "System")
    t = s.find(NS + "TimeCreated")
    if (t.get("SystemTime") if t is not None else None) != e["time"]:
        differs("xml time", e)
    if int(s.find(NS + "EventID").text) != (e["event"]["id"] or 0) & 0xffff or (s.find(NS + "Provider").get("Name") or None) != e["provider"]["name"]:
        differs("xml system", e)
    d = x.find(NS + "EventData")
    if (d is None) != (e["data"] is None):
        differs("xml data", e)
    elif d is not None and not any(isinstance(v, dict) for v in e["data"].values()) and [i.get("Name") for i in d] != list(e["data"]):
        differs("xml fields", e)
    elif d is None and x.find(NS + "ProcessingErrorData/" + NS + "EventPayload").text != (e["payload"].upper() or None):
        differs("xml payload", e)
m = 0
for e, line in itertools.zip_longest(timed(), open("all.timesketch", encoding="utf-8")):
    if e is None or line is None:
        differs("timesketch: other counts", m)
        break
    t = json.loads(line)
    m += 1
    if t["datetime"] != e["time"][:26] + "+00:00" or not t["message"] or t["timestamp_desc"] != "Event Logged" or t.get("event_id") != e["event"]["id"]:
        differs("timesketch", e, t)
    for k, v in (e["data"] or {}).items():
        if not isinstance(v, dict) and t.get("data_" + k) != v and list(e["data"]).count(k) == 1:
            differs("timesketch field", k, v, t.get("data_" + k))
print(n, "events,", m, "with a time,", bad, "differences")
raise SystemExit(bad != 0 or n < 500)
PY
grep -q '^{' all.csv && bad "csv: JSON lines"
"$ETLIFT" events hostile.img --format nothing 2>err
[ $? = 2 ] && grep -q 'there are: jsonl csv' err || bad "an unknown format"
[ -n "$DATA" ] || { echo "made image only; needs the shared data for the capture"; exit $fail; }
"$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" --format pcapng -o p.pcapng 2>err || bad "pcapng: status $?"
grep -q 'events that hold no frame are left out' err || bad "pcapng says nothing of the others"
"$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" --event 160 | jq -r .data.Payload >frames.txt
if command -v tshark >/dev/null; then
	tshark -r p.pcapng -T json -x 2>/dev/null | jq -r '.[]._source.layers.frame_raw[0]' >tshark.txt
	cmp frames.txt tshark.txt || bad "tshark sees other frames"
	[ "$(tshark -r p.pcapng -Y icmp 2>/dev/null | wc -l)" -gt 50 ] || bad "no pings?"
fi
/usr/bin/python3 - <<'PY' || fail=1
import struct
b, at, frames, faces = open("p.pcapng", "rb").read(), 0, [], 0
while at < len(b):
    kind, n = struct.unpack_from("<II", b, at)
    assert n % 4 == 0 and n >= 12 and struct.unpack_from("<I", b, at + n - 4)[0] == n
    if kind == 1:
        faces += 1
    if kind == 6:
        face, hi, lo, cap, whole = struct.unpack_from("<IIIII", b, at + 8)
        assert face < faces and cap <= whole
        frames.append(b[at + 28:at + 28 + cap].hex())
    at += n
assert frames == open("frames.txt").read().split(), "other frames"
print(len(frames), "frames,", faces, "interfaces")
PY
# filters choose the same events for every format; what a frame's interface is called is learned from the whole trace all the same
since=$("$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" --event 160 | sed -n 60p | jq -r .time)
frames_of() {
	/usr/bin/python3 -c '
import struct, sys
b, at = open(sys.argv[1], "rb").read(), 0
while at < len(b):
    kind, n = struct.unpack_from("<II", b, at)
    if kind == 6:
        print(b[at + 28:at + 28 + struct.unpack_from("<I", b, at + 20)[0]].hex())
    at += n' "$1"
}
for filter in "--event 160" "--since $since" "--until $since" "--pid 10252" "--event 160 --match Payload=*0800*" "--event 161"; do
	# shellcheck disable=SC2086
	"$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" $filter --format pcapng -q -o f.pcapng || bad "pcapng $filter: status $?"
	# shellcheck disable=SC2086
	"$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" $filter | jq -r 'select(.event.id == 160) | .data.Payload' >want.txt
	frames_of f.pcapng >got.txt
	cmp -s want.txt got.txt || bad "pcapng $filter: other frames"
done
cmp -s <("$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" --event 160 --format pcapng -q) p.pcapng || bad "pcapng of the frames alone differs"
[ "$("$ETLIFT" events "$DATA/etl/demikernel-PktMon.etl" --since "$since" --format pcapng -q | wc -c)" -lt "$(wc -c <p.pcapng)" ] || bad "--since leaves nothing out"
exit $fail
