#!/usr/bin/env bash
# Every fenced block of README.md, docs and contrib is run (tests/docs.py), on the demonstration's image and real files; and in a fresh clone the README's
# three commands, as they stand there, lead to a decoded DNS event.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
mkdir bin
ln -s "$ETLIFT" bin/etlift
PATH=$PWD/bin:$PATH
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" sample.raw || exit 1
printf 'rule evil { strings: $a = "evil" wide ascii condition: $a }\n' >rules.yar

# the README's blocks that build: in a clone, below; the rest here
awk '/^## /{skip = /^## (Two commands|Three commands|Install)/} !skip' "$TOP/README.md" >README.md
awk '/^## /{on = /^## Three commands/} on && /^```/{inside = !inside; next} on && inside' "$TOP/README.md" >three
awk '/^## /{on = /^## Install/} on && /^```/{inside = !inside; next} on && inside' "$TOP/README.md" >install
awk '/^## /{on = /^## Two commands/} on && /^```/{inside = !inside; next} on && inside' "$TOP/README.md" >two
[ "$(sed 's/ *#.*//' two)" = "make demo
make check" ] || bad "the README's two commands are others"

cd "$TOP" || exit 1
documents=$(git ls-files -co --exclude-standard '*.md' 2>/dev/null | grep -vE '^(README|CHANGELOG)\.md$')
[ -n "$documents" ] || documents=$(find docs contrib -name '*.md')
cd "$SCRATCH" || exit 1
n=0
for d in "$SCRATCH/README.md" $(for f in $documents; do echo "$TOP/$f"; done); do
	grep -q '^```' "$d" || continue
	n=$((n + 1))
	mkdir "run$n" "run$n/evidence" "run$n/parallel"
	ln sample.raw "run$n/evidence/one.raw"
	cp sample.raw "run$n/evidence/two.raw"
	cp sample.raw rules.yar "run$n/"
	if [ -n "$DATA" ]; then
		ln -s "$DATA/triage/triage_arm64.dmp" "run$n/triage_arm64.dmp"
		ln -s "$DATA/etl/krabsetw-powershell.etl" "run$n/powershell.etl"
		ln -s "$DATA/etl/etlparser-AMSITrace.etl" "run$n/amsi.etl"
		ln -s "$(find "$DATA/isf" -name '*.json.xz' | sort | head -n 1)" "run$n/ntkrnlmp.json.xz"
	fi
	echo "$(basename "$d"):"
	(cd "run$n" && /usr/bin/python3 "$TOP/tests/docs.py" "$d") >said 2>&1 || bad "$d: see below"
	cat said
	case $d in
	*/guide.md)
		[ "$(sed -n 's/ commands run.*//p' said)" -ge 19 ] || bad "the guide has fewer commands than it had"
		for f in recovered/report.html cases/batch.csv parallel/one.raw/report.json events.csv events.xml events.timesketch.jsonl; do
			[ -s "run$n/$f" ] || bad "the guide's commands did not make $f"
		done
		;;
	esac
	rm -rf "run$n"
done
[ $n -ge 4 ] || bad "only $n documents"

# a fresh clone
[ "$(wc -l <three)" = 3 ] || bad "the README's three commands are $(wc -l <three)"
if git -C "$TOP" rev-parse HEAD >/dev/null 2>&1; then
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
	export DESTDIR=$SCRATCH/installed
	unset MAKEFLAGS CI
	sed "s|REPOSITORY|$TOP|" three >fresh.sh
	sed 's/sudo //; s/ *#.*//' install >>fresh.sh
	env -u ETLIFT -u TOOLS -u BUILD bash -e fresh.sh >fresh.log 2>&1 </dev/null || bad "the README's commands in a fresh clone: $(tail -n 5 fresh.log)"
	grep -q '^{"time":.*"QueryName":"c2.evil.example"' fresh.log || bad "no DNS event in a fresh clone"
	[ -x "$DESTDIR/usr/local/bin/etlift" ] || bad "the README's installation installs nothing"
	[ -s etlift/out/demo/recovered/report.html ] || bad "make demo leaves no report"
else
	echo "this tree is no git repository: the three commands were not tried in a clone"
fi
exit $fail
