#!/usr/bin/env bash
# Style and layering: clang-format and clang-tidy without a finding, no include that climbs out of its room, no banned habit.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
say() { echo "$1"; bad=1; }
sources=$(git ls-files 'src/*.[ch]' 'include/*.h' 'tests/**/*.[ch]' 'fuzz/*.[ch]' 'tools/*.c' 2>/dev/null)
[ -n "$sources" ] || sources=$(find src include tests fuzz tools -name '*.[ch]')

# shellcheck disable=SC2086
clang-format-14 --dry-run --Werror $sources || say "clang-format: run clang-format-14 -i on the files above"

hits=$(grep -nE '#include +"\.\./' $sources) && say "includes that climb out of their room: $hits"
hits=$(grep -nE '\b(printf|puts|exit|abort|getenv|fprintf) *\(' $(echo "$sources" | grep -E '^src/' | grep -vE '^src/(cli|util/win)/')) && say "library code prints, exits or reads the environment: $hits"
hits=$(grep -nE '(^|[^>._A-Za-z0-9])(open|openat|creat|fopen|mkdir|unlink|rename|mmap|pread|pwrite|lseek|fstat|opendir) *\(' $(echo "$sources" | grep -E '^src/' | grep -vE '^src/util/') | grep -vE ':[0-9]+:\s*(/?\*|//)') && say "OS calls outside src/util: $hits"
hits=$(grep -nEi 'build *(>=|<=|>|<|==) *[0-9]{4,}' $(echo "$sources" | grep -E '^src/.*\.c$')) && say "a build number is compared in C: $hits"

# clang-tidy, as many files at a time as there are processors; flags as the Makefile gives them. A finding is an error (.clang-tidy), so the status
# tells of findings, of a file that can't be compiled, and of a clang-tidy that did not run.
LINT_CFLAGS=$(make -s print-LIB_CFLAGS)
LINT_MAY=""
for m in $(make -s print-MODULES) cli; do LINT_MAY="$LINT_MAY $m:$(make -s print-MAY_"$m" | tr ' ' ,)"; done
export LINT_CFLAGS LINT_MAY
tidy() {
	local f=$1 m inc="" out status
	m=$(basename "$(dirname "$f")")
	for d in $(echo "$LINT_MAY" | tr ' ' '\n' | sed -n "s/^$m://p" | tr , ' '); do inc="$inc -Isrc/$d"; done
	# shellcheck disable=SC2086
	out=$(clang-tidy-14 --quiet --config-file=.clang-tidy "$f" -- -std=c11 -D_GNU_SOURCE -DETLIFT_VERSION='"0"' -Iinclude $inc $LINT_CFLAGS 2>&1)
	status=$?
	echo "$out" | grep -E 'warning:|error:' || [ $status = 0 ] || echo "$f: clang-tidy ends with status $status: $out"
	return $status
}
export -f tidy
tidy_all() { xargs -P "$(nproc)" -I{} bash -c 'tidy {}'; }

# the stage itself: what it must see, and what it must not
try=$(mktemp -d)
mkdir "$try/util"
echo 'int sum(int a, int b); int sum(int a, int b) { return a + b; }' >"$try/util/clean.c"
echo '#include <stdlib.h>
int leak(void); int leak(void) { char *p = malloc(8); return p ? p[0] = 1 : 0; }' >"$try/util/leak.c"
echo '#include "err.h"
int gone(struct err *e); int gone(struct err *e) { return err_gone(e, ERR_IO' >"$try/util/broken.c"
echo "$try/util/clean.c" | tidy_all >"$try/out" && [ ! -s "$try/out" ] || say "clang-tidy's stage finds something in a clean file: $(cat "$try/out")"
for f in leak broken none; do
	printf '%s\n' "$try/util/clean.c" "$try/util/$f.c" | tidy_all >"$try/out" && say "clang-tidy's stage lets pass: $f.c"
	grep -q "/$f.c" "$try/out" || say "clang-tidy's stage does not name $f.c: $(cat "$try/out")"
done
grep -q 'clang-analyzer-unix.Malloc' <(echo "$try/util/leak.c" | tidy_all) || say "clang-tidy's stage does not see a leak"
rm -rf "$try"

# (src/util/win is for another compiler: tests/sys/85-windows.sh builds it with -Werror)
hits=$(echo "$sources" | grep -E '^src/.*\.c$' | grep -v '^src/util/win/' | tidy_all) && [ -z "$hits" ] || say "clang-tidy: $(echo "$hits" | sort -u)"
exit $bad
