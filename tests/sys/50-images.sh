#!/usr/bin/env bash
# The main job on made images of eight Windows builds: every session, buffer and event of the recipe, byte for byte, nothing else; the same .etl
# bytes from every container and in a second run; damage is survived and named.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
# compare NAME WHAT: truth NAME.json against what etlift says of NAME.img; the output of recover stays in oNAME
compare() {
	"$ETLIFT" recover -q "$1.img" -o "o$1" || bad "$2: recover ends with $?"
	"$ETLIFT" consumers -q --json "$1.img" >"$1.cons" || bad "$2: consumers ends with $?"
	"$ETLIFT" providers -q --json "$1.img" >"$1.prov" || bad "$2: providers ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" "$1.json" "o$1" "$1.cons" "$1.prov" || bad "$2 differs"
}
etls() { (cd "$1" && find sessions -type f 2>/dev/null | sort | xargs -r sha256sum); }

for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	"$TOOLS/mkdump" -b $b "$R/full.recipe" $b.img $b.json || exit 1
	compare $b "build $b"
	"$ETLIFT" check -q o$b/sessions/*.etl >/dev/null || bad "check refuses a file of build $b"
	"$ETLIFT" recover -q $b.img -o again$b && diff -r o$b again$b || bad "build $b: a second run gives other bytes"
	for c in crash64-full crash64-bitmap crash64-kernel; do
		"$TOOLS/mkdump" -b $b -f $c "$R/full.recipe" $b.$c || exit 1
		"$ETLIFT" recover -q $b.$c -o oc || bad "recover of build $b as $c ends with $?"
		diff <(etls o$b) <(etls oc) || bad "build $b: $c gives other bytes"
		rm -rf oc $b.$c
	done
	rm -rf $b.img again$b
done

# the comparer itself: a changed record, time, way, loss or provider must be seen
for e in 's/"fnv":"[0-9a-f]/&0/' 's/"time":13/"time":14/' 's/"dirty"/"current"/' 's/"losses":\[/&{"what":"list_broken","silo":0,"session":2,"va":"0x0"}/' \
	's/"level":4/"level":3/' 's/"gaps":\[{"offset":/&1/' 's/"wow64":true/"wow64":false/' 's/"same_as"/x/;s/"copy":true/"copy":false/'; do
	sed "$e" 19041.json >changed.json
	/usr/bin/python3 "$TOP/tests/truthcmp.py" changed.json o19041 19041.cons 19041.prov >changed.txt && bad "the comparer does not see $e"
done

# a kernel that no profile knows: the layouts of its build, proved on the image
for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	sed 's/^machine /machine foreign=1 /' "$R/full.recipe" >foreign.recipe
	"$TOOLS/mkdump" -b $b foreign.recipe f.img f.json || exit 1
	compare f "unknown GUID of build $b"
	[ "$(jq -r .kernel.profile.match of/report.json)" = build ] || bad "unknown GUID of build $b: match is not build"
	jq -r '.sessions[]|[.silo,.id,.name,.etl.events,.etl.buffers]|@tsv' of/report.json >f.txt
	jq -r '.sessions[]|[.silo,.id,.name,.etl.events,.etl.buffers]|@tsv' o$b/report.json | diff - f.txt || bad "unknown GUID of build $b: other sessions"
	rm -rf of f.img
done

# variants of the machine: no low stub, 2 MiB pages or not, encoded KDBG, dummy roots, five levels
for v in "stub=0" "large=0" "encoded=1 foreign=1" "decoys=1 stub=0" "levels=5" "freq=3579545"; do
	sed -E "s/^machine (.*)/machine \1 $v/; s/large=1 (.*large=0)/\1/; s/freq=10000000//" "$R/full.recipe" >v.recipe
	"$TOOLS/mkdump" v.recipe v.img v.json || exit 1
	compare v "machine $v"
	rm -rf ov v.img
done

"$TOOLS/mkdump" "$R/damage.recipe" d.img d.json || exit 1
compare d damage
jq -e '[.losses[]|select(.session==2 and .what=="list_broken")]|length==1' od/report.json >/dev/null || bad "the broken link is not named once"
jq -e '[.losses[]|select(.session==4 and .what=="page_missing")]|length==1' od/report.json >/dev/null || bad "the missing list page is not named once"
jq -e '[.sessions[]|select(.id==5)|.buffers[].gaps[]|select(.why=="page_missing")]|length==2' od/report.json >/dev/null || bad "gaps are not named"
[ -z "$(find od -name '*passwd*' -not -path 'od/sessions/*')" ] || bad "a hostile name left its folder"
"$ETLIFT" recover -q --strict d.img -o os
[ $? = 5 ] || bad "--strict with losses does not end with 5"
"$ETLIFT_SAN" recover -q d.img -o osan || bad "damage under the sanitizers ends with $?"
diff -r od osan || bad "the sanitized program gives other bytes"
exit $fail
