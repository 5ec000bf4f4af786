#!/usr/bin/env bash
# Real events in a made memory: the records of every uncompressed 64-bit .etl file of the shared data, in the buffers of a session, come out of the
# image byte for byte, in order and with their times, but for those on a page that is lost.
set -u
[ -n "$DATA" ] && [ -d "$DATA/etl" ] || { echo "no shared data: real events are not tried"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

n=0
for f in "$DATA"/etl/*.etl "$DATA"/etl/*.blg; do
	row=$(jq -r --arg f "$(basename "$f")" '.[]|select(.file==$f)|[.perf_freq,.pointer_size,(.mode|test("COMPRESSED")|not)]|@tsv' "$DATA/etl/index.json")
	read -r freq pointer plain <<<"$row"
	[ "$pointer" = 8 ] && [ "$plain" = true ] || continue
	n=$((n + 1))
	{
		echo "machine build=19041 mib=96 cpus=4 seed=$n freq=$freq"
		echo "session id=5 name=Real payload=$f"
		echo "buffer form=flushed ways=global,queue events=4000 repeat=60"
		echo "buffer form=logging ways=global,processor events=15"
		echo "lose buffer=1 page=1"
	} >real.recipe
	"$TOOLS/mkdump" real.recipe r.img r.json || { bad "no image of $f"; continue; }
	rm -rf o
	"$ETLIFT" recover -q r.img -o o || bad "$f: recover ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" r.json o >cmp.txt || { bad "$(basename "$f") differs"; cat cmp.txt; }
	"$ETLIFT" check -q o/sessions/*.etl >/dev/null || bad "$f: check refuses what was rebuilt"
	echo "$(basename "$f"): $(jq -r '.sessions[0].etl.events' o/report.json) events in $(jq -r '.sessions[0].etl.buffers' o/report.json) buffers"
done
[ $n -ge 10 ] || bad "only $n files were tried"
exit $fail
