#!/usr/bin/env bash
# Trace files out of their compression: the same events, checks and hits as from the file itself, also from a name that says nothing; one cut short gives
# what is in it and says so.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
"$TOOLS/mkdump" "$TOP/testdata/recipes/full.recipe" m.img && "$ETLIFT" recover -q m.img -o out || exit 1
cp out/sessions/03-EventLog-System.etl one.etl
files=one.etl
[ -n "$DATA" ] && cp "$DATA/etl/krabsetw-powershell.etl" two.etl && files="$files two.etl"
for f in $files; do
	"$ETLIFT" events -q "$f" | jq -c 'del(.source.file)' >want.jsonl
	[ -s want.jsonl ] || bad "$f: no events"
	"$ETLIFT" check -q --json "$f" | jq -c '.files[0]|del(.path)' >want.json
	[ "$(jq .packed want.json)" = null ] || bad "$f is said to be packed"
	for p in "gzip -c" "bzip2 -c" "xz -c" "zstd -qc" "lz4 -qc"; do
		$p "$f" >"packed.${p%% *}" || exit 1
		for e in "$ETLIFT" "$ETLIFT_SAN"; do
			"$e" events -q "packed.${p%% *}" | jq -c 'del(.source.file)' | cmp -s - want.jsonl || bad "$f by ${p%% *}: other events"
		done
		"$ETLIFT" check -q --json "packed.${p%% *}" | jq -c '.files[0]|del(.path)' >have.json
		[ "$(jq -r .packed have.json)" = "${p%% *}" ] || bad "$f by ${p%% *}: packed is $(jq .packed have.json)"
		diff <(jq 'del(.packed)' want.json) <(jq 'del(.packed)' have.json) || bad "$f by ${p%% *}: check differs"
	done
	# cut short: a beginning of the same events, and a word about it
	head -c $(($(wc -c <packed.gzip) * 2 / 3)) packed.gzip >cut
	"$ETLIFT" events cut 2>cut.err | jq -c 'del(.source.file)' >cut.jsonl
	n=$(wc -l <cut.jsonl)
	[ "$n" -gt 0 ] && head -n "$n" want.jsonl | cmp -s - cut.jsonl || [ "$(sort cut.jsonl want.jsonl | uniq -d | wc -l)" = "$n" ] || bad "$f cut short: other events"
	grep -q loss cut.err || bad "$f cut short: not a word"
done
# compressed, and not a trace inside: as before
echo "no trace" | gzip >no.gz
"$ETLIFT" events -q no.gz 2>no.err
[ $? = 3 ] || bad "a packed text is not refused with 3"
exit $fail
