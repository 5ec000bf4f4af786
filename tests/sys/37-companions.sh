#!/usr/bin/env bash
# Files that belong together: pieces with more than three digits, what lies beside the file that a symbolic link leads to, pieces that were packed one by
# one, that are missing or cut; a stream by --spill.
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
# its memory in pieces: the state is found by the pieces' name, and the pieces by the state's
split -b $((300 << 16)) -a 3 --numeric-suffixes=1 v/w.vmem v/w.vmem. && rm v/w.vmem
for f in v/w.vmem.001 v/w.vmss; do
	"$ETLIFT_SAN" info --json $f >i.json 2>e.txt || bad "pieces of a .vmem, $f: $(cat e.txt)"
	cmp -s <(of a.json '.image.runs') <(of i.json '.image.runs') || bad "pieces of a .vmem, $f: $(of i.json '.image')"
done
rm v/w.vmem.010
"$ETLIFT" batch -q -o bv v 2>e.txt
[ "$(ls bv | grep -v '^batch' | xargs)" = w.vmem.001 ] || bad "batch of pieces of a .vmem and its state: $(ls bv | xargs)"
"$ETLIFT_SAN" info --json v/w.vmss >i.json 2>e.txt || bad "a lost piece of a .vmem: $(cat e.txt)"
of i.json '.losses[].what' | grep -q page_missing || bad "a lost piece of a .vmem: $(of i.json '.losses')"
rm -r e v bv

# pieces that were packed one by one are put together; whole files that were packed first, and cut then, too
"$ETLIFT" recover -q m.raw -o whole || bad "recover of the image ends with $?"
split -b $((size / 5 / 4096 * 4096)) -a 3 --numeric-suffixes=1 m.raw z.
pack() { # ENDING COMMAND: z.00N to q/z.00N.ENDING
	rm -rf q && mkdir q
	for f in z.00?; do $2 <$f >"q/$f.$1"; done
}
for how in "gz gzip -1c" "zst zstd -1qc" "xz xz -0c" "bz2 bzip2 -1c" "lz4 lz4 -1qc"; do
	end=${how%% *}
	pack "$end" "${how#* }"
	"$ETLIFT_SAN" info --strict --json q/z.001.$end >i.json 2>e.txt || bad "pieces packed as .$end: $(cat e.txt)"
	[ "$(of i.json '.image.physical_bytes')" = "$size" ] && [ "$(of i.json '.image.segments')" = 6 ] || bad "pieces packed as .$end: $(of i.json '.image')"
	rm -rf o
	"$ETLIFT" recover -q --strict --sha256 q/z.001.$end -o o || bad "pieces packed as .$end: status $?"
	diff -r whole/sessions o/sessions >/dev/null || bad "pieces packed as .$end: other bytes"
	[ "$(of o/report.json '.image.sha256')" = "$(cat q/z.00?.$end | sha256sum | cut -c1-64)" ] || bad "pieces packed as .$end: another hash"
	rm -rf o q
	[ "$end" = gz ] || [ "$end" = xz ] || continue
	${how#* } <m.raw | split -b 700K -a 3 --numeric-suffixes=1 - w.raw.$end.
	"$ETLIFT" recover -q --strict w.raw.$end.001 -o o || bad "cut .$end: status $?"
	diff -r whole/sessions o/sessions >/dev/null || bad "cut .$end: other bytes"
	rm -rf o w.raw.*
done
# one that is missing is a hole as large as the others, so is what one that is cut has lost; where that can't be known it ends, and both are named
part=$(stat -c %s z.001)
hole() { # WHAT LOST WORDS, of q/z.001.gz
	"$ETLIFT_SAN" info --json q/z.001.gz >i.json 2>e.txt
	of i.json '.losses[].detail' | grep -q "$3" || bad "$1: $(of i.json '.losses')"
	[ "$(of i.json '.image.physical_bytes')" = $((size - $2)) ] || bad "$1: $(of i.json '.image')"
}
raw() { "$TOOLS/physdump" q/z.001.gz | grep sha256; }
pack gz "gzip -1c"
rm q/z.003.gz
hole "a missing packed piece" "$part" 'piece z\.003\.gz is missing'
[ "$(of i.json '.image.runs[1].start')" = "$(printf 0x%x $((3 * part)))" ] || bad "what stands behind a missing piece: $(of i.json '.image.runs')"
rm q/z.004.gz
hole "two missing packed pieces" $((2 * part)) 'piece z\.003\.gz is missing.*so are others'
rm -r q && mkdir q && cp z.00? q && rm q/z.003
"$ETLIFT_SAN" info --json q/z.001 >i.json 2>e.txt
of i.json '.losses[].detail' | grep -q 'piece z\.003 is missing' && [ "$(of i.json '.image.physical_bytes')" = $((size - part)) ] || bad "a missing piece: $(of i.json '.image,.losses')"
head -c 100 z.001 >>q/z.004
"$ETLIFT_SAN" info --json q/z.001 >i.json 2>e.txt
of i.json '.losses[].detail' | grep -q 'z\.003 is missing.*left out' && [ "$(of i.json '.image.physical_bytes')" = $((2 * part)) ] || bad "a missing piece, and sizes that differ: $(of i.json '.image,.losses')"
pack gz "gzip -1c"
head -c $((part / 200)) q/z.002.gz >cut && mv cut q/z.002.gz
"$ETLIFT_SAN" info --json q/z.001.gz >i.json 2>e.txt
[ "$(of i.json '.image.runs|last|.start')" = "$(printf 0x%x $((2 * part)))" ] || bad "behind a piece that is cut: $(of i.json '.image.runs')"
of i.json '.losses[].detail' | grep -q '^z\.002\.gz: gzip: .*can be unpacked' && of i.json '.losses[].detail' | grep -q 'z\.002\.gz is missing, or a part of it' || bad "a piece that is cut: $(of i.json '.losses')"
head -c 12 q/z.002.gz >cut && mv cut q/z.002.gz
hole "a piece of which nothing is left" "$part" 'piece z\.002\.gz is missing, or a part'
rm q/z.00[3-6].gz
hole "the last piece is cut" "$((size - part))" 'z\.002\.gz'
mkdir b
pack gz "gzip -1c"
mv q b
"$ETLIFT" batch -q b -o b.out && [ "$(jq -c '[.images[].folder]' b.out/batch.json)" = '["z.001.gz"]' ] || bad "packed pieces in a batch: $(jq -c '[.images[].folder]' b.out/batch.json)"
rm -r b b.out
gzip -1c z.001 >alone.001.gz
"$ETLIFT" info --json alone.001.gz >i.json 2>e.txt
[ "$(of i.json '.losses|length')" = 0 ] || bad "a packed file that is no piece: $(of i.json '.losses')"
rm z.00?

# batch: what makes one image together is one case, whatever its files are called: pieces of all names, parts of a split kdump, a state of another name
"$TOOLS/mkdump" -f kdump "$TOP/testdata/recipes/demo.recipe" whole.kdump || exit 1
/usr/bin/python3 - whole.kdump <<'END' || bad "the parts of a kdump can't be made"
import struct, sys
b = open(sys.argv[1], "rb").read()
page, sub, maps, last = struct.unpack_from("<IIII", b, 0x1ac)
at = (1 + sub + maps) * page  # of the descriptors
bits = b[(1 + sub + maps // 2) * page:at]
frames = [f for f in range(last) if bits[f // 8] >> f % 8 & 1]
cuts = [0, frames[len(frames) // 3], frames[len(frames) // 2], last]
for k, name in enumerate(["dump.c", "dump.a", "other-name"]):
    own = [i for i, f in enumerate(frames) if cuts[k] <= f < cuts[k + 1]]
    head = bytearray(b[:at])
    struct.pack_into("<I", head, page + 12, 1)
    struct.pack_into("<QQ", head, page + 80, cuts[k], cuts[k + 1])
    table, data = b"", b""
    for i in own:
        off, size, flags, pflags = struct.unpack_from("<QIIQ", b, at + 24 * i)
        table += struct.pack("<QIIQ", at + 24 * len(own) + len(data), size, flags, pflags)
        data += b[off:off + size]
    open("parts." + name, "wb").write(bytes(head) + table + data)
END
mkdir -p b/kdump b/named b/split b/vm b/ewf b/pieces
mv parts.* b/kdump
cp whole.kdump b/kdump/another
split -b 20M m.raw b/split/m.raw.
split -b 20M -d m.raw b/split/n
mv p/k.00[1-9] p/k.010 b/pieces
split -b $((size / 1001)) -a 4 -d --numeric-suffixes=1 m.raw b/pieces/l.
"$TOOLS/mkdump" -f vmware -m 256 -H 192 "$TOP/testdata/recipes/demo.recipe" b/vm/w.vmem || exit 1
mv b/vm/w.vmss b/vm/state-of-it.vmss
"$TOOLS/mkdump" -f ewf -m 256 -H 192 "$TOP/testdata/recipes/demo.recipe" b/ewf/m.E01 || exit 1
"$ETLIFT" recover -q b/kdump/parts.other-name -o o || bad "a part of a split kdump: status $?"
diff -r whole/sessions o/sessions >/dev/null || bad "a part of a split kdump: other bytes"
"$ETLIFT" batch -q b -o b.out 2>e.txt # the first ten of 1002 pieces have no kernel
[ $? = 4 ] || bad "batch of sets: $(cat e.txt)"
want='["another","k.001","l.0001","m.E01","m.raw.aa","n00","parts.dump.a","w.vmem"]'
[ "$(jq -c '[.images[].folder]|sort' b.out/batch.json)" = "$want" ] || bad "batch of sets: $(jq -c '[.images[].folder]|sort' b.out/batch.json)"
for i in parts.dump.a m.raw.aa n00 l.0001 another; do diff -r whole/sessions b.out/$i/sessions >/dev/null || bad "batch of sets: $i gives other bytes"; done
jq -e '.image.segments == 2' b.out/w.vmem/report.json >/dev/null || bad "batch of sets: the state of w.vmem is not used"
for i in parts.dump.a m.raw.aa w.vmem m.E01; do jq -e '.companions_sha256|length==64' b.out/$i/job.json >/dev/null || bad "batch of sets: no hash of what belongs to $i"; done
find b -type f >list.txt
"$ETLIFT" batch -q --list list.txt -o l.out 2>e.txt
[ $? = 4 ] || bad "batch of a list of sets: $(cat e.txt)"
[ "$(jq '.images|length' l.out/batch.json)" = 8 ] || bad "batch of a list of sets: $(jq -c '[.images[].folder]|sort' l.out/batch.json)"
touch -d 2001-01-01 b.out/*
printf x >>b/kdump/parts.other-name
printf x >>b/split/m.raw.ae
"$ETLIFT" batch -q b -o b.out --resume 2>e.txt
for i in parts.dump.a m.raw.aa; do [ "$(date -r b.out/$i +%Y)" != 2001 ] || bad "$i: another part changed, and it is not done again"; done
[ "$(date -r b.out/n00 +%Y)" = 2001 ] || bad "n00 is done again"
rm -r b b.out l.out o

# a stream: copied into the spill folder, where nothing is left of it; without one, one line that says so
mkdir sp
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
