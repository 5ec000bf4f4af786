#!/usr/bin/env bash
# Buffers of two pages that only their page table holds together, in an image without a page frame number database: each page is zeroed in turn. Where a table above
# is the one that is lost, the tables below still tell (carveentry.c); nothing but the record that only the lost table itself led to may be missing.
set -u
fail=0
bad() { echo "$1"; fail=1; }
cd "$SCRATCH" || exit 1
"$TOOLS/mkdump" "$TOP/testdata/recipes/tails.recipe" t.img t.json || exit 1
for k in 0 1; do "$TOOLS/sweep" t.img t.json -j $k/2 >sweep.$k & done
wait
for k in 0 1; do grep -q ' 0 not whole.* 0 records wrong' sweep.$k || bad "a page lost elsewhere costs a buffer: $(cat sweep.$k)"; done
# a buffer loses its end to the one table that led to it, and to nothing else: not more of them than there are such buffers
ends=$(sed -n 's/.* 0 not whole, \([0-9]*\) without.*/\1/p' sweep.? | awk '{ n += $1 } END { print n + 0 }')
want=$(jq '[.sessions[].buffers[] | select(.records | length > 0) | .records[-1] | select((.off / 4096 | floor) != ((.off + .size - 1) / 4096 | floor))] | length' t.json)
[ "$want" -ge 3 ] || bad "the image has $want buffers that end so"
[ "$ends" -le "$want" ] || bad "$ends ends are missing, of $want buffers that only a table holds together"
# every table above lost at once: the roots of the processes, by any page that holds entries and none of the buffers' own
/usr/bin/python3 - t.img t.json <<'END' || exit 1
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
jq '[.sessions[].buffers[].records | length] | add' t.json >want
jq '[(.sessions[], .orphans[]).buffers[].events] | add' out/report.json >got # the kernel's own tables are gone as well
cmp -s want got || bad "$(cat got) of $(cat want) records without the tables above"
jq -e '[(.sessions[], .orphans[]).buffers[].gaps | length] | add == 0' out/report.json >/dev/null || bad "there are gaps without the tables above"
exit $fail
