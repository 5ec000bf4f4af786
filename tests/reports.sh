#!/usr/bin/env bash
# reports.sh FILE...: sanitizer reports of the unit tests. Prints them and ends with 1, but for leaks of Criterion's own: on a busy machine its
# runner now and then loses 48 bytes. A report counts as that when it is of leaks only and no frame in it but the allocator's is outside Criterion's libraries.
set -u
bad=0
for f in "$@"; do
	[ -f "$f" ] || continue
	if grep -q '^ *#[0-9]' "$f" && ! grep -E '^==[0-9]+==ERROR' "$f" | grep -qv 'LeakSanitizer: detected memory leaks' && ! grep -q 'runtime error:' "$f" &&
		! grep -E '^ *#[0-9]' "$f" | grep -v ' in __interceptor_' | grep -qvE '/lib(criterion|nanomsg|boxfort|ffi|git2|c)\.so'; then
		continue
	fi
	cat "$f"
	bad=1
done
[ $bad = 0 ] || echo "sanitizer report: see above"
exit $bad
