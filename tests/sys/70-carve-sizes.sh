#!/usr/bin/env bash
# A context that lies about the size of its buffers, which all say theirs; a cached file in a view that the kernel has mapped, one buffer of it full to its last byte.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
for b in 19041 7601; do
	"$TOOLS/mkdump" -b $b "$TOP/testdata/recipes/sizelie.recipe" s.img s.json || exit 1
	"$ETLIFT" recover -q --carve s.img -o both || bad "$b: recover --carve ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" s.json both >t.txt || { cat t.txt; bad "$b: other sessions than there are"; }
	/usr/bin/python3 "$TOP/tests/carvecmp.py" s.json both || bad "$b: other records than there are"
	[ "$(du -sk both/sessions | cut -f1)" -lt 1024 ] || bad "$b: $(du -sk both/sessions) KiB of files from buffers that are smaller"
	# a record more, which ends where the buffer does
	/usr/bin/python3 - s.img s.json <<'PY' || exit 1
import json, struct, sys
img, truth = open(sys.argv[1], "r+b"), json.load(open(sys.argv[2]))
ses, = [o["session"] for o in truth["orphans"] if o["session"]["id"] == 30]
buf = ses["buffers"][1]
pages = [int(p, 16) for p in buf["pages"]]
data = bytearray()
for p in pages:
    img.seek(p)
    data += img.read(4096)
end, size = struct.unpack_from("<I", data, 0x30)[0], 16384
last = buf["records"][-1]
room = size - end
rec = struct.pack("<HBBHHIIQ", room, 0x13, 0xC0, 0, 0x40, 12, 4, struct.unpack_from("<Q", data, 0x10)[0]) + b"\x5a" * 16
data[end:] = (rec + bytes(0x28)).ljust(room, b"\x33")
assert room >= 0x50 and len(data) == size
struct.pack_into("<I", data, 4, size)
struct.pack_into("<I", data, 0x30, size)
for i, p in enumerate(pages):
    img.seek(p)
    img.write(data[4096 * i:4096 * (i + 1)])
PY
	"$ETLIFT" carve -q s.img -o full || bad "$b: carve ends with $?"
	jq -e '[.orphans[]|select(.id==30)|.origin,(.buffers|length)]==["file_cache",3]' full/report.json >/dev/null ||
		bad "$b: a file's full buffer is $(jq -c '[.orphans[]|select(.id==30)|.origin,(.buffers|length)]' full/report.json)"
	rm -rf both full
done
exit $fail
