#!/usr/bin/env bash
# etlift events: each JSON line of the 20 real files and the two real dumps by docs/event.schema.json, the XML of the same by docs/event.xsd, which is the
# documented Event schema.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.img || exit 1
sources=(demo.img)
if [ -n "$DATA" ]; then
	sources+=("$DATA"/etl/*.etl "$DATA"/etl/*.blg "$DATA"/triage/triage_x64.dmp "$DATA"/triage/triage_arm64.dmp)
else
	echo "made image only; needs the shared data for the rest"
fi
"$ETLIFT" events "${sources[@]}" -o all.jsonl || bad "jsonl: status $?"
"$ETLIFT" events demo.img --raw -o raw.jsonl || bad "jsonl --raw: status $?"
/usr/bin/python3 "$TOP/tests/validate_lines.py" "$TOP/docs/event.schema.json" all.jsonl raw.jsonl || bad "JSON lines and their schema"
# the check can fail
sed -n 1p raw.jsonl | jq -c '.cpu=-1' >wrong.jsonl
/usr/bin/python3 "$TOP/tests/validate_lines.py" "$TOP/docs/event.schema.json" wrong.jsonl >out && bad "a wrong line passes"
if command -v xmllint >/dev/null; then
	"$ETLIFT" events "${sources[@]}" --format xml -o all.xml || bad "xml: status $?"
	xmllint --noout --huge --stream --schema "$TOP/docs/event.xsd" all.xml >lint 2>&1 || bad "XML: $(tail -3 lint)"
else
	echo "no xmllint: the XML was not validated"
fi
exit $fail
