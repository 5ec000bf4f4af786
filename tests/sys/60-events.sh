#!/usr/bin/env bash
# etlift events: the 20 real files and the two real dumps. Every record comes, in time order, counts by kind as index.json says; TraceLogging events are all
# decoded by their own schema; known field values; filters; an image gives the same events as the files recovered from it.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.img || exit 1
"$ETLIFT" events demo.img -o image.jsonl || bad "events of an image: status $?"
"$ETLIFT" recover -q demo.img -o demo --no-residual
"$ETLIFT" events demo/sessions/*.etl -o files.jsonl || bad "events of its files: status $?"
pick='[.time,.session,.kind,.provider.guid,.event.id,.pid,.tid,.cpu,.payload,.data]'
diff <(jq -c "$pick" image.jsonl | sort) <(jq -c "select(.event.id!=0 and .event.id!=80 or .kind!=\"system\")|$pick" files.jsonl | sort) >d.txt ||
	bad "image and files differ: $(head -3 d.txt)"
[ "$("$ETLIFT" events demo.img --session EventLog-System | jq -r .session | sort -u)" = EventLog-System ] || bad "--session"
n=$("$ETLIFT" events demo.img --event 3008 | wc -l)
[ "$n" -gt 0 ] && [ "$n" = "$(jq -c 'select(.event.id==3008)' image.jsonl | wc -l)" ] || bad "--event"
# source.pa is where the record stands in a raw image, also behind the first page of its buffer
/usr/bin/python3 - <<'PY' || fail=1
import json
image, n, bad = open("demo.img", "rb"), 0, 0
for line in open("image.jsonl"):
    pa = json.loads(line)["source"]["pa"]
    image.seek(int(pa, 16))
    b = image.read(4)
    n, bad = n + 1, bad + (b[3] not in (0xc0, 0x90))
print(n, "addresses,", bad, "wrong")
raise SystemExit(bad != 0 or n < 100)
PY
t=$(jq -r '.time' image.jsonl | sed -n 100p)
[ "$("$ETLIFT" events demo.img --until "$t" | wc -l)" -le 99 ] || bad "--until"
"$ETLIFT" events demo.img | head -n 1 >/dev/null
"$ETLIFT" events "$TOP/README.md" 2>err && bad "a text file is taken"

if [ -z "$DATA" ]; then
	echo "made image only; needs the shared data for the rest"
	exit $fail
fi
"$ETLIFT" events -v "$DATA"/etl/*.etl "$DATA"/etl/*.blg -o all.jsonl 2>summary || bad "events of the real files: status $?"
cat summary
/usr/bin/python3 - "$DATA/etl/index.json" <<'PY' || fail=1
import collections, json, os, sys
KIND = {"EVENT32": "manifest", "EVENT64": "manifest", "FULL32": "mof", "FULL64": "mof", "SYSTEM32": "system", "SYSTEM64": "system", "PERFINFO32": "perfinfo",
        "PERFINFO64": "perfinfo"}
got = collections.defaultdict(collections.Counter)
last, bad, tl = "", 0, [0, 0]
values = {}
for line in open("all.jsonl"):
    e = json.loads(line)
    f = os.path.basename(e["source"]["file"])
    kind = "manifest" if e["kind"] == "tracelogging" else e["kind"]
    got[f][kind] += 1
    if e["time"] is not None:
        if e["time"] < last:
            bad += 1; print("out of order:", e["time"], last)
        last = e["time"]
    if e["kind"] == "tracelogging":
        tl[e["data"] is not None] += 1
    if e["data"] is None and (not e.get("reason") or e.get("payload") is None):
        bad += 1; print("no reason or payload")
    if e["data"] is not None:
        values.setdefault((f, e["event"]["id"] if e["event"]["name"] is None else e["event"]["name"]), e["data"])
for row in json.load(open(sys.argv[1])):
    want = collections.Counter()
    for k, n in row["events"].items():
        want[KIND[k]] += n
    if got[row["file"]] != want:
        bad += 1; print(row["file"], dict(got[row["file"]]), dict(want))
if tl[0] or tl[1] != 27:
    bad += 1; print("TraceLogging:", tl)
for key, field, want in ((("sawbuck-process_data_64_v2.etl", "Process/DCStart"), "ImageFileName", "Idle"),
                         (("perfview-diaghub.kernel.1.etl", "SystemConfig/Services"), "ServiceName", "AJRouter")):
    if values.get(key, {}).get(field) != want:
        bad += 1; print(key, values.get(key))
print(sum(sum(c.values()) for c in got.values()), "events,", bad, "differences")
sys.exit(bad != 0)
PY
for a in x64:107 arm64:5537; do
	n=$("$ETLIFT" events "$DATA/triage/triage_${a%:*}.dmp" | wc -l)
	[ "$n" = "${a#*:}" ] || bad "triage_${a%:*}: $n events"
done
exit $fail
