#!/usr/bin/env bash
# etlift batch: 200 made images and some that are none, with -j 2. The summary says what each image alone gives; killed with SIGKILL at ten random moments
# (the process alone, or all of its group) and resumed each time, the end result equals that of an undisturbed run byte for byte. Two batches at the same
# images, SIGTERM and SIGINT, parts and sum-up, lists and patterns, segments, a memory bound, a child that is killed.
# BATCH_IMAGES and BATCH_KILLS change how much; `BATCH_SEED=N` repeats the moments of a run.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
images=${BATCH_IMAGES:-200} kills=${BATCH_KILLS:-10} seed=${BATCH_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"
now() { date +%s%N | cut -c1-13; }

# where a file system in memory is, it is done there: what takes long here is waiting for the disk
if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 2000000 ] 2>/dev/null; then
	SCRATCH=$(mktemp -d -p /dev/shm) && cd "$SCRATCH" || exit 1
	trap 'cd /; rm -rf "$SCRATCH"' EXIT
fi

# crash dumps of three sessions; every tenth image is a whole memory of five. Each has bytes of its own at the end.
mkdir -p in/sub base
sed 's/mib=96/mib=24/; s/^buffer form=full.*//; s/large=1//' "$TOP/testdata/recipes/demo.recipe" >small.recipe
"$TOOLS/mktriage" base/crash || exit 1
for i in 0 1 2 3; do
	sed "s/seed=42/seed=$i/" small.recipe >one.recipe
	"$TOOLS/mkdump" one.recipe base/$i || exit 1
done
wholes=0
for ((i = 1; i <= images; i++)); do
	if [ $((i % 10)) = 4 ]; then cp base/$((i / 10 % 4)) in/image-$i.raw; wholes=$((wholes + 1)); else cp base/crash in/image-$i.raw; fi
	printf '%-4096s' "$i" >>in/image-$i.raw
done
rm -r base
mv in/image-1.raw "in/sub/a name with ?*.raw"
cp in/image-2.raw in/sub/image-2.raw
echo "notes of the responder, which are no image at all" >in/notes.txt
head -c 1000000 /dev/zero >in/zero.img
: >in/empty.img
ln -s .. in/sub/loop # a folder that leads back into itself
words=(in "in/image-*.raw" /nowhere/x.img -j 2)

from=$(now)
"$ETLIFT" batch "${words[@]}" -o plain >said.txt 2>err.txt
s=$?
took=$(($(now) - from))
echo "$images images undisturbed: $took ms"
[ $s = 4 ] || bad "status of a batch with bad images: $s"
jq -e ".totals.images == $images + 5 and .totals.failed == 4 and .totals.sessions == 3 * ($images + 1) + 2 * $wholes" plain/batch.json >/dev/null ||
	bad "totals: $(jq -c .totals plain/batch.json)"
[ "$(wc -l <said.txt)" = $((images + 5)) ] || bad "a line for each image"
[ "$(wc -l <err.txt)" = 5 ] && grep -q "4 of $((images + 5)) images failed" err.txt && grep -q 'notes.txt: a text file' err.txt || bad "the failed ones by name: $(cat err.txt)"
for n in notes.txt:3 zero.img:4 empty.img:3 x.img:3; do
	jq -e --arg n "${n%:*}" --argjson s "${n#*:}" '.images[]|select(.folder==$n)|.exit==$s and (.error|length)>5' plain/batch.json >/dev/null || bad "${n%:*}"
done
/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" plain/batch.json plain/*/job.json plain/*/report.json || bad "a document does not fit its schema"
/usr/bin/python3 - plain <<'PY' || fail=1
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/batch.csv", newline="")))
images = json.load(open(sys.argv[1] + "/batch.json"))["images"]
assert [r["image"] for r in rows] == [i["image"] for i in images] and [r["exit"] for r in rows] == [str(i["exit"]) for i in images]
PY
# each folder is what recover alone writes
"$ETLIFT" recover -q in/image-14.raw -o alone
diff -r alone plain/image-14.raw -x job.json -x log.txt || bad "a folder differs from recover's"

# killed and resumed; one of the runs begins anew (--force), over what is there. Nothing waits for the killed run's children.
reached=0
for ((i = 0; i < kills; i++)); do
	how=--resume
	[ $((i % 5)) = 3 ] && how=--force
	setsid "$ETLIFT" batch "${words[@]}" -o killed -q $how 2>/dev/null &
	pid=$!
	ms=$((RANDOM % (2 * took / kills + 20)))
	sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
	if [ $((RANDOM % 2)) = 0 ]; then kill -9 $pid; else kill -9 -- -$pid; fi 2>/dev/null
	wait $pid 2>/dev/null
	s=$?
	[ $s = 137 ] && reached=$((reached + 1))
done
echo "$reached of $kills runs were killed before their end; $(find killed -maxdepth 2 -name job.json | wc -l) images were done by then"
[ $reached -ge $((kills / 2)) ] || bad "the moments came too late: raise BATCH_IMAGES"
"$ETLIFT" batch "${words[@]}" -o killed -q --resume 2>/dev/null
diff -r plain killed || bad "killed and resumed: another result"
ls -A killed | grep '^\.' && bad "working folders are left"

# resuming does not do what is done, and does again what has changed, or is not whole
touch -d '2001-01-01' killed/image-9.raw killed/image-8.raw
rm -r killed/image-11.raw
cp in/image-10.raw in/image-9.raw
"$ETLIFT" batch "${words[@]}" -o killed -q --resume 2>/dev/null
[ "$(date -r killed/image-8.raw +%Y)" = 2001 ] || bad "a finished image was done again"
[ "$(date -r killed/image-9.raw +%Y)" != 2001 ] || bad "an image that changed was not done again"
diff -r plain/image-11.raw killed/image-11.raw || bad "a folder that was lost was not done again"
cmp -s killed/image-9.raw/report.json killed/image-10.raw/report.json && bad "two paths in one report?"
"$ETLIFT" batch in/image-3.raw -o killed --resume --no-residual -q && jq -e '.options|test("no-residual")' killed/image-3.raw/job.json >/dev/null ||
	bad "other options: done again"

# from here on with fewer images
mkdir few
mv in/image-1[0-9].raw few
"$ETLIFT" batch few -o seven -q -j 7 || bad "few: $?"
for n in seven/image-*; do [ "${n#seven/}" = image-11.raw ] || cmp -s "$n/sessions/$(ls "$n/sessions" | head -n 1)" "plain/${n#seven/}/sessions/$(ls "$n/sessions" | head -n 1)" || bad "$n differs"; done
# two batches at the same images do not get into each other's way
"$ETLIFT" batch few -o twice -q --resume & pid=$!
"$ETLIFT" batch few -o twice -q --resume || bad "two at once: $?"
wait $pid || bad "two at once, the other: $?"
diff -r seven twice || bad "two at once: another result"
# parts, in any order and beside each other, and their sum
"$ETLIFT" batch few -o parts -q --resume --part 2/3 || bad "part 2/3: $?"
[ -e parts/batch.json ] && bad "a part writes no summary"
"$ETLIFT" batch few -o parts -q --sum-up 2>err.txt
[ $? = 1 ] && jq -e '[.images[]|select(.status=="not_done")]|length==7' parts/batch.json >/dev/null || bad "a sum before the end: $(jq -c .totals parts/batch.json)"
grep -q 'image-10.raw: not done yet' err.txt || bad "what is not done is named"
/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" parts/batch.json || bad "schema: not done"
"$ETLIFT" batch few -o parts -q --resume --part 1/3 & pid=$!
"$ETLIFT" batch few -o parts -q --resume --part 3/3 || bad "part 3/3: $?"
wait $pid || bad "part 1/3"
"$ETLIFT" batch few -o parts -q --sum-up || bad "sum-up: $?"
diff -r seven parts || bad "in parts: another result"
"$ETLIFT" batch few -o parts -q --resume --part 11/11 || bad "a part without an image"
for p in 0/3 4/3 3 3/ x/3 1/0; do
	"$ETLIFT" batch few -o parts -q --resume --part $p 2>/dev/null
	[ $? = 2 ] || bad "--part $p"
done

# told to stop: 130, what is finished is whole, the rest is named, --resume goes on
for sig in TERM INT; do
	setsid "$ETLIFT" batch in -o stop$sig -q 2>err.txt &
	pid=$!
	for ((i = 0; i < 500; i++)); do [ -d "$(echo stop$sig/image-*/ | cut -d' ' -f2)" ] && break; sleep 0.01; done
	if [ $sig = TERM ]; then kill -TERM $pid; else /usr/bin/python3 -c "import os, signal, sys; os.killpg(int(sys.argv[1]), signal.SIGINT)" $pid; fi
	wait $pid
	s=$?
	[ $s = 130 ] && [ "$(cat err.txt)" = "etlift: interrupted; --resume goes on" ] || bad "SIG$sig: status $s, $(cat err.txt)"
	ls -A stop$sig | grep '^\.' && bad "SIG$sig: working folders are left"
	n=$(find stop$sig -maxdepth 1 -type d | tail -n +2 | wc -l)
	[ "$n" -gt 0 ] && jq -e --argjson n "$n" '[.images[]|select(.status!="not_done")]|length==$n' stop$sig/batch.json >/dev/null || bad "SIG$sig: $n folders, the summary says otherwise"
	for d in stop$sig/image-*/; do d=$(basename "$d"); [ "$d" = image-9.raw ] || diff -r "stop$sig/$d" "plain/$d" || bad "SIG$sig: $d is not whole"; done
done

# lists; segments and state files are no images of their own, wherever the names come from; but they count as the image's bytes
printf '# a list\r\n%s\n\nin/zero.img\n' few/image-14.raw >list.txt
"$ETLIFT" batch --list list.txt -o listed -q 2>/dev/null
[ "$(jq -c '[.images[].folder]' listed/batch.json)" = '["image-14.raw","zero.img"]' ] || bad "--list"
sed 's/zero/empty/' list.txt | "$ETLIFT" batch --list - --list <(cat list.txt) -o listed -q --force 2>/dev/null
[ "$(jq -c '[.images[].folder]' listed/batch.json)" = '["image-14.raw","empty.img","zero.img"]' ] || bad "--list from pipes"
"$ETLIFT" batch --list nowhere.txt -o nothing 2>err.txt
[ $? = 3 ] && [ "$(cat err.txt)" = "etlift: nowhere.txt: No such file or directory" ] || bad "a list that is not there: $(cat err.txt)"
mkdir sets
for n in a.E01 a.E02 a.EAB b.001 b.002 b.010 c.vmem c.vmss C2.VMEM C2.VMSN d.000 d.001 e.E02 f.002 g.vmss 002; do echo "not really $n" >sets/$n; done
want='["002","C2.VMEM","a.E01","b.001","c.vmem","d.000","e.E02","f.002","g.vmss"]'
for words in sets "sets/*" --list=sets.txt; do
	ls sets/* >sets.txt
	rm -rf sets.out
	"$ETLIFT" batch $([ "$words" = "sets/*" ] && echo "sets/*" || echo "$words") -o sets.out -q 2>/dev/null
	[ "$(jq -c '[.images[].folder]' sets.out/batch.json | jq -c sort)" = "$want" ] || bad "$words: $(jq -c '[.images[].folder]' sets.out/batch.json)"
done
jq -e '.companions_sha256|length==64' sets.out/a.E01/job.json >/dev/null && jq -e '.companions_sha256==null' sets.out/f.002/job.json >/dev/null || bad "companions"
touch -d 2001-01-01 sets.out/a.E01 sets.out/b.001
echo more >>sets/a.E02
"$ETLIFT" batch sets -o sets.out -q --resume 2>/dev/null
[ "$(date -r sets.out/a.E01 +%Y)" != 2001 ] || bad "a segment changed, and the image is not done again"
[ "$(date -r sets.out/b.001 +%Y)" = 2001 ] || bad "no segment changed, and the image is done again"
# the output folder is no evidence, also when it stands in the evidence
"$ETLIFT" batch few -o few/cases -q && "$ETLIFT" batch few -o few/cases -q --resume && [ "$(jq .totals.images few/cases/batch.json)" = 10 ] || bad "output in the input"
rm -r few/cases

# progress over all on a terminal, with the time left; none elsewhere
truncate -s 600M long.img
TERM=xterm script -qec "'$ETLIFT' batch long.img few -j 1 -o tty" typescript >/dev/null </dev/null
grep -qE '[0-9]+ of 11 images \[[# ]*\] +[0-9]+%' typescript && grep -qE ' [0-9]+:[0-9]{2} left' typescript || bad "progress: $(tr '\r' '\n' <typescript | head -n 20)"
grep -q '\[#' err.txt said.txt && bad "progress without a terminal"
rm long.img

# bounds, and a child that is killed: it costs its image and no other
"$ETLIFT" batch few/image-14.raw few/image-15.raw -o bound -q --max-memory 8 2>/dev/null
[ $? = 1 ] && jq -e '[.images[]|.status=="failed" or .status=="crashed"]|all' bound/batch.json >/dev/null || bad "a memory bound of 8 MiB is not felt"
truncate -s 16G big.img
"$ETLIFT" batch big.img few/image-14.raw -o oom -q 2>err.txt &
pid=$!
for ((i = 0; i < 500; i++)); do [ -d oom/image-14.raw ] && break; sleep 0.01; done
kill -9 "$(ps -o pid= --ppid $pid | head -n 1)"
wait $pid
[ $? = 1 ] && jq -e '[.images[]|.status]==["crashed","done"] and .images[0].signal==9' oom/batch.json >/dev/null && grep -q 'big.img: the process was killed by signal 9' err.txt ||
	bad "a killed child: $(cat oom/batch.json err.txt)"
rm big.img
"$ETLIFT" batch few -o plain -q 2>/dev/null
[ $? = 2 ] || bad "a folder that is not empty"
"$ETLIFT" batch -o nothing 2>/dev/null
[ $? = 2 ] || bad "no image"
exit $fail
