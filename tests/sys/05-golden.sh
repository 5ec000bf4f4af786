#!/usr/bin/env bash
# Golden command lines: tests/golden/NAME/cmd is run by bash in a scratch folder with the files of inputs.sh; what it prints must be
# NAME/out and NAME/err, its status NAME/status (no file: nothing printed, status 0). `--update [NAME...]` writes what it got instead:
# read the diff before you commit it. Needs ETLIFT; run by hand: ETLIFT=build/release/etlift tests/sys/05-golden.sh
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
update=""
if [ "${1:-}" = --update ]; then
	update=y
	shift
fi
ETLIFT=$(realpath "${ETLIFT:-$top/build/release/etlift}")
scratch=${SCRATCH:-$(mktemp -d)}/golden
export ETLIFT LC_ALL=C.UTF-8
unset NO_COLOR TERM
bin=$scratch/bin
rm -rf "$scratch"
mkdir -p "$bin"
ln -s "$ETLIFT" "$bin/etlift"
PATH=$bin:$PATH
bad=0 n=0
for cmd in "$top"/tests/golden/*/cmd; do
	dir=$(dirname "$cmd")
	name=$(basename "$dir")
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	n=$((n + 1))
	got=$scratch/got
	work=$scratch/work
	rm -rf "$got" "$work"
	mkdir -p "$got" "$work"
	(cd "$work" && . "$top/tests/golden/inputs.sh") || { echo "inputs.sh failed"; exit 1; }
	(cd "$work" && bash "$cmd" >"$got/out" 2>"$got/err" </dev/null)
	echo $? >"$got/status"
	for part in out err status; do
		[ "$part:$(cat "$got/$part")" != status:0 ] && [ -s "$got/$part" ] || rm -f "$got/$part"
		if [ -n "$update" ]; then
			rm -f "$dir/$part"
			[ ! -f "$got/$part" ] || cp "$got/$part" "$dir/$part"
		else
			have=$dir/$part
			[ -f "$have" ] || have=/dev/null
			new=$got/$part
			[ -f "$new" ] || new=/dev/null
			diff -u --label "$name/$part (wanted)" --label "$name/$part (got)" "$have" "$new" || bad=1
		fi
	done
done
rm -rf "$scratch"
echo "$n command lines"
[ "$n" -gt 0 ] && [ "$bad" = 0 ]
