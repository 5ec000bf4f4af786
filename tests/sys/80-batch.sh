#!/usr/bin/env bash
# etlift batch: 40 made images and some that are none, with -j 2: the summary says what each command alone says; killed at random moments and resumed,
# the end result equals that of an undisturbed run byte for byte. BATCH_IMAGES and BATCH_KILLS make it longer (200 and 10 in make batch-long).
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
images=${BATCH_IMAGES:-40} kills=${BATCH_KILLS:-5}

mkdir -p in/sub
sed 's/mib=96/mib=24/; s/^buffer form=full.*//; s/large=1//' "$TOP/testdata/recipes/demo.recipe" >small.recipe
for ((i = 1; i <= images; i++)); do
	sed "s/seed=42/seed=$i/" small.recipe >one.recipe
	"$TOOLS/mkdump" -f crash64-kernel one.recipe "in/image-$i.dmp" || exit 1
done
mv in/image-1.dmp "in/sub/a name with ?*.dmp"
cp in/image-2.dmp in/sub/image-2.dmp
echo "notes of the responder, which are no image at all" >in/notes.txt
head -c 1000000 /dev/zero >in/zero.img
: >in/empty.img

"$ETLIFT" batch in "in/image-*.dmp" /nowhere/x.img -o plain -j 2 >said.txt 2>err.txt
[ $? = 4 ] || bad "status of a batch with bad images: $?"
jq -e ".totals.images == $images + 5 and .totals.failed == 4 and .totals.sessions == 5 * ($images + 1)" plain/batch.json >/dev/null ||
	bad "totals: $(jq -c .totals plain/batch.json)"
[ "$(wc -l <said.txt)" = $((images + 5)) ] || bad "a line for each image"
for n in notes.txt:3 zero.img:4 empty.img:3 x.img:3; do
	jq -e --arg n "${n%:*}" --argjson s "${n#*:}" '.images[]|select(.folder==$n)|.exit==$s and (.error|length)>5' plain/batch.json >/dev/null || bad "${n%:*}"
done
/usr/bin/python3 - plain <<'PY' || fail=1
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/batch.csv", newline="")))
images = json.load(open(sys.argv[1] + "/batch.json"))["images"]
assert [r["image"] for r in rows] == [i["image"] for i in images] and [int(r["exit"]) for r in rows] == [i["exit"] for i in images]
PY
# each folder is what recover alone writes
"$ETLIFT" recover -q in/image-7.dmp -o alone
diff -r alone plain/image-7.dmp -x job.json -x log.txt || bad "a folder differs from recover's"

# -j, and the same again: the same bytes
"$ETLIFT" batch in "in/image-*.dmp" /nowhere/x.img -o more -j 4 -q 2>/dev/null
diff -r plain more || bad "-j changes the result"
# killed and resumed
for ((i = 0; i < kills; i++)); do
	"$ETLIFT" batch in "in/image-*.dmp" /nowhere/x.img -o killed -j 2 -q --resume 2>/dev/null &
	pid=$!
	sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
done
"$ETLIFT" batch in "in/image-*.dmp" /nowhere/x.img -o killed -j 2 -q --resume 2>/dev/null
diff -r plain killed || bad "killed and resumed: another result"
# resuming does not do what is done, and does again what has changed
touch -d '2001-01-01' killed/image-9.dmp killed/image-8.dmp
cp in/image-10.dmp in/image-9.dmp
"$ETLIFT" batch in "in/image-*.dmp" /nowhere/x.img -o killed -j 2 -q --resume 2>/dev/null
[ "$(date -r killed/image-8.dmp +%Y)" = 2001 ] || bad "a finished image was done again"
[ "$(date -r killed/image-9.dmp +%Y)" != 2001 ] || bad "an image that changed was not done again"
cmp -s killed/image-9.dmp/report.json killed/image-10.dmp/report.json && bad "two paths in one report?"
"$ETLIFT" batch in/image-3.dmp -o killed --resume --no-residual -q && jq -e '.options|test("no-residual")' killed/image-3.dmp/job.json >/dev/null ||
	bad "other options: done again"
# interrupted: 130, nothing half made
"$ETLIFT" batch in -o stopped -q 2>/dev/null &
pid=$!
sleep 0.15
kill -INT $pid
wait $pid
s=$?
[ $s = 130 ] || [ -f stopped/batch.json ] || bad "interrupt: status $s"
# lists, and bounds
printf '# a list\n%s\n\nin/zero.img\n' in/image-4.dmp >list.txt
"$ETLIFT" batch --list list.txt -o listed -q 2>/dev/null
[ "$(jq -c '[.images[].folder]' listed/batch.json)" = '["image-4.dmp","zero.img"]' ] || bad "--list"
"$ETLIFT" batch in/image-4.dmp -o bound -q --max-memory 8 2>/dev/null
[ $? = 1 ] && jq -e '.images[0]|.status=="failed" or .status=="crashed"' bound/batch.json >/dev/null || bad "a memory bound of 8 MiB is not felt"
# a child that is killed costs its image and no other
truncate -s 16G big.img
"$ETLIFT" batch big.img in/image-4.dmp -o oom -q 2>/dev/null &
pid=$!
sleep 0.5
pkill -9 -P $pid
wait $pid
[ $? = 1 ] && jq -e '[.images[]|.status]==["crashed","done"] and .images[0].signal==9' oom/batch.json >/dev/null || bad "a killed child: $(cat oom/batch.json)"
rm big.img
"$ETLIFT" batch in -o plain -q 2>/dev/null
[ $? = 2 ] || bad "a folder that is not empty"
"$ETLIFT" batch -o nothing 2>/dev/null
[ $? = 2 ] || bad "no image"
ls -a plain killed more | grep -q '^\.work' && bad "working folders are left"
exit $fail
