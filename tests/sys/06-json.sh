#!/usr/bin/env bash
# Every --json document and report.json fit their schemas in docs/, and a second run gives the same bytes. Made files always; real ones when
# they are there.
set -u
bad=0
fail() { echo "$1"; bad=1; }
cd "$SCRATCH" || exit 1
mkdir made && (cd made && . "$TOP/tests/golden/inputs.sh")
has() { "$ETLIFT" --help | grep -q "^  $1 "; }
n=0
doc() { # NAME COMMAND...: two runs, equal, kept for the validator
	local name=$1
	shift
	"$ETLIFT" "$@" >"$name.json" 2>"$name.err"
	"$ETLIFT" "$@" 2>/dev/null | cmp -s - "$name.json" || fail "$*: a second run differs"
	[ ! -s "$name.json" ] || n=$((n + 1))
	[ -s "$name.json" ] || rm -f "$name.json"
}
doc check-made check --json made/empty made/picture.jpg made/text.txt made/nothing
[ -s check-made.json ] || fail "check --json says nothing about bad files"
if [ -n "$DATA" ]; then
	doc check-real check --json "$DATA"/etl/*.etl "$DATA"/etl/*.blg
fi
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.raw || fail "mkdump"
"$TOOLS/mkdump" "$TOP/testdata/recipes/damage.recipe" damage.raw || fail "mkdump"
images=(made/zeros.raw made/header-only.dmp demo.raw damage.raw)
[ -z "$DATA" ] || images+=("$DATA"/triage/*.dmp)
for image in "${images[@]}"; do
	[ -f "$image" ] || continue
	short=$(basename "$image")
	for c in info sessions consumers providers; do
		has $c && doc "$c-$short" $c --json --sha256 "$image"
	done
	has recover || continue
	for run in 1 2; do
		"$ETLIFT" recover -q "$image" -o "out$run-$short" >/dev/null 2>&1
	done
	[ ! -d "out1-$short" ] || diff -r "out1-$short" "out2-$short" || fail "recover $short: a second run differs"
	[ ! -f "out1-$short/report.json" ] || cp "out1-$short/report.json" "report-$short.json"
done
python3 "$TOP/tests/validate.py" "$TOP/docs" ./*.json || fail "a document does not fit its schema"
echo "$(ls ./*.json | wc -l) documents"
exit $bad
