#!/usr/bin/env bash
# Every fuzz target on its seeds and on seeded changes of them, under ASan + UBSan. FUZZ_REPLAY: changes a target (default 3000).
set -eu
n=${FUZZ_REPLAY:-3000}
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1

echo "the seeds are those of the recipe; what fuzzing found stands beside them as found-*"
"$TOOLS/mkseeds" "$SCRATCH/seeds"
for d in "$SCRATCH"/seeds/*; do diff -r -x "found-*" "$d" "$TOP/testdata/fuzz/$(basename "$d")"; done

ran=0
for f in "$TOP"/fuzz/fuzz_*.c; do
	name=$(basename "$f" .c)
	name=${name#fuzz_}
	seeds=()
	[ -d "$TOP/testdata/fuzz/$name" ] && seeds+=("$TOP/testdata/fuzz/$name")
	echo "$name${seeds[0]:+ ($(ls "${seeds[0]}" | wc -l) seeds)}"
	timeout 120 "$FUZZERS/fuzz-$name" -mutate="$n" -seed=20 ${seeds[@]+"${seeds[@]}"}
	ran=$((ran + 1))
done
[ "$ran" -ge 3 ]
