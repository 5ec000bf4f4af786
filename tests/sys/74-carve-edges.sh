#!/usr/bin/env bash
# Buffers at the edges of what an image may be: its first page is text, its last one is cut, its headers name no processor that there is,
# text stands over its records' times, its records have local time.
set -u
fail=0
for e in "$ETLIFT" "$ETLIFT_SAN"; do
	/usr/bin/python3 "$TOP/tests/carveedge.py" "$e" "$SCRATCH" || fail=1
done
exit $fail
