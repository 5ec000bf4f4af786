#!/usr/bin/env bash
# Packed buffers that no list leads to: of compressed .etl files in the cache, of compressed sessions that were stopped; whole, damaged, and headers that break
# one rule each.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
for s in ${SEEDS:-1 2}; do
	/usr/bin/python3 "$TOP/tests/carvepack.py" "$ETLIFT" "$SCRATCH" "$s" || bad "seed $s"
done
# in a machine: rows of a stopped session, mapped and not; those of a live one are not written twice
"$TOOLS/mkdump" "$TOP/testdata/recipes/packed.recipe" p.img p.json || exit 1
"$ETLIFT" recover -q --carve p.img -o both || bad "recover --carve ends with $?"
"$ETLIFT" carve -q p.img -o alone || bad "carve ends with $?"
"$ETLIFT_SAN" carve -q -j1 p.img -o san || bad "carve under the sanitizers ends with $?"
diff -r alone san >/dev/null || bad "other bytes with one thread"
/usr/bin/python3 "$TOP/tests/truthcmp.py" p.json both >t.txt || { cat t.txt; bad "--carve changes what recover finds"; }
/usr/bin/python3 "$TOP/tests/carvecmp.py" p.json both || bad "recover --carve: records differ"
/usr/bin/python3 "$TOP/tests/carvecmp.py" p.json alone alone || bad "carve: records differ"
/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" both/report.json alone/report.json || bad "a report against its schema"
find both alone -name '*.etl' -exec "$ETLIFT" check -q {} + >/dev/null || bad "check refuses a file"
jq -e '[.orphans[].buffers[]|select(.packed_bytes)]|length==10' alone/report.json >/dev/null || bad "what was unpacked is not marked"
jq -e '[.sessions[].buffers[]|select(.packed_bytes)]|length==3' both/report.json >/dev/null || bad "what was unpacked of a live session is not marked"
"$TOOLS/sweep" p.img p.json -n 30 -s 5 || bad "a page lost elsewhere costs a packed buffer"
exit $fail
