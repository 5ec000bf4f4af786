#!/usr/bin/env bash
# make sweep: what is too long for make check. Each page of made images zeroed in turn, for several seeds: every buffer that does not touch
# the page must be recovered whole (tests/tools/sweep). Then tests/sys/70-carve.sh with 1 GiB of noise and all programs of /usr.
set -u
cd "$(dirname "$0")/.." || exit 1
TOP=$PWD
make -j"$(nproc)" all tools || exit 1
make -j"$(nproc)" CONFIG=san all || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
fail=0
jobs=$(nproc)
for recipe in carve full demo dense rare damage broken lies tails ends pfn+carve pfn+full pfn+tails; do # pfn: with a page frame number database
	for seed in ${SEEDS:-1 2 3}; do
		sed -E "s/^(machine .*)/\1 seed=$seed/; s/seed=[0-9]+ (.*seed=)/\1/" "testdata/recipes/${recipe#pfn+}.recipe" >"$tmp/r.recipe"
		[ "$recipe" = "${recipe#pfn+}" ] || sed -i -E 's/^machine .*/& pfn=1/' "$tmp/r.recipe"
		build/release/tools/mkdump "$tmp/r.recipe" "$tmp/i.img" "$tmp/i.json" || exit 1
		pids=()
		for ((k = 0; k < jobs; k++)); do
			build/release/tools/sweep "$tmp/i.img" "$tmp/i.json" -j "$k/$jobs" >"$tmp/out.$k" 2>&1 &
			pids+=($!)
		done
		for ((k = 0; k < jobs; k++)); do
			wait "${pids[$k]}" || fail=1
			echo "$recipe, seed $seed: $(tail -n 12 "$tmp/out.$k")"
		done
	done
done
mkdir "$tmp/carve"
TOP=$TOP TOOLS=$TOP/build/release/tools ETLIFT=$TOP/build/release/etlift ETLIFT_SAN=$TOP/build/san/etlift SCRATCH=$tmp/carve \
	NOISE_MIB=1024 USR_MIB=16384 bash tests/sys/70-carve.sh || fail=1
[ $fail = 0 ] && echo "sweep: all whole"
exit $fail
