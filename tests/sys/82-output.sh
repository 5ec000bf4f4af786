#!/usr/bin/env bash
# Output that can't be written: a full disk at any moment, a read-only one, a file size limit, folders and devices in the way: exit status 1 (2: the words
# are off), one line that says why, and nothing half done under a final name. Evidence is never written over. Interrupted at random moments: 130, and what
# stands there is whole.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
RANDOM=${OUTPUT_SEED:-$$}
sed 's/mib=96/mib=24/; s/^buffer form=full.*//; s/large=1//' "$TOP/testdata/recipes/demo.recipe" >small.recipe
"$TOOLS/mkdump" small.recipe image.raw || exit 1
"$TOOLS/mkdump" "$TOP/testdata/recipes/carve.recipe" carve.raw || exit 1
"$TOOLS/mktriage" crash.dmp || exit 1
sha256sum image.raw carve.raw crash.dmp >evidence.sha256
mkdir ref
"$ETLIFT" recover -q image.raw -o ref/recover || exit 1
"$ETLIFT" carve -q carve.raw -o ref/carve || exit 1
find ref/carve -name 'orphan*.etl' | grep -q . || exit 1
"$ETLIFT" batch -q image.raw crash.dmp -o ref/batch || exit 1
for f in jsonl evtx xml; do "$ETLIFT" events -q image.raw --format $f -o ref/events.$f || exit 1; done

# every file of $1 is one of $2, byte for byte, and none is a temporary one
whole() { # DIR REF WHAT
	local f
	while IFS= read -r f; do
		case $f in */log.txt | */job.json) continue ;; esac # say what went wrong
		cmp -s "$1/$f" "$2/$f" || bad "$3: $f is not whole"
	done < <(cd "$1" 2>/dev/null && find . -type f)
}
one_line() { # STATUS FILE WHAT
	[ "$1" = 1 ] || bad "$3: status $1"
	[ "$(wc -l <"$2")" = 1 ] && grep -qE '^etlift: .*: (No space left on device|File too large|Read-only file system|could not be written|Is a directory|Not a directory|No such file or directory)$' "$2" ||
		bad "$3: not one line that says why: $(cat "$2")"
}

# ---- a full disk: file systems from nothing to enough ----------------------------------------------------------------------------------------------
disk=$SCRATCH/disk
mkdir "$disk"
if mount -t tmpfs -o size=4k none "$disk" 2>/dev/null; then
	trap 'umount "$SCRATCH/disk" 2>/dev/null' EXIT
	runs=0 full=0
	try() { # KIB WHAT REF COMMAND...
		local kib=$1 what=$2 ref=$3 s
		shift 3
		rm -rf "${disk:?}"/* && mount -o remount,size=${kib}k "$disk" || exit 1
		"$ETLIFT" "$@" >/dev/null 2>err.txt
		s=$?
		runs=$((runs + 1))
		if [ $s = 0 ]; then diff -r "$disk/out" "$ref" || bad "$what, $kib KiB: another result"; else
			full=$((full + 1))
			one_line $s err.txt "$what, $kib KiB"
			if [ -d "$ref" ]; then whole "$disk/out" "$ref" "$what, $kib KiB"; else [ -z "$(ls -A "$disk")" ] || bad "$what, $kib KiB: a file is left"; fi
		fi
	}
	for kib in 4 8 16 32 60 100 150 220 300 360 400 430 450 470 490 510 530 560 600 800; do try $kib recover ref/recover recover -q image.raw -o "$disk/out"; done
	for kib in 4 12 40 80 120 160 200 240 280 400 4000; do try $kib carve ref/carve carve -q carve.raw -o "$disk/out"; done
	for f in jsonl evtx xml; do for kib in 4 64 200 5000; do try $kib "events $f" ref/events.$f events -q image.raw --format $f -o "$disk/out"; done; done
	echo "$runs runs on small disks, $full of them too small"
	[ $full -ge 25 ] && [ $full -lt $runs ] || bad "the sizes are badly chosen"
	# batch: an image that fills the disk costs itself; with room again, --resume makes it whole
	rm -rf "${disk:?}"/*
	mount -o remount,size=300k "$disk"
	"$ETLIFT" batch -q -j 1 image.raw crash.dmp -o "$disk/out" 2>err.txt
	[ $? = 1 ] && jq -e '[.images[]|[.status,.exit]]==[["failed",1],["done",0]]' "$disk/out/batch.json" >/dev/null || bad "batch on a full disk: $(cat err.txt "$disk/out/batch.json")"
	grep -q 'image.raw: .*No space left' err.txt || bad "batch on a full disk: $(cat err.txt)"
	whole "$disk/out/image.raw" ref/batch/image.raw "batch on a full disk"
	diff -r "$disk/out/crash.dmp" ref/batch/crash.dmp || bad "batch on a full disk: the next image"
	mount -o remount,size=9000k "$disk"
	"$ETLIFT" batch -q -j 1 image.raw crash.dmp -o "$disk/out" --resume && diff -r "$disk/out" ref/batch || bad "batch, with room again"
	rm -rf "${disk:?}"/* && mount -o remount,size=4k "$disk"
	"$ETLIFT" batch -q image.raw crash.dmp -o "$disk/out" 2>err.txt
	[ $? = 1 ] && grep -q 'No space left' err.txt || bad "batch without room for anything: $(cat err.txt)"
	# a read-only disk
	rm -rf "${disk:?}"/* && mkdir "$disk/out" && mount -o remount,ro "$disk"
	for c in "recover image.raw -o $disk/out" "carve carve.raw -o $disk/new" "events image.raw -o $disk/out/e" "batch image.raw -o $disk/out"; do
		# shellcheck disable=SC2086
		"$ETLIFT" $c >/dev/null 2>err.txt
		one_line $? err.txt "read-only: $c"
	done
	umount "$disk"
else
	echo "no right to mount: without the small disks"
fi

# ---- a limit of a file's size (of any user) --------------------------------------------------------------------------------------------------------
for kib in 4 40 100; do
	for c in recover:image.raw:ref/recover carve:carve.raw:ref/carve; do
		IFS=: read -r cmd image ref <<<"$c"
		rm -rf lim
		(ulimit -f $kib && exec "$ETLIFT" $cmd -q $image -o lim) 2>err.txt
		s=$?
		if [ $s != 0 ] || [ $kib = 4 ]; then one_line $s err.txt "$cmd, files to $kib KiB"; fi
		whole lim $ref "$cmd, files to $kib KiB"
	done
	rm -rf lim
	(ulimit -f $kib && exec "$ETLIFT" events -q image.raw -o lim) 2>err.txt
	one_line $? err.txt "events, files to $kib KiB"
	[ -e lim ] && bad "events, files to $kib KiB: half a file"
done

# ---- what is in the way ---------------------------------------------------------------------------------------------------------------------------
for c in "recover image.raw -o image.raw" "recover image.raw -o image.raw/x" "carve carve.raw -o image.raw" "batch image.raw -o image.raw" "events image.raw -o nowhere/e" "recover image.raw -o /dev/null/x"; do
	# shellcheck disable=SC2086
	"$ETLIFT" $c >/dev/null 2>err.txt
	one_line $? err.txt "$c"
done
for c in "events image.raw -o image.raw" "events image.raw -o ref" "events image.raw --pagefile crash.dmp -o crash.dmp"; do
	# shellcheck disable=SC2086
	"$ETLIFT" $c >/dev/null 2>err.txt
	[ $? = 2 ] && [ "$(wc -l <err.txt)" = 1 ] || bad "$c: $(cat err.txt)"
done
# devices and pipes are written to, and stay what they are (the device is a copy: a failure costs nobody else's)
if mknod full c 1 7 2>/dev/null && { : >full; } 2>/dev/null; then
	"$ETLIFT" events -q image.raw -o full 2>err.txt
	one_line $? err.txt "-o to a full device"
	[ -c full ] || bad "-o has replaced a device"
	for c in "info image.raw" "sessions image.raw --json" "events image.raw" "recover image.raw -o said1" "batch image.raw -o said2"; do
		# shellcheck disable=SC2086
		"$ETLIFT" $c >full 2>err.txt
		one_line $? err.txt "standard output full: $c"
	done
fi
mkfifo pipe
cat pipe >piped & "$ETLIFT" events -q image.raw -o pipe || bad "-o to a pipe"
wait
cmp -s piped ref/events.jsonl && [ -p pipe ] || bad "a pipe got other bytes"
"$ETLIFT" events -q image.raw -o /dev/stdout | cmp - ref/events.jsonl || bad "-o /dev/stdout"
[ -L /dev/stdout ] || bad "-o has replaced /dev/stdout"
: >target
ln -s target link
"$ETLIFT" events -q image.raw -o link && [ -L link ] && cmp -s target ref/events.jsonl || bad "-o to a link"
# batch does not take what is not its own for an old result
mkdir mine mine/crash.dmp
cp image.raw mine/image.raw
echo "my only copy" >mine/crash.dmp/notes
"$ETLIFT" batch -q --force mine/image.raw crash.dmp -o mine 2>err.txt
[ $? = 1 ] && [ "$(grep -c 'is in the way' err.txt)" = 2 ] && cmp -s mine/image.raw image.raw && [ "$(cat mine/crash.dmp/notes)" = "my only copy" ] || bad "batch over other things: $(ls -lR mine; cat err.txt)"

# ---- interrupted ------------------------------------------------------------------------------------------------------------------------------------
stopped=0
for ((i = 0; i < 24; i++)); do
	sig=$([ $((i % 2)) = 0 ] && echo INT || echo TERM)
	cmd="recover image.raw" ref=ref/recover
	[ $((i % 3)) = 2 ] && cmd="carve carve.raw" ref=ref/carve
	rm -rf int
	# shellcheck disable=SC2086
	"$ETLIFT" $cmd -q -o int 2>err.txt &
	pid=$!
	sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
	kill -$sig $pid 2>/dev/null
	wait $pid
	s=$?
	whole int $ref "$cmd, SIG$sig"
	case $s in
	0) diff -r int $ref >/dev/null || bad "$cmd: not interrupted, and another result" ;;
	130) stopped=$((stopped + 1)); [ "$(wc -l <err.txt)" = 1 ] && grep -q '^etlift: .*interrupted' err.txt || bad "SIG$sig: $(cat err.txt)" ;;
	143) ;; # before it heard of signals at all
	*) bad "$cmd, SIG$sig: status $s, $(cat err.txt)" ;;
	esac
done
echo "$stopped of 24 runs were interrupted"
# looking through a huge image it does not go on to the end first
truncate -s 32G huge.raw
"$ETLIFT" recover huge.raw -o int.huge 2>err.txt &
pid=$!
sleep 0.5
kill -INT $pid
for ((i = 0; i < 50; i++)); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
[ $i -lt 50 ] || { bad "an interrupt is not heard"; kill -9 $pid; }
wait $pid
[ $? = 130 ] && [ ! -e int.huge ] || bad "interrupted at the beginning: $(cat err.txt)"
rm huge.raw
sha256sum -c --quiet evidence.sha256 || bad "evidence was changed"
exit $fail
