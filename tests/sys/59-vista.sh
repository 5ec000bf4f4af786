#!/usr/bin/env bash
# Windows Vista and Server 2008 (6000 to 6002; x64, x86 without and with PAE): buffers in a list of one link a node, contexts that only a scan finds. Made
# images recover completely; what hangs behind a broken link is counted, consumers (whose layout no table has) are named, lies are survived.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
make() { "$TOOLS/mkdump" "$@" || exit 1; }
# compare WHAT: truth x.json against what etlift says of x.img
compare() {
	rm -rf ox
	"$ETLIFT" recover -q x.img -o ox || bad "$1: recover ends with $?"
	"$ETLIFT" consumers -q --json x.img >c.json || bad "$1: consumers ends with $?"
	"$ETLIFT" providers -q --json x.img >p.json || bad "$1: providers ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" x.json ox c.json p.json >cmp.txt || { bad "$1 differs"; cat cmp.txt; }
	"$ETLIFT" check -q ox/sessions/*.etl >/dev/null || bad "$1: check refuses a file"
}
# of lies.recipe what such a kernel has: no consumers to be read, no table, no second buffer behind a lost one
sed '/name=CountHuge/,/NumberOfBuffers/d; /name=CopyLost/,/^copy pid=901/d; /name=AllLost/,/^lose buffer=1/d
	/^damage slot=60/d; /session=60$/d' "$R/lies.recipe" >lies.recipe

for m in "x64 6000" "x64 6001" "x64 6002" "x86 6000" "x86 6001" "x86 6002" "x86-pae 6000" "x86-pae 6001" "x86-pae 6002"; do
	set -- $m
	for r in full rare damage enabled plain; do
		make -a "$1" -b "$2" "$R/$r.recipe" x.img x.json
		compare "$r, $1, build $2"
		[ "$(jq -r .kernel.profile.match ox/report.json)" = build ] || bad "$r, $1, build $2: match is not build"
	done
	make -a "$1" -b "$2" lies.recipe x.img x.json
	compare "lies, $1, build $2"
done
# the consumers that hang in a ring are named, session by session, and counted
make -b 6001 "$R/full.recipe" x.img x.json
compare "full"
jq -e '[.losses[]|select(.session==3 and .what=="context_bad" and (.detail|test("^1 real-time consumers are not read")))]|length==1' \
	ox/report.json >/dev/null || bad "unread consumers are not named"
"$ETLIFT" events -q x.img >e.txt || bad "events ends with $?"
[ "$(grep -c '"kind":"system"\|"kind":"manifest"\|"kind":"wpp"\|"kind":"perfinfo"' e.txt)" = "$(wc -l <e.txt)" ] && [ "$(wc -l <e.txt)" -gt 500 ] ||
	bad "events: $(wc -l <e.txt)"
# what hangs behind a break comes out by its shape
make -b 6001 "$R/damage.recipe" x.img x.json
"$ETLIFT" carve -q x.img -o oc || bad "carve of damage ends with $?"
for n in 02-4096 03-4096 04-8192; do
	[ -s oc/sessions/orphan-$n-freed.etl ] || bad "carve does not find what is behind the break: $n"
done
# the same files from crash dumps, and on a processor without cmpxchg16b (heads of lists in their other form)
mv ox oraw
for c in crash64-full crash64-bitmap crash64-kernel elf; do
	make -b 6001 -f $c "$R/full.recipe" x.img
	rm -rf ox
	"$ETLIFT" recover -q x.img -o ox || bad "$c: recover ends with $?"
	diff -r ox/sessions oraw/sessions || bad "$c gives other files than raw memory"
done
for b in 6000 6001 6002; do
	sed 's/^machine /machine slist=8 /' "$R/full.recipe" >x.recipe
	make -b $b x.recipe x.img x.json
	compare "the narrow form of list heads, build $b"
done
# heads of lists and links that lie: no session is taken for another one's, nothing hangs or crashes
i=0
for v in 0 1 0xffffffffffffffff 0xfffffa8000000001 0xfffffa8000000010 0xfffff80000000000; do
	for at in "field=GlobalList off=0" "field=GlobalList off=8" "buffer=2 off=0x40" "field=LogFileName off=8"; do
		i=$((i + 1))
		sed "/^session id=3 /i damage $at value=$v size=8" "$R/full.recipe" >x.recipe
		make -b 6001 x.recipe x.img x.json
		rm -rf ox
		timeout 60 "$ETLIFT_SAN" recover -q --deep x.img -o ox 2>err.txt || bad "$at = $v under the sanitizers: $?, $(cat err.txt)"
		[ "$(jq '[.sessions[]|select(.id != 2)|[.id, .etl.events]]' ox/report.json)" = \
			"$(jq '[.sessions[]|select(.id != 2)|[.id, .etl.events]]' oraw/report.json)" ] || bad "$at = $v: other sessions are not the same"
	done
done
[ $i = 24 ] || bad "only $i lies"
# almost-contexts, each without one of the marks: none is taken
sed "/AlmostGlobalList26/,/off=0x40/d" "$R/almost.recipe" >x.recipe # that buffer's link leads nowhere: its context is sound
make -b 6001 x.recipe x.img x.json
compare "almost, build 6001"
exit $fail
