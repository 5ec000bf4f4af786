#!/usr/bin/env bash
# `etlift check`: the real files are accepted and counted as the index says; what is broken in them is refused by rule and offset.
set -eu
[ -n "${DATA:-}" ] && [ -d "$DATA/etl" ] || { echo "no shared data"; exit 77; }
fail() { echo "FAIL: $1"; exit 1; }

echo "20 files: valid, counts and buffers as in index.json, also under the sanitizers"
for bin in "$ETLIFT" "$ETLIFT_SAN"; do
	"$bin" check --json "$DATA"/etl/*.etl "$DATA"/etl/*.blg >"$SCRATCH/all.json" || fail "status $?"
	python3 - "$DATA/etl/index.json" "$SCRATCH/all.json" <<'P' || fail "counts"
import json, os, sys
want = {f["file"]: f for f in json.load(open(sys.argv[1]))}
doc = json.load(open(sys.argv[2]))
assert doc["schema"] == "etlift/check/1"
assert len(doc["files"]) == len(want) == 20
for f in doc["files"]:
    w = want[os.path.basename(f["path"])]
    assert f["valid"] is True and f["findings"] == [], f["path"]
    assert f["records"] == w["events"], (f["path"], f["records"], w["events"])
    assert f["buffers"] == w["buffers"], f["path"]
    assert f["compressed"] == ("COMPRESSED" in w["mode"]), f["path"]
P
done
"$ETLIFT" check "$DATA"/etl/*.etl "$DATA"/etl/*.blg >"$SCRATCH/text"
[ "$(wc -l <"$SCRATCH/text")" = 20 ] || fail "not one line a file"

echo "each broken in the ways that matter"
python3 - "$DATA/etl" "$SCRATCH" "$ETLIFT" <<'P' || fail "refusals"
import json, os, struct, subprocess, sys
data, scratch, etlift = sys.argv[1:4]
def u32(b, o): return struct.unpack_from("<I", b, o)[0]
def u64(b, o): return struct.unpack_from("<Q", b, o)[0]
def put(b, o, v): struct.pack_into("<I", b, o, v)
path = os.path.join(scratch, "broken.etl")
tried = 0
def refuse(b, rule, offset, what):
    global tried
    open(path, "wb").write(b)
    r = subprocess.run([etlift, "check", "--json", path], capture_output=True, text=True)
    f = json.loads(r.stdout)["files"][0]
    got = [(x["rule"], x["offset"]) for x in f["findings"]]
    assert r.returncode == 6 and not f["valid"] and (rule, offset) in got, (what, r.returncode, rule, offset, got[:5])
    r = subprocess.run([etlift, "check", path], capture_output=True, text=True)
    assert r.returncode == 6 and "%s: 0x%x: %s: " % (path, offset, rule) in r.stdout, (what, r.stdout)
    tried += 1
for f in json.load(open(os.path.join(data, "index.json"))):
    raw = open(os.path.join(data, f["file"]), "rb").read()
    packed = "COMPRESSED" in f["mode"]
    size = f["buffer_size"]
    second = u32(raw, 0) if packed else size
    b = bytearray(raw); put(b, 0x68 + 0x2c, 7); refuse(b, "pointer-size", 0x94, f["file"])
    b = bytearray(raw); put(b, 0x30, size * 2); refuse(b, "first-offset", 0x30, f["file"])
    b = bytearray(raw); put(b, second + 0x30, size + 8); refuse(b, "data-offset", second + 0x30, f["file"])
    b = bytearray(raw); b[0x6e] = 3; refuse(b, "version", 0x6e, f["file"])
    cut = len(raw) - (7 if packed else size // 2)
    refuse(raw[:cut], "file-size", cut, f["file"])
    if u64(raw, 0x68 + 0x10):  # EndTime is set
        for n in (u32(raw, 0x8c) + 1, u32(raw, 0x8c) - 1):
            if n and not (n > f["buffers"] and "CIRCULAR" in f["mode"]):
                b = bytearray(raw); put(b, 0x8c, n); refuse(b, "buffers-written", 0x8c, f["file"])
    if not packed:
        b = bytearray(raw); put(b, second, size - 0x400); refuse(b, "data-size", second, f["file"])
        b = bytearray(raw); b[second + 0x4b] = 0x55; refuse(b, "record", second + 0x48, f["file"])
    else:
        b = bytearray(raw); put(b, second + 0x30, u32(raw, second + 0x30) - 8); refuse(b, "unpack", second, f["file"])
print(tried, "broken files refused")
assert tried > 120
P

echo "what cannot be read is status 3, in one line; the others are still checked; the highest status counts"
good=$(ls "$DATA"/etl/*.etl | head -n 1)
: >"$SCRATCH/empty.etl"
for f in "$SCRATCH/none.etl" "$SCRATCH/empty.etl" "$SCRATCH"; do
	set +e
	"$ETLIFT" check "$f" "$good" >"$SCRATCH/out" 2>"$SCRATCH/err"
	status=$?
	set -e
	[ "$status" = 3 ] || fail "$f: status $status"
	[ "$(wc -l <"$SCRATCH/err")" = 1 ] && grep -q "^etlift: " "$SCRATCH/err" || fail "$f: $(cat "$SCRATCH/err")"
	grep -q "valid" "$SCRATCH/out" || fail "the good file was not checked"
done
printf '\377\330\377\340 not a trace' >"$SCRATCH/a.jpg"
set +e
"$ETLIFT" check "$SCRATCH/none.etl" "$SCRATCH/a.jpg" >"$SCRATCH/out" 2>/dev/null
status=$?
"$ETLIFT" check >/dev/null 2>&1
usage=$?
set -e
[ "$status" = 6 ] && grep -q "too-short" "$SCRATCH/out" || fail "a JPEG: status $status"
[ "$usage" = 2 ] || fail "no file: status $usage"
printf 'x' >"$SCRATCH/$(printf 'e\033[31mvil')"
"$ETLIFT" check "$SCRATCH/$(printf 'e\033[31mvil')" >"$SCRATCH/out" 2>&1 || true
grep -q "$(printf '\033')" "$SCRATCH/out" && fail "a control character got through"
echo ok
