#!/usr/bin/env bash
# The Windows build under Wine: from the sample image, the real dumps and the real .etl files it makes the same bytes as the native build; batch
# does, too, a killed child costs one image; paths with backslashes, long ones, of other letters; names that Windows keeps for devices.
set -u
cd "$SCRATCH" || exit 1
# shellcheck source=tests/sys/cross.inc
. "$TOP/tests/sys/cross.inc"
fail=0
bad() { echo "$*"; fail=1; }
cross_build win64
exe=$TOP/build/win64/release/etlift.exe
export WINEPREFIX=$SCRATCH/wine WINEDEBUG=-all DISPLAY=
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
etlift() { "$wine" "$exe" "$@"; }
etlift --version >version.txt 2>/dev/null || { echo "wine can't run it"; exit 1; }
grep -q 'libcrypto  *built in' version.txt && grep -q 'libyara  *not built in' version.txt || bad "--version: $(cat version.txt)"
grep -q $'\r' version.txt && bad "standard output is not as it was written"

cross_inputs || exit 1
cross_outputs native "$ETLIFT"
cross_outputs windows etlift
diff -r native windows || bad "the Windows build makes other bytes"
[ "$(find windows/sample.raw.recover -name '*.etl' | wc -l)" -ge 5 ] || bad "no files"
for format in csv xml timesketch evtx pcapng; do
	"$ETLIFT" events in/sample.raw --format $format -o n.$format 2>/dev/null
	etlift events in/sample.raw --format $format -o w.$format 2>/dev/null
	cmp n.$format w.$format || bad "$format differs"
done

# batch: children, their logs, a bad image among good ones; finished ones are not done again
cp in/sample.raw in/again.raw
echo "no image" >in/notes.raw
for s in native windows; do
	[ $s = native ] && run=("$ETLIFT") || run=(etlift)
	"${run[@]}" batch 'in/*.raw' -o batch-$s -j 2 >batch-$s.out 2>&1
	echo "status $?" >>batch-$s.out
done
diff -r batch-native batch-windows || bad "batch differs"
diff <(sort batch-native.out) <(sort batch-windows.out) || bad "batch says something else"
touch -d 2001-01-01 batch-windows/again.raw
etlift batch 'in/*.raw' -o batch-windows --resume -q 2>/dev/null
[ "$(date -r batch-windows/again.raw +%Y)" = 2001 ] || bad "--resume does what is done"
diff -r batch-native batch-windows || bad "--resume differs"

# paths: backslashes, a drive, more than 260 characters, other letters; a pattern that the C library fills in
long=$(printf 'a%.0s' {1..120})
etlift recover 'in\sample.raw' -o "back\\$long\\$long\\Ж日本𝄞" >/dev/null || bad "a long path: status $?"
diff -r "back/$long/$long/Ж日本𝄞" native/sample.raw.recover >/dev/null && bad "the report names another path"
diff -r "back/$long/$long/Ж日本𝄞/sessions" native/sample.raw.recover/sessions || bad "under a long path: other files"
etlift check "back/$long/$long/Ж日本𝄞/sessions/*.etl" >/dev/null || bad "check of a pattern under a long path: status $?"
etlift info "Z:${PWD//\//\\}\\in\\sample.raw" >/dev/null || bad "a path with a drive: status $?"
etlift events in/sample.raw -o NUL 2>/dev/null # a device, never a file of this name
[ ! -e NUL ] || bad "-o NUL made a file"
etlift events in/sample.raw -o 'x/CON' 2>/dev/null && bad "-o x/CON"
mkdir x
etlift events in/sample.raw -o 'x/aux.jsonl' 2>err.txt && bad "-o aux.jsonl"
[ -z "$(ls -A x)" ] || bad "a name of a device: $(ls -A x)"

# refusals
etlift recover in/sample.raw -o 'back' >/dev/null 2>err.txt
[ $? = 2 ] && grep -q 'is not empty' err.txt || bad "a folder that is not empty"
etlift recover in -o y >/dev/null 2>err.txt
[ $? = 3 ] && grep -q 'etlift: in: is a folder' err.txt || bad "a folder as image: $(cat err.txt)"
etlift info in/nothing.raw >/dev/null 2>err.txt
[ $? = 3 ] && grep -qx 'etlift: in/nothing.raw: No such file or directory' err.txt || bad "no such file: $(cat err.txt)"
"$(dirname "$wine")/wineserver" -k 2>/dev/null
exit $fail
