#!/usr/bin/env bash
# make-profiles.sh DATA OUT: profiles/*.json anew, byte for byte, from the data folder (isf-reduced/, kernel-symbols.tsv, etw-layouts.json).
# ETLIFT names the program (build/release/etlift). A new kernel by hand: etlift profile make FILE -o profiles/ (docs/profiles.md).
set -eu
[ $# = 2 ] || { echo "usage: make-profiles.sh DATA OUT" >&2; exit 2; }
data=$1 out=$2
top=$(cd "$(dirname "$0")/.." && pwd)
etlift=${ETLIFT:-$top/build/release/etlift}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out"
rm -f "$out"/[0-9]*.json
cut -f1-3 "$data/kernel-symbols.tsv" >"$scratch/versions.tsv"
"$etlift" profile make -q -o "$out" --versions "$scratch/versions.tsv" --source "JPCERTCC/Windows-Symbol-Tables (BSD-3-Clause)" \
	"$data"/isf-reduced/*.json.xz
# Kernels that are known by their structures only.
python3 "$top/tools/layouts2isf.py" "$data/etw-layouts.json" "$scratch/isf"
while IFS=$'\t' read -r file version os source; do
	"$etlift" profile make -q -o "$out" --kernel-version "$version" --os "$os" --source "$source" "$scratch/isf/$file"
done <"$scratch/isf/list.tsv"
