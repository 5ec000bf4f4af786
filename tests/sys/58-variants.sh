#!/usr/bin/env bash
# Kernels of an identity that nobody knows, each layout variant of their build in turn: the variant that is taken has StartTime and the context's end
# where the image has them, so times are there and nothing is read behind a context.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
facts() { jq -ce '.types._WMI_LOGGER_CONTEXT|[.members.StartTime.offset,.members.ScratchArray.offset]'; }

for f in 7601-x64 9600-x64 9600-x86-pae 14393-x64 17763-x64 18362-x64 19041-x64 19041-arm64 20348-x64 22000-x64; do
	b=${f%%-*} a=${f#*-}
	for v in $(jq -r '.variants[].name' "$TOP/profiles/$f.json"); do
		sed "s/^machine .*/machine mib=32 cpus=4 seed=5 foreign=1 arch=$a build=$b version=$v/" "$R/plain.recipe" >v.recipe
		"$TOOLS/mkdump" v.recipe x.img || exit 1
		"$ETLIFT" sessions -q --json x.img >v.json || bad "$f $v: sessions ends with $?"
		[ "$(jq -r .kernel.profile.match v.json)" = build ] || bad "$f $v: match is $(jq -c .kernel.profile.match v.json)"
		got=$("$ETLIFT" profile show "$(jq -r .kernel.profile.name v.json)" --json | facts)
		want=$("$ETLIFT" profile show "$f/$v" --json | facts)
		[ -n "$want" ] || bad "$f $v: no layout is shown"
		[ "$got" = "$want" ] || bad "$f $v: $(jq -r .kernel.profile.name v.json) is taken, $got for $want"
		jq -e '(.sessions|length>4) and ([.sessions[].start_time|type=="string"]|all)' v.json >/dev/null || bad "$f $v: sessions without a start"
		jq -e '[.losses[]|select(.what=="list_broken")]==[]' v.json >/dev/null || bad "$f $v: $(jq -c .losses v.json)"
	done
done

# Sizes alone differ (7601), and the name is what tells: in this image it stands 0x340 behind the context, though that is of 0x330. Of equals the last would be taken.
sed "s/^machine .*/machine mib=32 cpus=4 seed=5 foreign=1 build=7601 version=s7601.17514/" "$R/plain.recipe" >v.recipe
"$TOOLS/mkdump" v.recipe x.img || exit 1
jq '.kernels=[]' "$TOP/profiles/7601-x64.json" >7601.json
"$ETLIFT" sessions -q --json --no-builtin=build --symbols 7601.json x.img >v.json || bad "7601: sessions ends with $?"
[ "$(jq -r .kernel.profile.name v.json)" = 7601-x64/7601.24540 ] || bad "7601, name at 0x340: $(jq -r .kernel.profile.name v.json) is taken"
exit $fail
