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
echo ok
