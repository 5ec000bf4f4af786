#!/usr/bin/env bash
# Headers that claim 16 MiB over and over in a memory of a few: no file becomes many times the image, and no record is lost.
set -u
fail=0
for e in "$ETLIFT" "$ETLIFT_SAN"; do
	/usr/bin/python3 "$TOP/tests/carvehuge.py" "$e" "$SCRATCH" || fail=1
done
exit $fail
