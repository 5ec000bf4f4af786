#!/usr/bin/env bash
# Profiles against the tables they came from: all 213 kernels, independently read; full and reduced ISF; Volatility 3's folder; bad files.
set -eu
[ -n "${DATA:-}" ] && [ -d "$DATA/isf-reduced" ] || { echo "no shared data"; exit 77; }
profile=("$ETLIFT" profile)
fail() { echo "FAIL: $1"; exit 1; }

echo "every kernel equals the facts tables and its ISF"
python3 "$TOP/tests/lib/check_profiles.py" "$DATA" "$TOP" "${profile[@]}"

echo "the committed profiles come out again, byte for byte"
bash "$TOP/tools/make-profiles.sh" "$DATA" "$SCRATCH/again"
for f in "$TOP"/profiles/[0-9]*.json; do cmp "$f" "$SCRATCH/again/$(basename "$f")"; done
[ "$(ls "$SCRATCH/again" | wc -l)" = "$(ls "$TOP"/profiles/[0-9]*.json | wc -l)" ] || fail "another number of files"

echo "a full ISF and its reduced twin give the same profile"
n=0
for f in "$DATA"/isf/*.json.xz; do
	twin=$DATA/isf-reduced/$(basename "$f")
	# the twins were cut before this symbol was wanted: the full table must have it (or MiState), and give the same without it
	xz -dc "$f" >"$SCRATCH/whole.json"
	grep -qE '"Mi(InvalidPteMask|State)"' "$SCRATCH/whole.json" || fail "$f leads to no mask"
	sed 's/"MiInvalidPteMask"/"NotWanted"/' "$SCRATCH/whole.json" >"$SCRATCH/as-cut.json"
	"${profile[@]}" make -q --source test -o "$SCRATCH/full" "$SCRATCH/as-cut.json"
	"${profile[@]}" make -q --source test -o "$SCRATCH/reduced" "$twin"
	n=$((n + 1))
done
diff -r "$SCRATCH/full" "$SCRATCH/reduced"
[ "$n" = 8 ] || fail "not eight full tables"

echo "merge joins, in any order, to the same bytes"
mkdir "$SCRATCH/one"
i=0
for f in $(ls "$DATA"/isf-reduced/*.json.xz | head -n 24); do
	i=$((i + 1))
	"${profile[@]}" make -q --source test -o "$SCRATCH/one/$i" "$f"
done
"${profile[@]}" merge -q -o "$SCRATCH/up" $(ls "$SCRATCH"/one/*/*.json)
"${profile[@]}" merge -q -o "$SCRATCH/down" $(ls -r "$SCRATCH"/one/*/*.json)
diff -r "$SCRATCH/up" "$SCRATCH/down"

echo "symbol files: packed as they may be, in folders as Volatility 3 has them, under names that say nothing"
id=DCA4AD4BEEB4746D48F84C0125019E43-1
from=$DATA/isf-reduced/$id.json.xz
"${profile[@]}" show "18362-x64/ntkrnlmp.pdb-$id" --json >"$SCRATCH/builtin.json"
same() { # what: the profile from the symbols given is the built-in one, but for name and version
	python3 - "$SCRATCH/builtin.json" "$SCRATCH/given.json" <<'P' || fail "$1 differs from the built-in profile"
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
sys.exit(any(a[k] != b[k] for k in ("pdb", "types", "symbols", "traits", "build", "arch")))
P
}
mkdir -p "$SCRATCH/v3/symbols/windows/ntkrnlmp.pdb" "$SCRATCH/odd/deep"
cp "$from" "$SCRATCH/v3/symbols/windows/ntkrnlmp.pdb/"
xz -dc "$from" >"$SCRATCH/odd/deep/kernel.json"
echo "not a table" >"$SCRATCH/odd/aaa.json"
gzip -c "$SCRATCH/odd/deep/kernel.json" >"$SCRATCH/k.json.gz"
for place in "$from" "$SCRATCH/v3" "$SCRATCH/odd" "$SCRATCH/k.json.gz" "$SCRATCH/odd/deep/kernel.json"; do
	"${profile[@]}" show "$id" --json --no-builtin --build 18362 --symbols "$place" >"$SCRATCH/given.json" || fail "$place: not found"
	same "$place"
done
"${profile[@]}" show "$id" --no-builtin >/dev/null 2>"$SCRATCH/err" && fail "found without any source"
grep -q "dca4ad4b-eeb4-746d-48f8-4c0125019e43, age 1" "$SCRATCH/err" || fail "the message does not name the GUID: $(cat "$SCRATCH/err")"

echo "a PDB of the same types and symbols gives the same profile: both block sizes, with and without OMAP, as a symbol server keeps it"
server=$SCRATCH/server/ntkrnlmp.pdb/DCA4AD4BEEB4746D48F84C0125019E431
mkdir -p "$server"
for how in "1024 PLAIN" "4096 PLAIN" "4096 OMAP" "1024 OMAP"; do
	# shellcheck disable=SC2086
	python3 "$TOP/tests/lib/isf2pdb.py" "$from" "$server/ntkrnlmp.pdb" $how
	"${profile[@]}" show "$id" --json --no-builtin --build 18362 --symbols "$SCRATCH/server" >"$SCRATCH/given.json" || fail "PDB $how: not found"
	same "PDB $how"
done
for f in "$DATA"/isf-reduced/{3,8,C}*.json.xz; do
	mkdir -p "$SCRATCH/pdb"
	python3 "$TOP/tests/lib/isf2pdb.py" "$f" "$SCRATCH/pdb/ntkrnlmp.pdb" 4096 PLAIN
	"${profile[@]}" make -q --source test -o "$SCRATCH/from-pdb" "$SCRATCH/pdb/ntkrnlmp.pdb"
	"${profile[@]}" make -q --source test -o "$SCRATCH/from-isf" "$f"
done
diff -r "$SCRATCH/from-pdb" "$SCRATCH/from-isf" || fail "a profile from a PDB differs"

echo "bad files are refused in one line"
head -c 3000 "$from" >"$SCRATCH/cut.json.xz"
head -c 3000 "$SCRATCH/odd/deep/kernel.json" >"$SCRATCH/cut.json"
head -c 300 "$SCRATCH/k.json.gz" >"$SCRATCH/cut.json.gz"
: >"$SCRATCH/empty.json"
dd if=/dev/zero bs=1M count=300 status=none | xz -0 >"$SCRATCH/bomb.json.xz"
for f in cut.json.xz cut.json cut.json.gz empty.json bomb.json.xz; do
	"${profile[@]}" make -q --build 1 -o "$SCRATCH/none" "$SCRATCH/$f" 2>"$SCRATCH/err" && fail "$f was taken"
	[ "$(wc -l <"$SCRATCH/err")" = 1 ] || fail "$f: more than one line"
	grep -q "$f" "$SCRATCH/err" || fail "$f: not named"
	cat "$SCRATCH/err"
done
[ ! -e "$SCRATCH/none" ] || fail "a refused file left something behind"
if "${profile[@]}" merge -q -o "$SCRATCH/none" "$from" 2>/dev/null; then fail "merge took a symbol file"; fi
echo ok
