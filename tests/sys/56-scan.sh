#!/usr/bin/env bash
# Logger contexts by their shape and by their pool tag: sessions that nothing leads to are found, what only looks like a context is not; the same
# bytes whatever the number of threads; --deep finds no session twice.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
make() { "$TOOLS/mkdump" "$@" || exit 1; }
# compare WHAT [OPTION...]: truth x.json against what etlift says of x.img
compare() {
	local what=$1
	shift
	rm -rf ox
	"$ETLIFT" recover -q "$@" x.img -o ox || bad "$what: recover ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" x.json ox >cmp.txt || { bad "$what differs"; cat cmp.txt; }
}
found() { jq -c '[.sessions[]|[.id,(.found_by|sort)]]' ox/report.json; }

for b in 7601 9600 14393 17763 18362 19041 20348 22000 26100; do
	make -b $b "$R/almost.recipe" x.img x.json
	compare "almost, build $b" --deep
	[ "$(jq '.sessions|length' ox/report.json)" = 2 ] || bad "almost, build $b: $(found)"
	[ $b = 26100 ] && continue # an unknown GUID: its layout is proved on sessions that something leads to
	make -b $b "$R/nowhere.recipe" x.img x.json
	compare "nowhere, build $b"
	want='[[2,["shape_scan"]],[3,["shape_scan"]],[4,["shape_scan"]],[5,["pool_scan"]],[6,["pool_scan","shape_scan"]],[7,["shape_scan"]]]'
	[ "$(found)" = "$want" ] || bad "nowhere, build $b: found by $(found)"
done
# the silo's state can't be reached either: it is named, and the sessions are all there
for b in 17763 19041 22000; do
	sed 's/^machine /machine globals=0 /' "$R/nowhere.recipe" >n.recipe
	echo "expect what=context_bad none=1" >>n.recipe
	make -b $b n.recipe x.img x.json
	compare "nowhere and no silo state, build $b"
done

# with what leads to sessions in order, --deep changes nothing but the ways
for r in full rare lies damage; do
	make "$R/$r.recipe" x.img x.json
	compare "$r, --deep" --deep
	mv ox deep
	"$ETLIFT" recover -q x.img -o ox || bad "$r: recover ends with $?"
	diff -r deep/sessions ox/sessions || bad "$r: --deep gives other files"
	rm -rf deep
done

make "$R/nowhere.recipe" x.img x.json
compare "nowhere, again"
mv ox one
taskset -c 0 "$ETLIFT" recover -q x.img -o ox || bad "on one processor: recover ends with $?"
diff -r one ox || bad "one processor gives other bytes"
rm -rf ox
"$ETLIFT_SAN" recover -q x.img -o ox || bad "under the sanitizers: recover ends with $?"
diff -r one ox || bad "the sanitized program gives other bytes"
exit $fail
