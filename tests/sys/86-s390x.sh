#!/usr/bin/env bash
# A big-endian machine: the s390x build under qemu-user makes of the sample image, of containers of all sorts, of the real dumps and the real
# .etl files the same bytes as the native build, in every output format.
set -u
cd "$SCRATCH" || exit 1
# shellcheck source=tests/sys/cross.inc
. "$TOP/tests/sys/cross.inc"
fail=0
bad() { echo "$*"; fail=1; }
cross_build s390x
etlift() { qemu-s390x-static -L "$TOP/build/cross/s390x/root" "$TOP/build/s390x/release/etlift" "$@"; }
file=$(od -An -tx1 -N6 "$TOP/build/s390x/release/etlift" | tr -d ' ')
[ "$file" = 7f454c460202 ] || bad "not a big-endian program: $file"
diff <("$ETLIFT" --version) <(etlift --version) || bad "other libraries are built in"

cross_inputs || exit 1
cross_outputs native "$ETLIFT"
cross_outputs s390x etlift
diff -r native s390x || bad "the s390x build makes other bytes"
[ "$(find s390x/sample.raw.recover -name '*.etl' | wc -l)" -ge 5 ] || bad "no files"
for format in csv xml timesketch evtx pcapng; do
	"$ETLIFT" events in/sample.raw --format $format -o n.$format 2>/dev/null
	etlift events in/sample.raw --format $format -o s.$format 2>/dev/null
	cmp n.$format s.$format || bad "$format differs"
	[ -s n.$format ] || bad "no $format"
done
cross_containers native/sample.raw.recover/sessions etlift || bad "a container"
exit $fail
