#!/usr/bin/env bash
# fuzz/run.sh [NAME...]: runs the fuzz targets (all, or those named) under libFuzzer with ASan + UBSan, FUZZ_RUNS executions each.
# Seeds and dictionaries are in testdata/fuzz; what the engine finds new is kept in build/fuzz/corpus, crashes in build/fuzz/crashes.
set -eu
cd "$(dirname "$0")/.."
runs=${FUZZ_RUNS:-1000000}
export ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=2:quarantine_size_mb=8} # several times as fast with deep stacks of each allocation left out
CC=${FUZZ_CC:-clang-14}
make -j"$(nproc)" CONFIG=fuzz CC="$CC" fuzzers
names=("$@")
if [ ${#names[@]} = 0 ]; then
	for f in fuzz/fuzz_*.c; do
		f=${f#fuzz/fuzz_}
		names+=("${f%.c}")
	done
fi
bad=0
for name in "${names[@]}"; do
	corpus=build/fuzz/corpus/$name
	mkdir -p "$corpus" build/fuzz/crashes
	max=65536
	[ "$name" = tracelogging ] && max=4096 # a payload of more repeats itself
	args=(-runs="$runs" -artifact_prefix="build/fuzz/crashes/$name-" -timeout=25 -rss_limit_mb=2048 -max_len="$max" -print_final_stats=1 -verbosity=1)
	[ -f "testdata/fuzz/$name.dict" ] && args+=(-dict="testdata/fuzz/$name.dict")
	dirs=("$corpus")
	[ -d "testdata/fuzz/$name" ] && dirs+=("testdata/fuzz/$name")
	echo "== $name: $runs executions"
	if build/fuzz/fuzz-"$name" "${args[@]}" "${dirs[@]}" >"build/fuzz/$name.log" 2>&1; then
		grep -E 'stat::number_of_executed_units|DONE' "build/fuzz/$name.log" | tail -n 2
	else
		bad=1
		echo "FAIL $name: the end of build/fuzz/$name.log:"
		tail -n 40 "build/fuzz/$name.log"
	fi
done
# the two real crash dumps, damaged in full (a subset is in make check)
DATA=${ETLIFT_DATA:-../shared/data}
if [ $# = 0 ] && [ -d "$DATA/triage" ]; then
	make -j"$(nproc)" CONFIG=san BUILD=build/gcc tools
	for f in "$DATA"/triage/*.dmp; do
		build/gcc/san/tools/hostile -cut=97 "$f" || bad=1
		build/gcc/san/tools/hostile -flip=20000 -seed=1 "$f" || bad=1
	done
fi
exit $bad
