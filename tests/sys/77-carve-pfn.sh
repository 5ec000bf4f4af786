#!/usr/bin/env bash
# The page frame number database: freed buffers whose pages lie anywhere, and page tables that are lost.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
cmp() { /usr/bin/python3 "$TOP/tests/carvecmp.py" "$@" || bad "$* differs"; }

for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	"$TOOLS/mkdump" -b $b "$R/freed.recipe" i.img i.json || exit 1
	"$ETLIFT" recover -q --carve i.img -o out || bad "$b: recover --carve ends with $?"
	cmp i.json out
	rm -rf out
done
# what the database tells there: without it, buffers remain that nobody can put together
sed 's/ pfn=1//' "$R/freed.recipe" >without.recipe
"$TOOLS/mkdump" without.recipe without.img without.json || exit 1
"$ETLIFT" carve -q without.img -o without
"$TOOLS/mkdump" "$R/freed.recipe" i.img i.json || exit 1
"$ETLIFT" carve -q i.img -o with || bad "carve ends with $?"
whole() { jq '[.orphans[].buffers[]|select(.gaps|length==0)]|length' "$1/report.json"; }
[ "$(whole with)" -gt "$(whole without)" ] || bad "$(whole with) whole buffers with the database, $(whole without) without it"
# the same bytes with one thread, under the sanitizers
"$ETLIFT_SAN" carve -q -j1 i.img -o san || bad "carve under the sanitizers ends with $?"
diff -r with san >/dev/null || bad "other bytes under the sanitizers"
rm -rf with without san

# every page table of an image zeroed in turn: every buffer comes back, the last records of consumers' copies too
for r in full carve; do
	sed 's/^machine .*/& pfn=1/' "$R/$r.recipe" >t.recipe
	"$TOOLS/mkdump" t.recipe t.img t.json || exit 1
	n=$(jq '.page_tables|length' t.json)
	[ "$n" -gt 20 ] || bad "$r: only $n page tables"
	for k in 0 1; do "$TOOLS/sweep" t.img t.json -j $k/2 -t >sweep.$k & done
	wait
	grep -h ' lost$\|never written\|twice' sweep.0 sweep.1 && bad "$r: page tables are missed"
	# and other pages, the database's own among them
	"$TOOLS/sweep" t.img t.json -s 7 -n 40 >sweep.2 || { cat sweep.2; bad "$r: pages are missed"; }
done
# all page tables of the last level of one process at once: the report counts those that were put together again
/usr/bin/python3 - t.img t.json <<'END'
import json, sys
pt = [int(x, 16) for x in json.load(open(sys.argv[2]))["page_tables"]]
with open(sys.argv[1], "r+b") as f:
    for pa in pt[-3:]:
        f.seek(pa)
        f.write(bytes(4096))
END
"$ETLIFT" recover -q --carve t.img -o out || bad "three tables lost: recover ends with $?"
[ "$(jq .kernel.page_tables_rebuilt out/report.json)" -ge 1 ] || bad "no table was put together"
cmp t.json out
/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" out/report.json || bad "a report against its schema"
exit $fail
