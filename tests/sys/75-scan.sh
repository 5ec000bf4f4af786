#!/usr/bin/env bash
# etlift scan: a payload of every session as a rule of its own is found where 'events' says the event stands, in the buffer and in memory; --memory finds
# what yara itself finds in the same raw file; decoded text; compiled rules; rules that do not compile.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

"$ETLIFT" --version | grep -q 'libyara *built in' || { echo "libyara is not built in"; exit 77; }
# every session of an image, by a payload of its own: places IMAGE LEAST [OPTION...]
places() {
	local image=$1 least=$2
	shift 2
	"$ETLIFT" events --raw "$image" "$@" -o events.jsonl || bad "events $*: status $?"
	/usr/bin/python3 - "$image" "$least" <<'PY' || fail=1
import json, sys
image, picked = open(sys.argv[1], "rb"), {}
for line in open("events.jsonl"):
    e = json.loads(line)
    if e["source"]["pa"] and e["time"]:
        image.seek(int(e["source"]["pa"], 16) + 4)  # behind the marker: thread, process, time ... of this record only
        picked.setdefault(e["session"], (image.read(20).hex(), e))
with open("rules.yar", "w") as f:
    for i, (p, e) in enumerate(picked.values()):
        f.write("rule r%d { strings: $p = { %s } condition: $p }\n" % (i, " ".join(p[k:k + 2] for k in range(0, len(p), 2))))
json.dump([e for p, e in picked.values()], open("want.json", "w"))
print(len(picked), "sessions")
raise SystemExit(len(picked) < int(sys.argv[2]))
PY
	"$ETLIFT" scan "$image" "$@" -y rules.yar --memory --json >hits.json || bad "scan $*: status $?"
	/usr/bin/python3 - <<'PY' || fail=1
import json
hits, bad = json.load(open("hits.json"))["hits"], 0
for i, e in enumerate(json.load(open("want.json"))):
    mine = [h for h in hits if h["rule"] == "r%d" % i]
    pa, va = int(e["source"]["pa"], 16), int(e["source"]["buffer"], 16) + e["source"]["offset"]
    for place in ("buffer", "memory"):
        ok = [h for h in mine if h["in"] == place and h["session"] and h["session"]["name"] == e["session"] and h["time"] == e["time"]
              and h["provider"]["guid"] == e["provider"]["guid"] and h["event"]["id"] == e["event"]["id"] and h["event"]["offset"] == e["source"]["offset"]
              and pa < int(h["pa"], 16) < pa + 4096 and (h["va"] is None or va < int(h["va"], 16) < va + 4096)]
        if not ok:
            bad += 1; print("not found in", place, e["session"], e["time"], mine[:2])
print(len(hits), "hits,", bad, "missing")
raise SystemExit(bad != 0)
PY
}
"$TOOLS/mkdump" "$TOP/testdata/recipes/carve.recipe" carve.img || exit 1
places carve.img 12 --carve --loose
# a buffer that is mapped nowhere has no virtual address, its events neither; records of an earlier use stand somewhere
echo 'rule some { strings: $a = { 13 c0 } $b = /[A-Z][a-z]+:/ condition: any of them }' >any.yar
"$ETLIFT" scan carve.img --carve --decoded -y any.yar --json >any.json || bad "carve.recipe: scan --decoded ends with $?"
/usr/bin/python3 - <<'PY' || fail=1
import json
hits, image, bad, seen = json.load(open("any.json"))["hits"], open("carve.img", "rb"), 0, {}
for h in hits:
    seen[h["in"], h["va"] is None] = 1
    if h["va"] == h["pa"] or h["pa"] is None:
        bad += 1; print(h)
    elif h["in"] != "event" and h["string"] == "$a":
        image.seek(int(h["pa"], 16))
        if image.read(2) != b"\x13\xc0":
            bad += 1; print("not there", h)
for k in (("event", True), ("event", False), ("buffer", True), ("buffer", False), ("residual", False)):
    if k not in seen:
        bad += 1; print("no hit", *k)
raise SystemExit(bad != 0)
PY
rm -f carve.img
"$TOOLS/mkdump" "$TOP/testdata/recipes/full.recipe" full.img || exit 1
places full.img 5
# where a hit stands in the file: its bytes do, in buffers too
"$TOOLS/mkdump" -f elf "$TOP/testdata/recipes/full.recipe" full.elf || exit 1
for i in full.img full.elf; do
	"$ETLIFT" scan $i -y rules.yar --memory --decoded --json >hits.json || bad "scan $i: status $?"
	/usr/bin/python3 - $i <<'PY' || fail=1
import collections, json, sys
image, n, bad = open(sys.argv[1], "rb").read(), collections.Counter(), 0
for h in json.load(open("hits.json"))["hits"]:
    n[h["in"]] += 1
    at, want = h["file_offset"], bytes.fromhex(h["bytes"] or "")
    if h["in"] != "event" and (at is None or image[at:at + len(want)] != want or (sys.argv[1] == "full.img" and at != int(h["pa"], 16))):
        bad += 1; print(sys.argv[1], "not at", at, h["in"], h["pa"])
if bad or n["buffer"] < 5 or n["memory"] < 5:
    print(sys.argv[1], n, bad, "are not where they are said to stand")
    raise SystemExit(1)
PY
done
# the same strings in the same file by yara itself; and by one thread and by three
cat >common.yar <<'Y'
rule common : a b { strings: $a = "svchost" $w = "Event" wide $h = { 00 13 c0 } $e = "EtwB" condition: any of them }
Y
"$ETLIFT" scan full.img -y common.yar --memory --json -j 1 | jq -c '.hits[]|select(.in=="memory")|[.string,.pa,.length]' | sort >one.txt
"$ETLIFT" scan full.img -y common.yar --memory --json -j 3 | jq -c '.hits[]|select(.in=="memory")|[.string,.pa,.length]' | sort >three.txt
cmp one.txt three.txt || bad "threads change the hits"
[ "$(wc -l <one.txt)" -gt 20 ] || bad "too few hits: $(wc -l <one.txt)"
# a rule that matches everywhere hides no other's hits, and raw memory none of the buffers'
echo 'rule noisy { strings: $a = { 00 } condition: $a }' >noisy.yar
hits() { jq -c '.hits[]|select(.rule=="common")' "$1" | sort; }
"$ETLIFT" scan full.img -y common.yar --memory --decoded --json >quiet.json || bad "scan: status $?"
"$ETLIFT" scan full.img -y noisy.yar -y common.yar --memory --decoded --json >noisy.json 2>noisy.log || bad "scan with a noisy rule: status $?"
cmp <(hits quiet.json) <(hits noisy.json) || bad "a noisy rule hides hits of another"
jq -e '.limit_reached and (.hits|map(select(.rule=="noisy" and .in=="buffer"))|length>1000)' noisy.json >/dev/null || bad "hits in memory hide those in buffers"
grep -q 'not every match' noisy.log || bad "the limit is not named"
if command -v yara >/dev/null; then
	yara -sL common.yar full.img | sed -n 's/^0x\([0-9a-f]*\):\([0-9]*\):\(\$[a-z]*\):.*/["\3","0x\1",\2]/p' | sort >peer.txt
	cmp one.txt peer.txt || bad "yara finds others: $(diff one.txt peer.txt | head -4)"
fi
"$ETLIFT" scan full.img -y common.yar >/dev/null || bad "table: status $?"
if command -v yarac >/dev/null; then
	yarac rules.yar rules.yarc && "$ETLIFT" scan full.img -y rules.yarc --json | jq -c '.hits' >c.txt
	"$ETLIFT" scan full.img -y rules.yar --json | jq -c '.hits|map(.rule_file="rules.yarc")' | cmp - c.txt || bad "compiled rules differ"
fi
# the text of decoded events, of a session and of the file made from it
"$ETLIFT" recover -q full.img -o out
field=$(jq -r 'select(.data!=null)|.data|to_entries[]|select((.value|type)=="string" and (.value|length)>3)|.key+": "+.value' events.jsonl | grep -v '[\"\\]' | head -n 1)
if [ -n "$field" ]; then
	printf 'rule f { strings: $f = "%s" condition: $f }\n' "$field" >field.yar
	for s in full.img out/sessions/*.etl; do "$ETLIFT" scan "$s" -y field.yar --decoded --json; done | jq -c '.hits[]|select(.in=="event")|.string' | grep -q f ||
		bad "decoded text: '$field' is not found"
fi
# rules that do not compile are one clear line
printf 'rule ok { condition: true }\nrule x {\n condition: nothing }\n' >wrong.yar
"$ETLIFT" scan full.img -y wrong.yar >out.txt 2>err.txt
[ $? = 2 ] && [ ! -s out.txt ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q 'wrong.yar: line 3: undefined identifier' err.txt || bad "wrong rules: $(cat err.txt)"
printf 'YARA\1\2\3\4junk' >junk.yarc
"$ETLIFT" scan full.img -y junk.yarc 2>err.txt && bad "junk rules are taken"
[ "$(wc -l <err.txt)" = 1 ] || bad "junk rules: $(cat err.txt)"
# words and anchors at the edges of what the rules see at once
/usr/bin/python3 - "$ETLIFT" <<'PY' || bad "edges of pieces"
import json, random, subprocess, sys
m, b = 4 << 20, bytearray(random.Random(3).randbytes(9 << 20))
for at, what in ((0, b"needle "), (m - 1, b"xneedle "), (m + 100, b" needle "), (2 * m - 1, b" needle "), (2 * m - 4099, b"needle")):
    b[at:at + len(what)] = what
open("edge.img", "wb").write(b)
open("edge.yar", "w").write('rule r { strings: $f = "needle" fullword $a = /^needle/ $b = /\\bneedle/ $p = "needle" condition: any of them }\n')
out = subprocess.run([sys.argv[1], "scan", "--memory", "edge.img", "-y", "edge.yar", "--json"], capture_output=True, text=True).stdout
got = {(h["string"], int(h["pa"], 16)) for h in json.loads(out)["hits"]}
word = lambda at: at == 0 or not chr(b[at - 1]).isascii() or not (chr(b[at - 1]).isalnum() or b[at - 1] == 0x5F)
after = lambda at: not (chr(b[at + 6]).isascii() and chr(b[at + 6]).isalnum())
places = [0, m, m + 101, 2 * m, 2 * m - 4099]
want = {("$p", p) for p in places} | {("$b", p) for p in places if word(p)} | {("$a", 0)}
want |= {("$f", p) for p in places if word(p) and after(p)}
print("edges:", sorted(got ^ want) or "right")
sys.exit(got != want)
PY
# compiled rules that are damaged: refused in one line, or run; libyara's crash is not ours
if [ -s rules.yarc ]; then
	head -c 8192 /dev/zero >small.img
	/usr/bin/python3 - "$ETLIFT" <<'PY' || bad "damaged compiled rules"
import random, subprocess, sys
r, good, died, refused = random.Random(7), open("rules.yarc", "rb").read(), 0, 0
for _ in range(40):
    d = bytearray(good)
    for _ in range(r.randrange(1, 20)):
        d[r.randrange(8, len(d))] = r.randrange(256)
    open("damaged.yarc", "wb").write(d)
    p = subprocess.run([sys.argv[1], "scan", "small.img", "-y", "damaged.yarc", "--memory"], capture_output=True, text=True)
    died += p.returncode < 0 or p.returncode > 100
    refused += p.returncode == 2 and p.stderr.count("\n") == 1 and "compiled rules that" in p.stderr
print("40 damaged files of compiled rules:", refused, "refused,", died, "crash")
sys.exit(died != 0 or refused == 0)
PY
fi
"$ETLIFT" scan full.img 2>/dev/null
[ $? = 2 ] || bad "no rules at all"
head -c 3000000 /dev/zero >zero.img
printf 'rule z { strings: $z = { 00 00 00 00 00 00 00 01 } condition: not $z }' >z.yar
"$ETLIFT" scan zero.img -y z.yar 2>/dev/null
[ $? = 4 ] || bad "no kernel: status"
"$ETLIFT" scan --memory zero.img -y z.yar --json 2>/dev/null | jq -e '.hits|length==1' >/dev/null || bad "memory of an image without a kernel"
"$ETLIFT_SAN" scan full.img -y rules.yar -y common.yar --memory --decoded >/dev/null || bad "under sanitizers"
exit $fail
