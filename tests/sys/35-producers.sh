#!/usr/bin/env bash
# Files that real programs wrote: QEMU (ELF core, kdump-zlib flattened and rearranged by makedumpfile, migration stream, Windows dumps of both
# widths), ewfacquire, gzip, bzip2, lz4, lzop, zstd, xz, split. Physical memory is read back byte for byte; recover gives the .etl bytes of the raw image.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
for p in qemu-system-x86_64 qemu-img makedumpfile ewfacquire gzip bzip2 lzop lz4 zstd pzstd xz split as ld objcopy; do
	command -v $p >/dev/null || { echo "$p is not installed: files of real producers are not tried"; exit 77; }
done
etls() { (cd "$1" && find sessions -type f | sort | xargs -r sha256sum); }
# IMAGE RAW: the first bytes are those of RAW, the rest (ROM at 4 GiB) is QEMU's own
same() {
	rm -f flat
	"$TOOLS/physdump" -o flat "$1" >runs.txt || { bad "$1 can't be read"; return; }
	cmp -n "$(stat -c %s "$2")" flat "$2" || bad "$1: other bytes"
}
recovers() { # IMAGE: as raw.out
	"$ETLIFT" recover -q "$1" -o oc 2>err.txt || bad "recover $1 ends with $?: $(cat err.txt)"
	diff <(etls raw.out) <(etls oc) || bad "$1 gives other .etl files"
	rm -rf oc
}

as --64 -o rom.o "$TOP/tests/vmcoreinfo.S" && ld -m elf_x86_64 -Ttext=0 -o rom.elf rom.o 2>ld.txt && objcopy -O binary -j .text rom.elf rom.bin || { cat ld.txt; exit 1; }
"$TOOLS/mkdump" -m 64 "$TOP/testdata/recipes/demo.recipe" made.raw || exit 1
qemu-img create -q -f qcow2 disk.qcow2 64M || exit 1
timeout 100 python3 "$TOP/tests/producers.py" made.raw rom.bin . 2>producers.txt || { cat producers.txt; exit 1; }
cmp -n 655360 made.raw machine.raw || bad "QEMU has other memory than it was given"

"$ETLIFT" recover -q machine.raw -o raw.out 2>err.txt || bad "recover of raw memory ends with $?: $(cat err.txt)"
[ "$(etls raw.out | wc -l)" -ge 3 ] || bad "raw memory has no sessions"
for m in machine windows64 windows32; do
	makedumpfile -R $m.kdump <$m.kdump-flat >/dev/null 2>err.txt || bad "makedumpfile -R: $(cat err.txt)"
	for f in elf kdump-flat kdump; do same $m.$f $m.raw; done
done
same machine.qevm machine.raw
# with packed pages (QEMU up to 9.0 writes them), and with parts of the configuration that machines of other kinds always have
same packed.qevm packed.raw
LC_ALL=C grep -aq 'configuration/capabilities' packed.qevm && LC_ALL=C grep -aq 'configuration/uuid' packed.qevm || bad "QEMU wrote no parts of the configuration"
[ "$(stat -c %s packed.qevm)" -lt $(($(stat -c %s machine.qevm) * 9 / 10)) ] || echo "this QEMU packs no pages"
mv packed.qevm machine.qevm-packed
# places of the stream that were written over cost the pages of their records, and no other ones
for m in qevm qevm-packed; do
	python3 - machine.$m hurt.$m <<-'E' || bad "machine.$m can't be hurt"
		import sys
		b = bytearray(open(sys.argv[1], "rb").read())
		for i in range(1, 13):
		    at = len(b) * i // 13 + 977 * i
		    b[at:at + 4200] = b"\xff" * 4200
		open(sys.argv[2], "wb").write(b)
	E
	rm -f flat
	"$TOOLS/physdump" -o flat hurt.$m >runs.txt || { bad "hurt.$m can't be read"; continue; }
	python3 - flat runs.txt "$([ $m = qevm ] && echo machine.raw || echo packed.raw)" <<-'E' || bad "hurt.$m: other memory"
		import sys
		flat, raw = (open(f, "rb").read() for f in (sys.argv[1], sys.argv[3]))
		there = data = cut = 0
		for line in open(sys.argv[2]):
		    w = line.split()
		    if w[0] != "run":
		        continue
		    pa, n = int(w[1], 16), int(w[2], 16)
		    k = min(n, max(0, len(raw) - pa))
		    for p in range(pa, pa + k, 4096): # of plain pages the one in which the damage begins is taken as it is
		        if flat[p:p + 4096] != raw[p:p + 4096] and (raw[p:p + 4000] == flat[p:p + 4000] or flat[p:p + 4096].rstrip(b"\xff") != raw[p:p + len(flat[p:p + 4096].rstrip(b"\xff"))]):
		            sys.exit(f"other bytes at {p:#x}")
		        cut += flat[p:p + 4096] != raw[p:p + 4096]
		    data += sum(any(raw[p:p + 4096]) for p in range(pa, pa + k, 4096))
		    there += k // 4096
		lost = sum(any(raw[p:p + 4096]) for p in range(0, len(raw), 4096)) - data
		print("of", len(raw) // 4096, "pages", there, "are there;", lost, "with data are lost, of", cut, "the end")
		# 4,200 bytes hold 466 records of pages of zeros; behind the last one a packed or a named record may be waited for
		sys.exit(there < len(raw) // 4096 - 12 * 700 or lost > 12 * 16 or cut > 12)
	E
done
for f in elf kdump-flat kdump qevm qevm-packed; do recovers machine.$f; done
echo "QEMU: ELF, kdump, migration stream"

# a Windows dump holds the header's runs; one page (the processor's context) is filled while it is written
for w in 64 32; do
	rm -f flat
	"$TOOLS/physdump" -o flat windows$w.dmp >runs.txt || bad "windows$w.dmp can't be read"
	grep -q "^format crash$w-full" runs.txt || bad "windows$w.dmp: $(head -n 1 runs.txt)"
	grep -q '^run 0x1000 0x9e000' runs.txt && grep -q '^run 0x100000 0x3f00000' runs.txt || bad "windows$w.dmp: $(grep ^run runs.txt)"
	for span in "4096 647168" "1048576 1064960" "2117632 64991232"; do
		# shellcheck disable=SC2086
		set -- $span
		cmp -i "$1" -n "$2" flat windows$w.raw || bad "windows$w.dmp: other bytes"
	done
	[ $w = 32 ] || "$TOOLS/physdump" -hints windows$w.elf | grep -q '^dtb 0x1ad000 .*kdbg 0xfffff80000200000' || bad "the dump header in the ELF core's notes is not read"
	"$TOOLS/physdump" -hints windows$w.elf | grep -q '^cpu .*cr3 0x1ad000' || bad "windows$w.elf: CR3 is not read from its notes"
	"$TOOLS/physdump" -hints windows$w.kdump | grep -q '^cpu .*cr3 0x1ad000' || bad "windows$w.kdump: CR3 is not read from its notes"
done
echo "QEMU: Windows dumps"

# libvirt's save file: its header and XML before QEMU's stream, which may be packed by a program of the user's choice
libvirt() { # FORMAT PROGRAM
	{ printf 'LibvirtQemudSave\2\0\0\0\14\0\0\0\1\0\0\0'; printf "\\$1\0\0\0"; head -c 60 /dev/zero; printf '<domain/>\0\0\0'; $2 <machine.qevm; } >machine.save
	same machine.save machine.raw
}
libvirt 0 cat
libvirt 1 "gzip -1c"
libvirt 2 "bzip2 -1c"
libvirt 3 "xz -0c"
libvirt 6 "zstd -q -c"
libvirt 4 "lzop -c"
recovers machine.save

# packed; the last one that recover reads is the core in a packed file
for p in "gzip -1 -c" "bzip2 -1 -c" "lz4 -q -c" "lzop -1 -c" "lzop -9 -c --crc32" "zstd -q -1 -c" "pzstd -q -1 -p 2 -c" "xz -0 -c" "xz -0 -c --block-size=4MiB"; do
	$p machine.raw >machine.packed
	same machine.packed machine.raw
	want=${p%% *} # pzstd begins its files with a skippable frame
	grep -q "^compression ${want#p}$" runs.txt || bad "$p: $(grep ^compression runs.txt)"
done
# Snappy and S2 by the library of go-winpmem and Velociraptor; Debian's golang-go is too large to be installed for it
if [ -d /usr/share/gocode/src/github.com/klauspost/compress/s2 ] && command -v go >/dev/null; then
	GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$SCRATCH/gocache HOME=$SCRATCH go build -o s2w "$TOP/tests/tools/s2w/main.go" 2>err.txt || bad "s2w: $(tail -n 1 err.txt)"
	for m in snappy fast index padded; do
		./s2w $m <machine.raw >machine.packed
		same machine.packed machine.raw
		grep -q "^compression $([ $m = snappy ] && echo snappy || echo s2)$" runs.txt || bad "s2w $m: $(grep ^compression runs.txt)"
	done
	echo "klauspost/compress"
else
	echo "golang-go and golang-github-klauspost-compress-dev are not installed: Snappy and S2 of go-winpmem's writer are not tried"
fi
# LiME's compress=1: one bare zlib stream around the file
"$TOOLS/mkdump" -m 64 -f lime "$TOP/testdata/recipes/demo.recipe" made.lime && python3 -c '
import sys, zlib
z = zlib.compressobj(6)
for b in iter(lambda: sys.stdin.buffer.read(1 << 20), b""):
    sys.stdout.buffer.write(z.compress(b))
sys.stdout.buffer.write(z.flush())' <made.lime >made.lime.zlib || bad "LiME in zlib can't be made"
same made.lime.zlib made.raw
grep -q '^compression zlib' runs.txt && grep -q '^format lime' runs.txt || bad "LiME in zlib: $(head -n 2 runs.txt)"
zstd -q -1 -c machine.elf >machine.elf.zst
recovers machine.elf.zst
rm -f machine.packed
echo "compressors"

# pieces
for how in "-d -a 3 --numeric-suffixes=1" "-d -a 3" "-d -a 2" "-a 2" "-d -a 2 --numeric-suffixes=1"; do
	mkdir pieces
	# shellcheck disable=SC2086
	split $how -b 20M machine.raw pieces/m.
	first=$(ls pieces | head -n 1)
	same "pieces/$first" machine.raw
	grep -q '^segments 4' runs.txt || bad "split $how: $(grep ^segments runs.txt)"
	rm -r pieces
done

ewfacquire -u -q -t e -f encase6 -c deflate:fast -C case -D d -E e -e me -m memory -M physical -N n -b 64 -B "$(stat -c %s machine.raw)" -o 0 -S 1MiB -d sha1 machine.raw \
	>acquire.log 2>&1 || bad "ewfacquire: $(tail -n 2 acquire.log)"
same e.E01 machine.raw
recovers e.E01
echo "split, ewfacquire"
exit $fail
