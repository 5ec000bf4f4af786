#!/usr/bin/env bash
# The PDB reader against llvm-pdbutil on real files (1 K and 4 K pages, x86, x64, ARM64, a cabinet).
set -eu
[ -n "${DATA:-}" ] && [ -d "$DATA/pdb" ] || { echo "no shared data"; exit 77; }
command -v llvm-pdbutil-14 >/dev/null || { echo "no llvm-pdbutil-14"; exit 77; }
fail() { echo "FAIL: $1"; exit 1; }
n=0
for f in "$DATA"/pdb/*.pdb; do
	python3 "$TOP/tests/lib/check_pdb.py" llvm-pdbutil-14 "$TOOLS/pdbdump" "$f"
	n=$((n + 1))
done
[ "$n" -ge 4 ] || fail "too few PDBs"
for f in "$DATA"/pdb/*.pd_; do
	"$TOOLS/pdbdump" "$f" "$SCRATCH/unpacked.pdb" >"$SCRATCH/packed.txt"
	"$TOOLS/pdbdump" "$SCRATCH/unpacked.pdb" | cmp - "$SCRATCH/packed.txt" || fail "$f: not the same unpacked"
	python3 "$TOP/tests/lib/check_pdb.py" llvm-pdbutil-14 "$TOOLS/pdbdump" "$SCRATCH/unpacked.pdb"
done

echo "a symbol server's folder with the PDB as a cabinet: the layout comes from it, in every command; also two tiers deep, and in capitals"
R=$TOP/testdata/recipes
cd "$SCRATCH"
"$TOOLS/mkdump" -b 18362 "$R/full.recipe" x.img
id=$("$ETLIFT" info -q --json x.img | jq -r '.kernel.pdb|.guid+"-"+(.age|tostring)')
age=${id##*-}
guid=$(echo "${id%-*}" | tr -d - | tr a-f A-F)
[ -f "$DATA/isf-reduced/$guid-$age.json.xz" ] || fail "no table of the image's kernel"
python3 "$TOP/tests/lib/isf2pdb.py" "$DATA/isf-reduced/$guid-$age.json.xz" ntkrnlmp.pdb 4096 PLAIN
deep=two/nt/ntkrnlmp.pdb/$(echo "$guid$age" | tr A-F a-f)
mkdir -p "one/ntkrnlmp.pdb/$guid$age" "$deep"
python3 "$TOP/tests/lib/mkcab.py" ntkrnlmp.pdb "one/ntkrnlmp.pdb/$guid$age/ntkrnlmp.pd_"
cp "one/ntkrnlmp.pdb/$guid$age/ntkrnlmp.pd_" "$deep/NTKRNLMP.PD_"
"$TOOLS/pdbdump" one/ntkrnlmp.pdb/*/ntkrnlmp.pd_ again.pdb >/dev/null && cmp ntkrnlmp.pdb again.pdb || fail "the cabinet holds something else"
"$ETLIFT" recover -q x.img -o known
for place in one two "one/ntkrnlmp.pdb/$guid$age" "one/ntkrnlmp.pdb/$guid$age/ntkrnlmp.pd_" ntkrnlmp.pdb; do
	rm -rf out
	"$ETLIFT" recover -q --no-builtin --symbols "$place" x.img -o out || fail "$place: recover ends with $?"
	[ "$(jq -r .kernel.profile.match out/report.json)" = pdb ] || fail "$place: match $(jq -r .kernel.profile.match out/report.json)"
	diff -r known/sessions out/sessions || fail "$place: other files than with the built-in profile"
	[ "$("$ETLIFT" info -q --json --no-builtin --symbols "$place" x.img | jq -r .kernel.profile.match)" = pdb ] || fail "$place: info"
done
"$ETLIFT" profile make -q --source test -o made-of-cab "one/ntkrnlmp.pdb/$guid$age/ntkrnlmp.pd_"
"$ETLIFT" profile make -q --source test -o made-of-pdb ntkrnlmp.pdb
"$ETLIFT" profile make -q --source test -o made-of-isf "$DATA/isf-reduced/$guid-$age.json.xz"
diff -r made-of-cab made-of-pdb && diff -r made-of-cab made-of-isf || fail "the profiles differ"
echo "a damaged one is named, in one line"
for cut in 30 3000 40000; do
	head -c $cut "one/ntkrnlmp.pdb/$guid$age/ntkrnlmp.pd_" >"$deep/NTKRNLMP.PD_"
	rm -rf out
	if "$ETLIFT" recover -q --no-builtin --symbols two x.img -o out 2>err.txt; then fail "a cabinet cut to $cut bytes was taken"; fi
	[ "$(wc -l <err.txt)" = 1 ] && grep -q "NTKRNLMP.PD_: a damaged cabinet" err.txt || fail "cut to $cut: $(cat err.txt)"
done
echo ok
