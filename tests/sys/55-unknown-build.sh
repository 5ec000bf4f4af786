#!/usr/bin/env bash
# An image of a build that no table has (--no-builtin=build): inference, and what the nearest builds lend where this memory bears it out, give the same
# sessions and the same .etl bytes as the build's own profile, but for what only symbols give (names of the time zone, boot time).
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
speed=
# same ARCH BUILD RECIPE
same() {
	"$TOOLS/mkdump" -a "$1" -b "$2" "$3" x.img || exit 1
	rm -rf one other
	"$ETLIFT" recover -q x.img -o one || bad "$1 $2, $3: recover ends with $?"
	"$ETLIFT" recover -q --no-builtin=build x.img -o other || bad "$1 $2, $3, without the build's profile: recover ends with $?"
	[ "$(jq -r .kernel.profile.match other/report.json)" = inferred ] || bad "$1 $2, $3: match is not inferred"
	/usr/bin/python3 "$TOP/tests/etlsame.py" $speed one/sessions other/sessions >cmp.txt || { bad "$1 $2, $3 differs"; cat cmp.txt; }
	[ "$(jq -c '[.sessions[]|[.silo,.id,.name,.va]]' one/report.json)" = "$(jq -c '[.sessions[]|[.silo,.id,.name,.va]]' other/report.json)" ] ||
		bad "$1 $2, $3: other sessions"
}

# the layout groups (docs/layouts.md 3d): A 7601, B 9600, C 14393, D 17763 to 20348, E 22000
for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	same x64 $b "$R/full.recipe"
	[ $b != 7601 ] && [ $b != 14393 ] && [ $b != 22000 ] || same x64 $b "$R/lies.recipe"
done
for b in 9600 17763 20348; do same x64 $b "$R/damage.recipe"; done
# containers are met by what the tables of other builds still fit; here without them
sed '/^session silo=1/,/^provider/{/^provider/!d}; / silo=1/d; /^container/d' "$R/rare.recipe" >r.recipe
for b in 7601 14393 19041; do same x64 $b r.recipe; done
same x86 7601 "$R/full.recipe"
same x86-pae 14393 "$R/full.recipe"
same x86-pae 19041 "$R/full.recipe"
same arm64 22000 "$R/full.recipe"
# the logger table's page is lost: what only a per-CPU slot or a consumer leads to is there all the same, KDBG or not
sed '/^session id=40/,$d' "$R/full.recipe" >t.recipe
echo "damage table=0" >>t.recipe
sed 's/^machine /machine kdbg=0 etwdata=0 /' t.recipe >u.recipe
for b in 17763 19041 22000; do
	same x64 $b t.recipe
	[ "$(jq -c '[.sessions[].found_by[]]|unique' other/report.json)" = '["consumer","shape_scan","slot"]' ] || bad "$b, no table: $(jq -c '[.sessions[].found_by]' other/report.json)"
	same x64 $b "$R/broken.recipe"
done
same arm64 22000 t.recipe
speed=--no-speed
same x64 19041 u.recipe
speed=
# every member that was taken says on what it rests
python3 "$TOP/tests/validate.py" "$TOP/docs" other/report.json >valid.txt || { bad "the report does not validate"; cat valid.txt; }
jq -e '[.kernel.profile.inferred.members[].how|length>10]|all' other/report.json >/dev/null || bad "a member without a reason"
exit $fail
