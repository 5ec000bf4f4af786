#!/usr/bin/env bash
# Images that the main job can't work on: each is one line that says why, with the exit status of the contract and a report.json.
set -u
cd "$SCRATCH" || exit 1
fail=0
expect() { # NAME STATUS PATTERN COMMAND-ARGS...
	local name=$1 status=$2 pattern=$3
	shift 3
	rm -rf out
	"$ETLIFT" recover "$@" -o out >o.txt 2>e.txt
	local s=$?
	[ $s = "$status" ] || { echo "$name: status $s, not $status: $(cat e.txt)"; fail=1; }
	[ "$(grep -c '^etlift: ' e.txt)" = 1 ] && [ "$(wc -l <e.txt)" = 1 ] || { echo "$name: not one line: $(cat e.txt)"; fail=1; }
	grep -qE "$pattern" e.txt || { echo "$name: says $(cat e.txt)"; fail=1; }
	[ "$status" != 4 ] || [ -f out/report.json ] || { echo "$name: no report.json"; fail=1; }
}
head -c 33554432 /dev/zero >zeros.raw
expect zeroed 4 'no Windows kernel' zeros.raw
# another system's memory: text and code of this machine's own programs, and a banner
{ head -c 1048576 /dev/zero; echo 'Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)'; cat /bin/bash /bin/ls /usr/bin/jq; } >linux.raw
truncate -s 33554432 linux.raw
expect linux 4 'no Windows kernel' linux.raw
# a page directory of 32-bit Windows: it maps itself at C0300000
/usr/bin/python3 - <<'PY'
import struct
m = bytearray(33554432)
pd = 0x39000
for i in range(512, 1024):
    struct.pack_into("<I", m, pd + 4 * i, 0x40000 + i * 0x1000 | 0x63)
struct.pack_into("<I", m, pd + 4 * 768, pd | 0x63)
open("x86.raw", "wb").write(m)
PY
expect 32-bit 4 '32-bit' x86.raw
# a kernel that nobody knows, of a build that nobody knows, with too little in memory to infer its layout: the file that is wanted, by name
sed 's/^machine /machine foreign=1 /; /^session/,$d' "$TOP/testdata/recipes/demo.recipe" >foreign.recipe
"$TOOLS/mkdump" foreign.recipe foreign.raw || exit 1
expect "unknown build" 4 'ntkrnlmp\.pdb.*[0-9a-f]{8}-[0-9a-f]{4}-.*age 1.*--symbols' foreign.raw --no-builtin=build
# cut in half: what is there is recovered, or it is said that the kernel is not there; never more than a clear end
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" whole.raw || exit 1
for n in 20 35 50 65 80 95; do
	head -c $((96 * 1048576 * n / 100)) whole.raw >cut.raw
	rm -rf out
	timeout 60 "$ETLIFT" recover -q cut.raw -o out >o.txt 2>e.txt
	s=$?
	[ $s = 0 ] || [ $s = 4 ] || { echo "cut to $n %: status $s: $(cat e.txt)"; fail=1; }
	[ -f out/report.json ] || { echo "cut to $n %: no report.json"; fail=1; }
	[ $s != 0 ] || [ "$(jq '.losses|length' out/report.json)" -gt 0 ] || [ $n -ge 95 ] || { echo "cut to $n %: no loss is named"; fail=1; }
done
# what is packed in a way that is not read, and evidence of files: by name, with the mend
refused() { # NAME PATTERN HEAD
	{ printf "$3"; head -c 100000 whole.raw | tail -c 90000; } >refused
	expect "$1" 3 "$2" refused
}
refused L01 'single files \(L01\)' 'LVF\t\r\n\377\0'
refused Lx01 'single files \(Lx01\)' 'LEF2\r\n\201\0'
refused lzip 'lzip: unpack it first' 'LZIP\1\014'
refused lrzip 'lrzip: unpack it first' 'LRZI\0\6'
refused CAB 'CAB\): unpack it first' 'MSCF\0\0\0\0'
refused .Z '\.Z\): unpack it first' '\037\235\220\0\0\4'
head -c 300000 whole.raw | xz --format=lzma >l.lzma
expect .lzma 3 '\.lzma: unpack it first' l.lzma
# the same bytes where they are no such head: memory
{ printf '\037\235\377\1\1\1'; head -c 33554426 /dev/zero; } >memory.raw
expect "no .Z" 4 'no Windows kernel' memory.raw
exit $fail
