#!/usr/bin/env bash
# 32-bit machines without and with PAE, ARM64 machines: made images recover completely, in the same form as those of x64, from raw memory and from the
# crash dumps of each width, whatever root a header names; roots are found without a container's help, without self-map, without the shared page,
# without headers; Windows before Vista is named.
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
# lists WHAT: likewise of consumers and providers
lists() {
	"$ETLIFT" consumers -q --json x.img >c.json || bad "$1: consumers ends with $?"
	"$ETLIFT" providers -q --json x.img >p.json || bad "$1: providers ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" x.json ox c.json p.json >cmp.txt || { bad "$1, consumers or providers differ"; cat cmp.txt; }
}
# change EXPRESSION RECIPE: as x.recipe
change() { sed "$1" "$R/$2.recipe" >x.recipe; }

# every build, from raw memory: nothing but the scan leads to a root
for m in "x86 7600 7601" "x86-pae 7600 7601 9200 9600 10240 10586 14393 15063 16299 17134 17763 18362 19041" \
	"arm64 16299 17134 17763 18362 19041 22000 22621 26100"; do
	set -- $m
	a=$1
	shift
	for b in "$@"; do
		make -a "$a" -b "$b" "$R/full.recipe" x.img x.json
		compare "full, $a, build $b"
		[ "$a" != arm64 ] || lists "full, $a, build $b" # a consumer of 32 bits among them
		[ "$(jq -r .kernel.arch ox/report.json)" = "${a%-pae}" ] || bad "full, $a, build $b: the report says $(jq -r .kernel.arch ox/report.json)"
	done
done
# the rarer forms, lists and damage; of ARM64 no table tells where a process keeps its container
for m in "x86 7601" "x86-pae 9600" "x86-pae 14393" "x86-pae 19041" "arm64 22000"; do
	set -- $m
	for r in rare lies damage broken; do
		[ $r = broken ] && [ "$2" -lt 16299 ] && continue
		if [ "$1" = arm64 ]; then change "/^session silo=1/,/^provider/{/^provider/!d}; / silo=1/d; /^container/d" $r; else change "" $r; fi
		make -a "$1" -b "$2" x.recipe x.img x.json
		compare "$r, $1, build $2"
		[ $r != rare ] || lists "$r, $1, build $2"
	done
done
# one memory through the crash dumps of its width, and an ELF core: the same files, whatever root the header names
for m in "x86 7601 crash32" "x86-pae 19041 crash32" "arm64 22000 crash64"; do
	set -- $m
	make -a "$1" -b "$2" "$R/full.recipe" x.img x.json
	compare "full, $1, build $2, raw"
	mv ox oraw
	for c in full bitmap kernel summary; do
		make -a "$1" -b "$2" -f "$3-$c" "$R/full.recipe" x.img
		rm -rf ox
		"$ETLIFT" recover -q x.img -o ox || bad "$1, build $2, $3-$c: recover ends with $?"
		diff -r ox/sessions oraw/sessions || bad "$1, build $2: $3-$c gives other files than raw memory"
		[ "$(jq -r .image.format ox/report.json)" = "$3-$c" ] || bad "$1, build $2, $3-$c: format $(jq -r .image.format ox/report.json)"
	done
	make -a "$1" -b "$2" -f elf "$R/full.recipe" x.img
	rm -rf ox
	"$ETLIFT" recover -q x.img -o ox || bad "$1, build $2, elf: recover ends with $?"
	diff -r ox/sessions oraw/sessions || bad "$1, build $2: elf gives other files than raw memory"
	for h in process none; do
		change "s/^machine /machine hint=$h /" full
		make -a "$1" -b "$2" -f "$3-full" x.recipe x.img
		rm -rf ox
		"$ETLIFT" recover -q x.img -o ox || bad "$1, build $2, the header names $h: recover ends with $?"
		diff -r ox/sessions oraw/sessions || bad "$1, build $2, the header names $h: other files"
	done
	rm -rf oraw
done
# machines that lack what finders like to rest on
for m in "x86 7601" "x86-pae 19041" "arm64 22000" "x64 19041" "la57 22000"; do
	set -- $m
	for v in "selfmap=0 stub=0" "decoys=1 stub=0" "headers=0 stub=0" "kuser=0 stub=0"; do
		change "s/^machine /machine $v /; s/large=1//" full
		make -a "$1" -b "$2" x.recipe x.img x.json
		case $v in
		kuser*) # times and more stand in the shared page only: the sessions and their events are there
			rm -rf ox
			"$ETLIFT" recover -q x.img -o ox || bad "$1, build $2, $v: recover ends with $?"
			have=$(jq -c '[.sessions[]|[.id,(.etl.events // 0)]]' ox/report.json)
			[ "$have" = "$(jq -c '[.sessions[]|[.id,([.buffers[]|select(.copy|not)|.records[]]|length)]]' x.json)" ] || bad "$1, build $2, $v: $have"
			;;
		*) compare "full, $1, build $2, $v" ;;
		esac
	done
done
# more memory than 32 bits count: PAE only
change "s/^machine /machine hole=48 /" full
make -a x86-pae -b 19041 -m 96 x.recipe x.img x.json
compare "full, x86-pae, memory above 4 GiB"
# layouts that no table has
for m in "x86 7601" "x86-pae 9600" "x86-pae 19041" "arm64 22000"; do
	set -- $m
	for v in "" "future=1"; do
		change "s/^machine /machine $v /" plain
		make -a "$1" -b "$2" x.recipe x.img x.json
		rm -rf ox
		"$ETLIFT" recover -q --no-builtin x.img -o ox || bad "plain, $1, build $2 $v: recover ends with $?"
		/usr/bin/python3 "$TOP/tests/truthcmp.py" --inferred x.json ox >cmp.txt || { bad "plain, $1, build $2 $v, inferred, differs"; cat cmp.txt; }
		[ "$(jq -r .kernel.profile.match ox/report.json)" = inferred ] || bad "plain, $1, build $2 $v: not inferred"
	done
done
# too old, and said so
for m in "x86 5 1 XP" "x86-pae 5 2 2003"; do
	set -- $m
	change "s/^machine /machine nt_major=$2 nt_minor=$3 /" plain
	make -a "$1" -b 7601 x.recipe x.img x.json
	rm -rf ox
	"$ETLIFT" recover -q x.img -o ox 2>err.txt
	[ $? = 4 ] && grep -q "Windows.* $4.*, build 7601: too old" err.txt && [ "$(wc -l <err.txt)" = 1 ] || bad "NT $2.$3: $(cat err.txt)"
done
# hostile 32-bit memory under the sanitizers
for r in lies damage; do
	make -a x86-pae "$R/$r.recipe" x.img
	rm -rf ox
	"$ETLIFT_SAN" recover -q --deep x.img -o ox 2>err.txt || bad "$r, x86-pae, under the sanitizers: $?, $(cat err.txt)"
done
exit $fail
