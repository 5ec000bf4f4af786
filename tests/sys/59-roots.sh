#!/usr/bin/env bash
# Each root alone. Of a kernel whose identity nobody knows, images are made in which one way only leads to the logger contexts: KDBG and
# EtwpDebuggerData behind it (without the bytes that a search goes for), the same encoded, those bytes without KDBG, tags of the pool, its table of big
# allocations with contexts or with buffers, shape. All give the sessions and the .etl bytes of the image that has all of them; the report says by which.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
# alone ROOT FOUND_BY MACHINE-WORDS SESSION-WORDS [OPTION...]
alone() {
	local root=$1 by=$2 words=$3 more=$4 what
	shift 4
	what="$arch $build, $root alone $*"
	sed "s/^machine /machine globals=0 $words /; s/^session .*/& $more/" "$R/roots.recipe" >n.recipe
	"$TOOLS/mkdump" -a "$arch" -b "$build" n.recipe x.img || exit 1
	rm -rf one
	"$ETLIFT" recover -q "$@" x.img -o one 2>err.txt || { bad "$what: recover ends with $?: $(cat err.txt)"; return; }
	[ "$(jq -r .kernel.profile.match one/report.json)" = "$([ $# = 0 ] && echo build || echo inferred)" ] || bad "$what: match $(jq -r .kernel.profile.match one/report.json)"
	[ "$(jq -c '[.sessions[].found_by]|unique' one/report.json)" = "[[\"$by\"]]" ] || bad "$what: found by $(jq -c '[.sessions[].found_by]|unique' one/report.json)"
	[ "$(jq -c '[.sessions[]|[.silo,.id,.name,.mode,.clock,.start_time,.events_lost]]' one/report.json)" = "$sessions" ] || bad "$what: other sessions"
	/usr/bin/python3 "$TOP/tests/etlsame.py" $speed all/sessions one/sessions >cmp.txt || { bad "$what: other bytes"; cat cmp.txt; }
}
roots() { jq -c '.kernel.roots|[.kdbg!=null,.kdbg_encoded,.debugger_data!=null,.debugger_data_by]' one/report.json; }
for m in "x64 7601 9600 14393 17763 19041 22000 26100" "la57 22000" "x86 7601" "x86-pae 19041" "arm64 22000"; do
	set -- $m
	arch=$1
	shift
	for build in "$@"; do
		# every root there is
		sed 's/^machine /machine bigpool=3 /; s/^session .*/& tag=1/' "$R/roots.recipe" >n.recipe
		"$TOOLS/mkdump" -a "$arch" -b "$build" n.recipe x.img || exit 1
		rm -rf all deep
		"$ETLIFT" recover -q x.img -o all || bad "$arch $build, all roots: recover ends with $?"
		"$ETLIFT" recover -q --deep x.img -o deep || bad "$arch $build, all roots, --deep: recover ends with $?"
		diff -r all/sessions deep/sessions || bad "$arch $build: the scans give other files than what leads there"
		[ "$(jq -c '[.sessions[].found_by|sort]|unique' deep/report.json)" = '[["debugger_data","pool_scan","shape_scan"]]' ] ||
			bad "$arch $build: all roots lead $(jq -c '[.sessions[].found_by]|unique' deep/report.json)"
		sessions=$(jq -c '[.sessions[]|[.silo,.id,.name,.mode,.clock,.start_time,.events_lost]]' all/report.json)
		[ "$(jq '.sessions|length' all/report.json)" = 6 ] || bad "$arch $build: $sessions"
		speed=
		alone KDBG debugger_data "etwdata=2" ""
		[ "$(roots)" = '[true,false,true,"kdbg"]' ] || bad "$arch $build, KDBG alone: the report says $(roots)"
		case $arch in
		x86*) ;; # never encoded
		*)
			alone "encoded KDBG" debugger_data "encoded=1 etwdata=2" ""
			[ "$(roots)" = '[true,true,true,"kdbg"]' ] || bad "$arch $build, encoded KDBG alone: the report says $(roots)"
			;;
		esac
		speed=--no-speed
		alone "the byte pattern" debugger_data "kdbg=0" ""
		[ "$(roots)" = '[false,false,true,"pattern"]' ] || bad "$arch $build, the pattern alone: the report says $(roots)"
		alone "the pool's tag" pool_scan "kdbg=0 etwdata=0 bad_ends=1" "tag=1"
		alone "big contexts" pool_scan "kdbg=0 etwdata=0 bad_ends=1 bigpool=1" "big=1"
		alone "big buffers" pool_scan "kdbg=0 etwdata=0 bad_consumers=1 bigpool=2" ""
		alone shape shape_scan "kdbg=0 etwdata=0" ""
		# without the build's tables as well: what inference starts from
		case $build in
		9600) ;;
		*)
			speed=
			alone KDBG debugger_data "etwdata=2" "" --no-builtin=build
			speed=--no-speed
			alone "the byte pattern" debugger_data "kdbg=0" "" --no-builtin=build
			alone shape shape_scan "kdbg=0 etwdata=0" "" --no-builtin=build
			;;
		esac
	done
done
# nothing at all: no root, damaged rings and no tag. Said so, and no file
sed 's/^machine /machine globals=0 kdbg=0 etwdata=0 bad_ends=1 /' "$R/roots.recipe" >n.recipe
"$TOOLS/mkdump" n.recipe x.img || exit 1
rm -rf one
"$ETLIFT" recover -q x.img -o one 2>err.txt
[ $? = 4 ] && [ "$(wc -l <err.txt)" = 1 ] && [ ! -e one/sessions ] || bad "no root: $(cat err.txt)"
exit $fail
