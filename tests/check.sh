#!/usr/bin/env bash
# Every test. Stages: lint; unit tests under ASan + UBSan with gcc and with clang; the release build; tests/sys/*.sh on it.
# Ends with one line "N passed, N failed, N skipped". Logs stay in build/check/.
set -u
cd "$(dirname "$0")/.." || exit 1
TOP=$PWD
export TOP
export CI=${CI:-} # warnings are errors when set
LOG=$TOP/build/check
rm -rf "$LOG"
mkdir -p "$LOG"
CLANG=clang-14
passed=0 failed=0 skipped=0
jobs=$(nproc)

result() { # NAME STATUS LOGFILE
	case $2 in
	0) passed=$((passed + 1)); echo "ok    $1" ;;
	77) skipped=$((skipped + 1)); echo "skip  $1: $(tail -n 1 "$3")" ;;
	*) failed=$((failed + 1)); echo "FAIL  $1 (status $2); the end of its log:"; tail -n 40 "$3" | sed 's/^/      /' ;;
	esac
}
run() { # NAME COMMAND...
	local name=$1 log
	log=$LOG/$(echo "$name" | tr -c 'A-Za-z0-9\n' _).log
	shift
	local from=$SECONDS
	"$@" >"$log" 2>&1 </dev/null
	result "$name ($((SECONDS - from)) s)" $? "$log"
}

run "lint" tests/lint.sh
run "build: gcc, ASan + UBSan" make -j"$jobs" WERROR=-Werror CONFIG=san BUILD=build/gcc CC=gcc all build/gcc/san/unit tools fuzzers
run "build: clang, ASan + UBSan" make -j"$jobs" WERROR=-Werror CONFIG=san BUILD=build/clang CC=$CLANG all build/clang/san/unit tools fuzzers
run "build: release" make -j"$jobs" WERROR=-Werror CONFIG=release all tools
run "unit tests: gcc" make CONFIG=san BUILD=build/gcc CC=gcc WERROR=-Werror unit UNIT_ARGS="-j$jobs"
run "unit tests: clang" make CONFIG=san BUILD=build/clang CC=$CLANG WERROR=-Werror unit UNIT_ARGS="-j$jobs"

export ETLIFT=$TOP/build/release/etlift       # the release binary
export ETLIFT_SAN=$TOP/build/clang/san/etlift # the one under ASan + UBSan
export TOOLS=$TOP/build/release/tools         # test tools (mkdump ...)
export FUZZERS=$TOP/build/clang/san           # fuzz-NAME, replaying
DATA=${ETLIFT_DATA:-$TOP/../shared/data}
[ -d "$DATA" ] || DATA=""
export DATA                                   # real files, or empty: then a test skips with a line that says so
for t in tests/sys/*.sh; do
	name=$(basename "$t" .sh)
	SCRATCH=$(mktemp -d)
	export SCRATCH
	run "$name" bash "$t"
	rm -rf "$SCRATCH"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
