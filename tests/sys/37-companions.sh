#!/usr/bin/env bash
# Files that belong together: pieces with more than three digits, what lies beside the file that a symbolic link leads to, pieces that were packed one by
# one; a stream by --spill.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
of() { jq -r "$2" <"$1"; }
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" m.raw || exit 1
size=$(stat -c %s m.raw)

# 1002 pieces: .001 to .999, .1000 to .1002; one of the last missing is named as it is called
mkdir p there
split -b $((size / 1001)) -a 4 -d --numeric-suffixes=1 m.raw p/k.
for f in p/k.0*; do mv "$f" "p/k.${f##p/k.0}"; done
n=$(find p -type f | wc -l)
[ -f p/k.1001 ] || bad "split made $n pieces"
"$ETLIFT" info --json p/k.001 >i.json 2>e.txt || bad "1002 pieces: $(cat e.txt)"
[ "$(of i.json '.image.physical_bytes')" = "$size" ] && [ "$(of i.json '.losses|length')" = 0 ] || bad "1002 pieces: $(of i.json '.image')"
mv p/k.1000 aside
"$ETLIFT" info --json p/k.001 >i.json 2>e.txt
of i.json '.losses[].detail' | grep -q 'piece k\.1000 is missing' || bad "a missing piece: $(of i.json '.losses')"
mv aside p/k.1000

# a link of another name, and one of a piece's name elsewhere
ln -s "$PWD/p/k.001" there/image
ln -s ../p/k.001 there/x.001
for l in there/image there/x.001; do
	"$ETLIFT" info --json $l >i.json 2>e.txt || bad "$l: $(cat e.txt)"
	[ "$(of i.json '.image.physical_bytes')" = "$size" ] || bad "$l: $(of i.json '.image')"
done
mkdir e v
"$TOOLS/mkdump" -f ewf -m 256 -H 192 "$TOP/testdata/recipes/demo.recipe" e/m.E01 || exit 1
[ -f e/m.E02 ] || bad "one segment only"
ln -s "$PWD/e/m.E01" there/e.E01
"$ETLIFT" info --json e/m.E01 >a.json 2>e.txt
"$ETLIFT" info --json there/e.E01 >i.json 2>e.txt || bad "a link to E01: $(cat e.txt)"
cmp -s <(of a.json '.image.runs,.losses') <(of i.json '.image.runs,.losses') || bad "a link to E01: $(of i.json '.losses')"
"$TOOLS/mkdump" -f vmware -m 256 -H 192 "$TOP/testdata/recipes/demo.recipe" v/w.vmem || exit 1
ln -s "$PWD/v/w.vmem" there/w.vmem
"$ETLIFT" info --json v/w.vmem >a.json 2>e.txt
"$ETLIFT" info --json there/w.vmem >i.json 2>e.txt || bad "a link to a .vmem: $(cat e.txt)"
cmp -s <(of a.json '.image.runs') <(of i.json '.image.runs') || bad "a link to a .vmem: $(of i.json '.image')"
rm -r e v

# pieces that were packed one by one: what is left out is a loss, and the mend is said
split -b $((size / 3 + 1)) -a 3 --numeric-suffixes=1 m.raw z.
gzip -1 z.00?
"$ETLIFT" info --json z.001.gz >i.json 2>e.txt
of i.json '.losses[].detail' | grep -q 'z\.002\.gz and what follows it are left out' || bad "packed pieces: $(of i.json '.losses')"
grep -q 'unpack z\.001\.gz and the others' e.txt || bad "packed pieces: no advice: $(cat e.txt)"
mv z.001.gz alone.001.gz
"$ETLIFT" info --json alone.001.gz >i.json 2>e.txt
[ "$(of i.json '.losses|length')" = 0 ] || bad "a packed file that is no piece: $(of i.json '.losses')"

# a stream: copied into the spill folder, where nothing is left of it; without one, one line that says so
mkdir sp
"$ETLIFT" recover -q m.raw -o whole || bad "recover of the image ends with $?"
"$ETLIFT" recover -q - -o o --spill sp --sha256 < <(cat m.raw) || bad "recover of a pipe ends with $?"
diff -r whole/sessions o/sessions || bad "a pipe gives other bytes"
[ "$(of o/report.json '.image.sha256')" = "$(sha256sum <m.raw | cut -c1-64)" ] || bad "a pipe has another hash"
rm -r o
mkfifo fifo
gzip -1c m.raw >fifo &
"$ETLIFT" recover -q fifo -o o --spill sp || bad "recover of a packed FIFO ends with $?"
wait
diff -r whole/sessions o/sessions || bad "a packed FIFO gives other bytes"
"$ETLIFT" events -q - --spill sp < <(cat m.raw) >a.jsonl || bad "events of a pipe ends with $?"
cmp a.jsonl <("$ETLIFT" events -q - <m.raw) || bad "events of a pipe are others"
[ -z "$(ls -A sp)" ] || bad "the spill folder holds $(ls sp)"
cat m.raw | "$ETLIFT" info - >o.txt 2>e.txt
[ "${PIPESTATUS[1]}" = 3 ] && [ "$(wc -l <e.txt)" = 1 ] && grep -q -e '^etlift: -: .*--spill' e.txt || bad "a pipe without --spill: $(cat e.txt)"
cat m.raw | (ulimit -f 1000; trap '' XFSZ; "$ETLIFT" info - --spill sp) >o.txt 2>e.txt
[ "${PIPESTATUS[1]}" != 0 ] || bad "a full spill folder: $(cat e.txt)"
[ "$(wc -l <e.txt)" = 1 ] && grep -q 'the spill folder: ' e.txt || bad "a full spill folder: $(cat e.txt)"

# what the chunks of AVML 2 are packed with is said; a refusal names its file, and the codec, once
"$TOOLS/mkdump" -f avml "$TOP/testdata/recipes/demo.recipe" m.avml || exit 1
"$ETLIFT" info --json m.avml >i.json 2>e.txt
[ "$(of i.json '.image.compression')" = snappy ] || bad "AVML: $(of i.json '.image.compression')"
head -c 1000000 m.raw | xz -0 | head -c 14 >short.xz
"$ETLIFT" info short.xz >o.txt 2>e.txt
[ "$(grep -o 'short\.xz' e.txt | wc -l)" = 1 ] && [ "$(grep -o 'xz: ' e.txt | wc -l)" = 2 ] || bad "twice: $(cat e.txt)"
exit $fail
