#!/usr/bin/env bash
# A 32-bit machine: the i386 build makes of the sample image, of containers of all sorts, of an image of 5 GiB, of the real dumps and the real
# .etl files the same bytes as the native build. Built with ASan + UBSan, every fuzz target passes on its seeds and on seeded changes of
# them: lengths of 64 bits that don't fit. FUZZ_REPLAY: changes a target (default 1000). Under qemu-user where the kernel
# runs no 32-bit programs: then without the sanitizers.
set -u
cd "$SCRATCH" || exit 1
# shellcheck source=tests/sys/cross.inc
. "$TOP/tests/sys/cross.inc"
fail=0
bad() { echo "$*"; fail=1; }
cross_build i386
root=$TOP/build/cross/i386/root
run=("$root/lib/ld-linux.so.2" --library-path "$root/lib/i386-linux-gnu:$root/usr/lib/i386-linux-gnu")
native=1
"${run[@]}" --help >/dev/null 2>&1 || { native=0 run=(qemu-i386-static -L "$root"); }
etlift() { "${run[@]}" "$TOP/build/i386/release/etlift" "$@"; }
file=$(od -An -tx1 -N6 "$TOP/build/i386/release/etlift" | tr -d ' ')
[ "$file" = 7f454c460101 ] || bad "not a 32-bit program: $file"
diff <("$ETLIFT" --version) <(etlift --version) || bad "other libraries are built in"

cross_inputs || exit 1
cross_outputs native "$ETLIFT"
cross_outputs i386 etlift
diff -r native i386 || bad "the i386 build makes other bytes"
[ "$(find i386/sample.raw.recover -name '*.etl' | wc -l)" -ge 5 ] || bad "no files"
cross_containers native/sample.raw.recover/sessions etlift || bad "a container"

# 1 GiB at 0 and 1 GiB at 4 GiB: places in the file and in memory that 32 bits don't hold
for c in raw crash64-bitmap; do
	"$TOOLS/mkdump" -m 2048 -H 1024 -f $c "$TOP/testdata/recipes/demo.recipe" big.$c || bad "5 GiB can't be written"
	[ $c != raw ] || [ "$(stat -c %s big.raw)" -ge 5368709120 ] || bad "not 5 GiB"
	diff <("$ETLIFT" info --json big.$c) <(etlift info --json big.$c) || bad "$c of 5 GiB: info differs"
	"$ETLIFT" recover -q big.$c -o big.native || bad "$c of 5 GiB: native: status $?"
	etlift recover -q big.$c -o big.i386 || bad "$c of 5 GiB: status $?"
	diff -r big.native big.i386 || bad "$c of 5 GiB: other bytes"
	[ "$(find big.i386 -name '*.etl' | wc -l)" -ge 5 ] || bad "$c of 5 GiB: no files"
	[ "$(jq '[.. | .pa? // empty | select(type == "string" and length > 10)] | length' big.i386/report.json)" != 0 ] || bad "$c: nothing stands above 4 GiB"
	rm -r big.$c big.native big.i386
done

[ $native = 1 ] || { echo "no 32-bit programs on this kernel: sanitizers left out"; exit $fail; }
"$TOP/tools/cross.sh" i386 san fuzzers >san.log 2>&1 || { tail -n 30 san.log; exit 1; }
san=$TOP/build/i386/san
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
for f in "$TOP"/fuzz/fuzz_*.c; do
	name=$(basename "$f" .c)
	name=${name#fuzz_}
	seeds=()
	[ -d "$TOP/testdata/fuzz/$name" ] && seeds+=("$TOP/testdata/fuzz/$name")
	timeout 120 "$san/fuzz-$name" -mutate="${FUZZ_REPLAY:-1000}" -seed=32 ${seeds[@]+"${seeds[@]}"} >fuzz.log 2>&1 || bad "fuzz-$name: status $?: $(tail -n 30 fuzz.log)"
done
exit $fail
