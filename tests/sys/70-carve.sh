#!/usr/bin/env bash
# Carving: every buffer of a made image is found without a kernel, once and nothing else; memory that holds none gives none.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
cmp() { /usr/bin/python3 "$TOP/tests/carvecmp.py" "$@" || bad "$* differs"; }

for r in carve full rare damage demo; do
	"$TOOLS/mkdump" "$R/$r.recipe" $r.img $r.json || exit 1
	# sessions known: carving adds no record twice
	"$ETLIFT" recover -q --carve $r.img -o both-$r || bad "$r: recover --carve ends with $?"
	# but for pages that only the page tables have lost
	[ $r = damage ] || /usr/bin/python3 "$TOP/tests/truthcmp.py" $r.json both-$r >t.txt || { cat t.txt; bad "$r: --carve changes what recover finds"; }
	cmp $r.json both-$r
	# no profile: no session is known
	"$ETLIFT" carve -q --no-builtin $r.img -o alone-$r || bad "$r: carve without profiles ends with $?"
	cmp $r.json alone-$r
	# the same bytes again, and with one thread; the sanitized program agrees
	"$ETLIFT_SAN" carve -q -j1 --no-builtin $r.img -o san-$r || bad "$r: carve under the sanitizers ends with $?"
	diff -r alone-$r san-$r >/dev/null || bad "$r: other bytes with one thread"
	"$ETLIFT" check -q both-$r/sessions/*.etl alone-$r/sessions/*.etl >/dev/null || bad "$r: check refuses a carved file"
	/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" both-$r/report.json alone-$r/report.json || bad "$r: a report against its schema"
	rm -rf both-$r alone-$r san-$r
done

# a page lost, any page: whatever does not touch it is recovered whole (all of them in turn: make sweep)
for r in carve full; do
	"$TOOLS/sweep" $r.img $r.json -n 40 -s "${SEED:-70}" || bad "$r: a page lost elsewhere costs a buffer"
done
rm -f ./*.img

# nothing is invented: noise, and the programs of this machine in pages as memory holds them
none() { # IMAGE WHAT
	for o in "" --deep; do
		"$ETLIFT" carve -q $o "$1" --force -o none >none.txt 2>&1
		[ $? = 4 ] || { cat none.txt; bad "$2 $o: carve finds something"; }
		jq -e '.carve.shapes==0 and (.orphans|length)==0' none/report.json >/dev/null || bad "$2 $o: a buffer in the report"
		rm -rf none
	done
}
openssl enc -aes-128-ctr -K 0102030405060708090a0b0c0d0e0f10 -iv 0 -in /dev/zero 2>/dev/null | head -c $((${NOISE_MIB:-128} << 20)) >noise.img
none noise.img noise
rm -f noise.img
{
	head -c 4096 /dev/zero
	find /usr/bin /usr/lib /usr/share/doc -xdev -type f -size +8k 2>/dev/null | sort | while read -r f; do
		cat "$f"
		n=$(stat -c %s "$f")
		head -c $(((4096 - n % 4096) % 4096)) /dev/zero
	done
} 2>/dev/null | head -c $((${USR_MIB:-384} << 20)) >usr.img
none usr.img "programs of /usr"
exit $fail
