#!/usr/bin/env bash
# Seeded changes all over made images (page tables, kernel structures, buffers), under the sanitizers.
set -u
cd "$SCRATCH" || exit 1
fail=0
for r in "19041 rare" "7601 full" "14393 full" "22621 lies"; do
	set -- $r
	"$TOOLS/mkdump" -b "$1" -m 40 "$TOP/testdata/recipes/$2.recipe" x.img || exit 1
	/usr/bin/python3 "$TOP/tests/flips.py" x.img "$ETLIFT_SAN" 25 || fail=1
done
# a page frame number database, and freed pages that it tells of
sed 's/^machine .*/& pfn=1/' "$TOP/testdata/recipes/carve.recipe" >pfn.recipe
"$TOOLS/mkdump" -m 40 pfn.recipe x.img || exit 1
/usr/bin/python3 "$TOP/tests/flips.py" x.img "$ETLIFT_SAN" 15 0 --carve || fail=1
# cut short, as raw and as a crash dump: what is left is recovered, or there is no kernel (4)
for c in raw crash64-full crash64-kernel; do
	"$TOOLS/mkdump" -m 40 -f $c "$TOP/testdata/recipes/rare.recipe" c.img || exit 1
	n=$(stat -c %s c.img)
	for part in 1 3 5 7 9 11 13 15; do
		head -c $((n * part / 16 + part * 97)) c.img >cut.img
		rm -rf oc
		"$ETLIFT_SAN" recover -q cut.img -o oc 2>err.txt
		status=$?
		case $status in 0 | 4) ;; *) echo "$c cut at $part/16: recover ends with $status"; cat err.txt; fail=1 ;; esac
		for f in oc/sessions/*.etl; do
			[ ! -e "$f" ] || "$ETLIFT_SAN" check -q "$f" >/dev/null || { echo "$c cut at $part/16: $f is refused"; fail=1; }
		done
		[ $c = raw ] || jq -e '[.losses[]|select(.what=="image_truncated")]|length==1' oc/report.json >/dev/null ||
			{ echo "$c cut at $part/16: not named as truncated"; fail=1; }
	done
done
exit $fail
