#!/usr/bin/env bash
# Memory whose first page holds the beginning of another kind of file is memory; such a file given by mistake is refused, also where it is as large as whole
# pages are.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" m.raw || exit 1
"$ETLIFT" recover -q m.raw -o want || bad "recover: status $?"
# files of each kind, large enough that their first page is not all of them
/usr/bin/python3 - <<'PY'
import bz2, gzip, lzma, random, sqlite3, struct, tarfile, zipfile, zlib
random.seed(7)
noise = random.randbytes(300000)
def put(name, data): open(name, "wb").write(data)
put("t.gz", gzip.compress(noise, mtime=0))
put("text.gz", gzip.compress(b"".join(b"line %d of a log\n" % i for i in range(400000)), mtime=0))
put("t.bz2", bz2.compress(noise))
put("t.xz", lzma.compress(noise))
put("t.pdf", b"%PDF-1.7\n1 0 obj\n<< /Length 300000 >>\nstream\n" + noise + b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n")
chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
put("t.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 300, 300, 8, 2, 0, 0, 0)) + chunk(b"IDAT", noise[:8192]) + chunk(b"IDAT", noise) + chunk(b"IEND", b""))
put("icon.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 2, 0, 0, 0)) + chunk(b"IDAT", noise[:80]) + chunk(b"IEND", b""))
put("t.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0" + noise.replace(b"\xff", b"\xfe") + b"\xff\xd9")
put("t.gif", b"GIF89a" + noise + b"\x3b")
with zipfile.ZipFile("t.zip", "w") as z: z.writestr("a", noise)
with zipfile.ZipFile("t.docx", "w") as z: z.writestr("[Content_Types].xml", "<Types/>"); z.writestr("word/document.xml", noise)
with tarfile.open("t.tar", "w") as t:
    t.add("t.pdf"); t.add("t.gz")
c = sqlite3.connect("t.sqlite"); c.execute("create table t(x)"); c.executemany("insert into t values(?)", [(noise[i * 100:i * 100 + 100],) for i in range(2000)]); c.commit(); c.close()
def elf(wide):  # two segments and a section table at the end
    body = noise[:200000]
    if wide:
        head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x401000, 64, 4096 + len(body), 0, 64, 56, 1, 64, 2, 0)
        head += struct.pack("<IIQQQQQQ", 1, 5, 4096, 0x401000, 0x401000, len(body), len(body), 4096)
        sect = bytes(64) + struct.pack("<IIQQQQIIQQ", 1, 1, 6, 0x401000, 4096, len(body), 0, 0, 16, 0)
    else:
        head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8049000, 52, 4096 + len(body), 0, 52, 32, 1, 40, 2, 0)
        head += struct.pack("<IIIIIIII", 1, 4096, 0x8049000, 0x8049000, len(body), len(body), 5, 4096)
        sect = bytes(40) + struct.pack("<IIIIIIIIII", 1, 1, 6, 0x8049000, 4096, len(body), 0, 0, 16, 0)
    return head + bytes(4096 - len(head)) + body + sect
put("t.elf64", elf(True))
put("t.elf32", elf(False))
pe = bytearray(b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(64))
pe += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22) + struct.pack("<H", 0x20b) + bytes(238)
pe += b".text\0\0\0" + struct.pack("<IIIIIIHHI", 200000, 0x1000, 200192, 0x400, 0, 0, 0, 0, 0x60000020)
put("t.exe", bytes(pe) + bytes(0x400 - len(pe)) + noise[:200192])
put("t.hive", b"regf" + bytes(4092) + b"hbin" + noise[:65532])
put("t.evtx", b"ElfFile\0" + bytes(4088) + b"ElfChnk\0" + noise[:65528])
put("t.7z", b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<IQQI", 0, len(noise) - 60, 60, 0) + noise)
PY
n=0
for f in t.* text.gz icon.png; do
	# its first page before memory; of one that is smaller all of it
	{ head -c 4096 <"$f"; tail -c +4097 m.raw; } >"begins.raw"
	[ "$f" != icon.png ] || { cat "$f"; tail -c +$(($(stat -c %s "$f") + 1)) m.raw; } >begins.raw
	"$ETLIFT_SAN" info --json begins.raw >i.json 2>e.txt || bad "memory that begins like $f: $(cat e.txt)"
	[ "$(jq -r .image.format i.json)" = raw ] && [ "$(jq .image.physical_bytes i.json)" = "$(stat -c %s m.raw)" ] && [ "$(jq '.losses|length' i.json)" = 0 ] || bad "memory that begins like $f: $(jq -c '.image,.losses' i.json)"
	"$ETLIFT" info begins.raw 2>&1 | grep -q 'begins like .*: taken as memory' || bad "memory that begins like $f: nothing is said"
	# the file itself: as it is, and where it is some pages long to the byte (a comment or the middle makes it so)
	case $f in icon.png) continue ;; esac
	for how in plain paged; do
		cp "$f" given
		[ $how = plain ] || truncate -s $((($(stat -c %s "$f") + 4095) / 4096 * 4096)) given
		case $how,$f in paged,t.jpg | paged,t.gif | paged,*.zip | paged,*.docx) continue ;; esac # zeros behind these: none of theirs
		"$ETLIFT" info given >o.txt 2>e.txt
		s=$?
		case $f in
		*.gz | *.bz2 | *.xz) [ $s = 4 ] || [ $s = 3 ] || bad "$f, $how: status $s: $(cat e.txt)" ;; # what is in it is no image
		*) [ $s = 3 ] && [ "$(wc -l <e.txt)" = 1 ] || bad "$f, $how: status $s: $(cat e.txt)" ;;
		esac
		grep -q 'taken as memory' o.txt e.txt && bad "$f, $how: taken as memory"
	done
	n=$((n + 1))
done
# all of it comes out
"$ETLIFT" recover -q --strict begins.raw -o o || bad "recover: status $?"
diff -r want/sessions o/sessions >/dev/null || bad "other .etl files"
# the same where the image is packed
{ head -c 4096 <t.png; tail -c +4097 m.raw; } | gzip -1 >begins.gz
"$ETLIFT" recover -q --strict begins.gz -o p || bad "packed: status $?"
diff -r want/sessions p/sessions >/dev/null || bad "packed: other .etl files"
# a packed image that is damaged early, at a size of whole pages, where the codec goes on behind: still what it is
xz -0 --block-size=1MiB -c m.raw >early.xz
truncate -s $((($(stat -c %s early.xz) + 4095) / 4096 * 4096)) early.xz
printf 'damage' | dd of=early.xz bs=1 seek=60 conv=notrunc 2>/dev/null
"$ETLIFT" info --json early.xz >i.json 2>e.txt
[ "$(jq -r .image.compression i.json)" = xz ] || bad "an xz file whose first block is damaged: $(jq -c .image i.json)"
echo "$n kinds"
[ $n -ge 16 ] || bad "too few"
exit $fail
