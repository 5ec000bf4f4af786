#!/usr/bin/env bash
# Buffers of two scattered pages in images without a page frame number database, of some of which the second one holds the end of a record and nothing else: consumers' copies
# that only their page table holds together (tails), stopped sessions' that nothing does (ends). Each page is zeroed in turn: where a table above is lost, the tables below still
# tell (carveentry.c); where the very table is, or none ever was, the only page that ends where the record must (carvelast.c). No other buffer may lose a record.
set -u
fail=0
bad() { echo "$1"; fail=1; }
cd "$SCRATCH" || exit 1
for r in tails ends; do
	"$TOOLS/mkdump" "$TOP/testdata/recipes/$r.recipe" $r.img $r.json || exit 1
	for k in 0 1; do "$TOOLS/sweep" $r.img $r.json -j $k/2 >sweep.$k & done
	wait
	for k in 0 1; do grep -q ' 0 not whole; 0 records wrong' sweep.$k || bad "$r: a page lost elsewhere costs a buffer: $(cat sweep.$k)"; done
done
# how many there are; and where there are others that could be, or none is right, the record is missing and no other one is there
jq -c '[(.sessions[], (.orphans[] | .session)).buffers[] | select(.records | length > 0) | (.records[-1] | .off + .size) as $to |
	select(.pages | length > 1) | select((.records[-1].off / 4096 | floor) != (($to - 1) / 4096 | floor)) | {page: .pages[1], size: ($to - 4096), off: .records[-1].off}]' ends.json >found
[ "$(jq length found)" -ge 5 ] || bad "the image has $(jq length found) buffers that end so"
all=$(jq '[(.sessions[], (.orphans[] | .session)).buffers[].records | length] | add' ends.json)
/usr/bin/python3 - ends.img found <<'END' || exit 1
import json, struct, sys
d = bytearray(open(sys.argv[1], "rb").read())
found = json.load(open(sys.argv[2]))
led_to = {w & 0x0000FFFFFFFFF000 for (w,) in struct.iter_unpack("<Q", d) if w & 1}
free = [at for at in range(len(d) - 4096, 4096, -4096) if not any(d[at : at + 4096]) and at not in led_to][:64]
def write(name, pages):
    e = bytearray(d)
    for at, b in pages.items():
        e[at : at + 4096] = b.ljust(4096, b"\0")
    open(name, "wb").write(e)
one = min(found, key=lambda x: x["off"]) # its header does not lie across the edge: of what comes there nothing but the length is known
page, size = int(one["page"], 16), one["size"]
write("two.img", {free[0]: b"x" * size}) # as long, with something else in it
write("same.img", {free[0]: bytes(d[page : page + size])})
write("none.img", {int(x["page"], 16): b"" for x in found})
write("other.img", {page: b"x" * (size + 1)}) # longer
write("many.img", {free[i]: b"x" * (1000 + 8 * i) for i in range(64)} | {page: b""})
END
for t in two:1 same:0 none:$(jq length found) other:1 many:$(jq length found); do
	rm -rf o
	"$ETLIFT" recover -q --carve ${t%:*}.img -o o || bad "${t%:*}: recover ends with $?"
	got=$(jq '[(.sessions[], .orphans[]).buffers[].events] | add' o/report.json)
	[ "$got" = $((all - ${t#*:})) ] || bad "${t%:*}: $got of $all records, ${t#*:} of which nothing tells"
	[ "$(jq '[(.sessions[], .orphans[]).buffers[].gaps[] | select(.why == "page_missing")] | length' o/report.json)" = "${t#*:}" ] || bad "${t%:*}: gaps"
done
# every table above lost at once: the roots of the processes, by any page that holds entries and none of the buffers' own
/usr/bin/python3 - tails.img tails.json <<'END' || exit 1
import json, struct, sys
d = bytearray(open(sys.argv[1], "rb").read())
truth = json.load(open(sys.argv[2]))
pages = {int(p, 16) for s in truth["sessions"] for b in s["buffers"] if b["pid"] for p in b["pages"]}
FRAME = 0x0000FFFFFFFFF000
leaf, above = set(), set()
for at in range(0, len(d), 4096):
    e = [x & FRAME for x in struct.unpack_from("<512Q", d, at) if x & 1 and x >> 48 & 15 == 0]
    if len(pages.intersection(e)) > 4:
        leaf.add(at)
for at in range(0, len(d), 4096):
    if at in leaf or at in pages:
        continue
    if leaf.intersection(x & FRAME for x in struct.unpack_from("<512Q", d, at) if x & 1 and x >> 48 & 15 == 0):
        above.add(at)
if not leaf or not above:
    sys.exit("no tables in the image")
for at in above:
    d[at : at + 4096] = bytes(4096)
open("above.img", "wb").write(d)
END
"$ETLIFT" recover -q --carve above.img -o out || bad "recover ends with $?"
jq '[.sessions[].buffers[].records | length] | add' tails.json >want
jq '[(.sessions[], .orphans[]).buffers[].events] | add' out/report.json >got # the kernel's own tables are gone as well
cmp -s want got || bad "$(cat got) of $(cat want) records without the tables above"
jq -e '[(.sessions[], .orphans[]).buffers[].gaps | length] | add == 0' out/report.json >/dev/null || bad "there are gaps without the tables above"
exit $fail
