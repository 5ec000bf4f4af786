#!/usr/bin/env bash
# Every command in the shell blocks of docs/guide.md and docs/batch.md is run, on the demonstration's image; and the README's three commands lead to a decoded DNS event.
set -u
cd "$SCRATCH" || exit 1
fail=0 n=0
mkdir bin evidence parallel
ln -s "$ETLIFT" bin/etlift
PATH=$PWD/bin:$PATH
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" sample.raw || exit 1
ln sample.raw evidence/one.raw
cp sample.raw evidence/two.raw
printf 'rule evil { strings: $a = "evil" wide ascii condition: $a }\n' >rules.yar
while IFS= read -r line; do
	n=$((n + 1))
	case $line in *scan*) etlift --version | grep -q 'libyara *built in' || continue ;; esac
	bash -c "$line" >out.txt 2>err.txt || { echo "status $?: $line"; cat err.txt; fail=1; }
	case $line in
	*DNS-Client*) grep -q '"QueryName":"c2.evil.example"' out.txt || { echo "no DNS event: $line"; fail=1; } ;;
	*match*) [ "$(wc -l <out.txt)" -gt 3 ] && ! grep -qv evil out.txt || { echo "--match: $line"; fail=1; } ;;
	*scan*) grep -q evil out.txt || { echo "no hit: $line"; fail=1; } ;;
	esac
done < <(cat "$TOP/docs/guide.md" "$TOP/docs/batch.md" | sed -n '/^```sh$/,/^```$/p' | grep -v '^```')
diff -r results by-parts || { echo "parts: another result"; fail=1; }
[ "$(awk 'NR > 1 {n += $7 == 0} END {print n}' parts.log)" = 4 ] || { echo "GNU parallel's book"; fail=1; }
[ -s recovered/report.html ] && [ -s cases/batch.csv ] && [ -s parallel/one.raw/report.json ] || { echo "files are missing"; fail=1; }
echo "$n commands of the docs"
[ $n -ge 15 ] || fail=1
# the README's commands, as they stand there
three=$(awk '/^## /{on = $0 ~ /Three commands/} on && /^```/{in_block = !in_block; next} on && in_block' "$TOP/README.md")
echo "$three" | tail -n 1 | sed "s|build/release/etlift|etlift|; s|out/demo/||" >last.sh
bash last.sh >out.txt 2>&1 && grep -q '"QueryName":"c2.evil.example"' out.txt || { echo "the README's last command: $(cat last.sh)"; fail=1; }
exit $fail
