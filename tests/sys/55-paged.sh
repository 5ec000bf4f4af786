#!/usr/bin/env bash
# Pages off the working set, behind prototype entries and in a pagefile, on eight builds: with --pagefile nothing is lost; without it just what
# stands there is, and each page is named; a kernel whose mask can't be read still gives the pages in transition.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
compare() { # NAME WHAT [OPTION...]
	local n=$1 what=$2
	shift 2
	rm -rf "o$n"
	"$ETLIFT" recover -q "$@" "$n.img" -o "o$n" || bad "$what: recover ends with $?"
	"$ETLIFT" consumers -q --json "$@" "$n.img" >"$n.cons" || bad "$what: consumers ends with $?"
	"$ETLIFT" providers -q --json "$@" "$n.img" >"$n.prov" || bad "$what: providers ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" "$n.json" "o$n" "$n.cons" "$n.prov" >cmp.txt || { bad "$what differs"; cat cmp.txt; }
}
for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	"$TOOLS/mkdump" -b $b "$R/paged.recipe" a.img a.json || exit 1
	compare a "paged, build $b, without the pagefile"
	jq -e '[.losses[]|select(.what=="page_missing" and (.detail|test("paged out")))]|length>0' oa/report.json >/dev/null ||
		bad "build $b: no loss says that a page is paged out"
	# pagefile 1: the second one that is given
	"$TOOLS/mkdump" -b $b -p pf.sys "$R/paged.recipe" b.img b.json || exit 1
	cmp -s a.img b.img || bad "build $b: the image depends on -p"
	: >none.sys
	compare b "paged, build $b, with the pagefile" --pagefile none.sys --pagefile pf.sys
	# a pagefile cut short loses what is behind its end and nothing else
	head -c 20000 pf.sys >cut.sys
	"$ETLIFT_SAN" recover -q --pagefile none.sys --pagefile cut.sys b.img -o oc || bad "build $b, pagefile cut short: recover ends with $?"
	for s in $(jq -r '.sessions[].id' ob/report.json); do
		all=$(jq ".sessions[]|select(.id==$s)|.etl.events" ob/report.json)
		cut=$(jq ".sessions[]|select(.id==$s)|.etl.events" oc/report.json)
		none=$(jq ".sessions[]|select(.id==$s)|.etl.events" oa/report.json)
		[ "$none" -le "$cut" ] && [ "$cut" -le "$all" ] || bad "build $b, session $s: $none events without, $cut with a part of, $all with the pagefile"
	done
	rm -rf oc
done
# kernels without symbols: the mask comes from the entries in transition, where there are some
for b in 9600 10240 17134 19041 22621; do
	sed 's/^machine /machine foreign=1 /' "$R/paged.recipe" >m.recipe
	"$TOOLS/mkdump" -b $b -p pf.sys m.recipe m.img m.json || exit 1
	compare m "build $b, mask from the entries" --pagefile none.sys --pagefile pf.sys
done
# where there are none, what is in transition is still had; what a pagefile or a prototype holds is named, and nothing else is taken for it
sed 's/^machine /machine foreign=1 /; s/ trimmed=40//; /how=p/d' "$R/paged.recipe" >m.recipe
"$TOOLS/mkdump" m.recipe m.img m.json || exit 1
compare m "pages in transition, mask unknown"
sed 's/^machine /machine foreign=1 /; s/ trimmed=40//; s/how=proto[a-z_]*/how=pagefile/' "$R/paged.recipe" >m.recipe
"$TOOLS/mkdump" m.recipe m.img m.json || exit 1
"$TOOLS/mkdump" -p pf.sys m.recipe m.img || exit 1
compare m "a pagefile, mask unknown" --pagefile none.sys --pagefile pf.sys
exit $fail
