#!/usr/bin/env bash
# Images of a second maker (tests/lib/plainimage.py: straight from complete ISF tables, nothing shared with mkdump or the program, and as little in
# the image as can be): every record of every session with its time, raw and as a crash dump; the same without symbols, by shape alone;
# of an identity that nobody knows, by one root: KDBG without or with a code, or the bytes of EtwpDebuggerData.
set -u
[ -n "$DATA" ] && [ -d "$DATA/isf" ] || { echo "no symbol tables (../shared/data/isf)"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
python=/usr/bin/python3
one() { # BUILD GUID-AGE SEED CONTAINER [OPTION...]
	local b=$1 isf=$DATA/isf/$2.json.xz seed=$3 c=$4 scanned=""
	shift 4
	[ "$*" != --no-builtin ] || scanned=--scanned
	$python "$TOP/tests/lib/plainimage.py" "$isf" "$seed" p.img p.json "$b" $c || exit 1
	rm -rf out
	"$ETLIFT" recover -q "$@" p.img -o out || bad "build $b, seed $seed, $c $*: recover ends with $?"
	"$ETLIFT" consumers -q --json "$@" p.img >p.cons || bad "build $b, seed $seed, $c $*: consumers ends with $?"
	[ -z "$scanned" ] && set -- p.cons || set --
	$python "$TOP/tests/lib/plaincmp.py" $scanned p.json out "$@" >cmp.txt || { bad "build $b, seed $seed, $c $* differs"; cat cmp.txt; }
	"$ETLIFT" check -q out/sessions/*.etl >/dev/null || bad "build $b: check refuses a file"
}
seed=1
while read -r build guid; do
	one "$build" "$guid" $seed raw
	one "$build" "$guid" $((seed + 1)) crash
	one "$build" "$guid" $((seed + 2)) raw --no-builtin
	one "$build" "$guid" $((seed + 100)) "foreign kdbg"
	one "$build" "$guid" $((seed + 101)) "foreign encoded" --no-builtin=build
	one "$build" "$guid" $((seed + 102)) "foreign pattern"
	seed=$((seed + 3))
done <<END
7601 339E74133576439CBCDF7E0229DA3773-1
9600 22597D0B40394E23936F6A24C6C52D5B-1
14393 517E128F7B7C4EA79491DE6B9B9CE190-1
17763 8B11040A5928757B11390AC78F6B6925-1
18362 35A038B1F6E2E8CAF642111E6EC66F57-1
19041 2B2A15FA1FE2122BB1A39ED3572741D2-1
20348 C2EADB24A615E9472CE47C8ADD31F130-1
22000 32C1A669D5FFEFD41091F636CFDB6E99-1
END
exit $fail
