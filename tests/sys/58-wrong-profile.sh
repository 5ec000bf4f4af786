#!/usr/bin/env bash
# A profile that --profile forces is proved like any other: a wrong one is refused with the name of the invariant that failed, the right one and the
# layout of a kernel beside it are taken. What is wanted is named to the letter when nothing fits.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
builds="7601 9600 14393 17763 18362 19041 20348 22000"
"$ETLIFT" profile list --json >list.json || exit 1
name() { jq -r "[.profiles[]|select(.build==$1 and .arch==\"x64\" and .version!=null)|.name]|$2" list.json; }

for b in $builds; do
	"$TOOLS/mkdump" -b $b "$R/full.recipe" x.img || exit 1
	for o in $builds; do
		"$ETLIFT" sessions -q --json --profile "$(name $o last)" x.img >out.json 2>err.txt
		rc=$?
		if [ $o = $b ]; then
			[ $rc = 0 ] && [ "$(jq -r .kernel.profile.match out.json)" = given ] || bad "build $b: its own profile ends with $rc: $(cat err.txt)"
		elif [ $rc != 4 ] || ! grep -q 'does not fit this kernel: it fails "..*"' err.txt; then
			bad "build $b with the profile of $o ends with $rc: $(cat err.txt)"
		fi
	done
done
# a kernel that nobody knows, with the profile of one beside it: the layout is taken, and it is said that the symbols are not
sed 's/^machine /machine foreign=1 /' "$R/full.recipe" >n.recipe
"$TOOLS/mkdump" n.recipe x.img || exit 1
"$ETLIFT" sessions -q --json --profile "$(name 19041 last)" x.img >out.json 2>err.txt || bad "the layout of a kernel beside it: $(cat err.txt)"
jq -e '[.losses[].detail|select(test("its symbols are not"))]|length==1' out.json >/dev/null || bad "nothing says that the symbols are not used"
[ "$(jq '.sessions|length' out.json)" = 7 ] || bad "the layout of a kernel beside it gives $(jq '.sessions|length' out.json) sessions"
"$ETLIFT" sessions -q --profile no-such x.img 2>err.txt >/dev/null
[ $? = 4 ] || bad "no such profile: $(cat err.txt)"

# the version of a kernel file whose RSDS record nobody knows, by its PE header: a sample
sed -n '2~400p' "$TOP/data/kernel-versions.txt" | while read -r time size arch version; do
	[ "$arch" = x64 ] || continue
	sed "s/^machine /machine foreign=1 pe_time=0x$time pe_size=0x$size /; /^session/,\$d" "$R/plain.recipe" >n.recipe
	"$TOOLS/mkdump" n.recipe x.img || echo "no image"
	[ "$("$ETLIFT" info -q --json x.img | jq -r .kernel.version)" = "$version" ] || echo "$time $size is not $version"
	rm -rf ox
	"$ETLIFT" recover -q --no-builtin x.img -o ox 2>&1 | grep -qF "version $version" || echo "$version is not in the message"
	echo tried
done >versions.txt
[ "$(sort -u versions.txt)" = tried ] || bad "versions: $(sort versions.txt | uniq -c)"
"$TOOLS/mkdump" "$R/full.recipe" x.img
[ "$("$ETLIFT" info -q --json x.img | jq -r .kernel.version)" = "$(jq -r '[.profiles[]|select(.build==19041 and .arch=="x64" and .version!=null)|.version]|last' list.json)" ] ||
	bad "the version of a kernel with a profile"
exit $fail
