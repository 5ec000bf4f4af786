#!/usr/bin/env bash
# make bench: figures of one run, as ratios beside a physical limit (`cat` of the same warm file) or the best public program. Nothing is asserted
# but in bench-containers.sh, whose status is that of the whole.
# BENCH_MIB: size of the image (4096); BENCH_DIR: where it is made (a fresh folder under TMPDIR).
set -eu
cd "$(dirname "$0")/.."
make -j"$(nproc)" all tools
dir=${BENCH_DIR:-$(mktemp -d)}
trap 'rm -rf "$dir"' EXIT
mib=${BENCH_MIB:-4096}
etlift=build/release/etlift
status=0
python=/usr/bin/python3
[ -x $python ] || python=python3

# Best of five ({n}: the run's number): wall seconds and peak resident MiB of a command's process.
cat >"$dir/time.py" <<'PY'
import os, resource, subprocess, sys, time
best, rss = None, 0
for n in range(int(sys.argv[1])):
    args = [a.replace("{n}", str(n)) for a in sys.argv[2:]]
    pid = os.fork()
    t = time.monotonic()
    if pid == 0:
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.execvp(args[0], args)
    _, status, use = os.wait4(pid, 0)
    t = time.monotonic() - t
    if status:
        print("failed:", sys.argv[2:], status, file=sys.stderr)
        sys.exit(1)
    best = t if best is None else min(best, t)
    rss = max(rss, use.ru_maxrss)
print("%.4f %.0f" % (best, rss / 1024))
PY
measure() { $python "$dir/time.py" 5 "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
row() { printf '%-58s %9s s  %6s MiB   %s\n' "$1" "$2" "$3" "$4"; }

echo "image: $mib MiB of noise around a made Windows 10 machine, 30,000 handles, 40 sessions; the file is warm"
build/release/tools/mkdump -m "$mib" bench/main-job.recipe "$dir/image.raw"
$python bench/fill.py "$dir/image.raw"
sync # the image itself must not be on its way to the disk while others are timed
cat "$dir/image.raw" >/dev/null

read -r cat_s cat_m <<<"$(measure cat "$dir/image.raw")"
row "cat IMAGE" "$cat_s" "$cat_m" "the limit"
read -r s m <<<"$(measure "$etlift" info "$dir/image.raw")"
row "info" "$s" "$m" "$(ratio "$s" "$cat_s") of cat"
read -r s m <<<"$(measure "$etlift" recover -q -o "$dir/out{n}" "$dir/image.raw")"
row "recover" "$s" "$m" "$(ratio "$s" "$cat_s") of cat (aim: below 0.100, 64 MiB)"
rm -f "$dir/image.raw"
sed 's/^machine /machine stub=0 /' bench/main-job.recipe >"$dir/nohints.recipe"
build/release/tools/mkdump -m "$mib" "$dir/nohints.recipe" "$dir/nohints.raw"
$python bench/fill.py "$dir/nohints.raw"
sync
cat "$dir/nohints.raw" >/dev/null
read -r cat_n _ <<<"$(measure cat "$dir/nohints.raw")"
read -r s m <<<"$(measure "$etlift" recover -q -o "$dir/scan{n}" "$dir/nohints.raw")"
row "recover, hints destroyed (scan for roots)" "$s" "$m" "$(ratio "$cat_n" "$s") of cat's rate (aim: at least 0.500)"
for b in bench/bench-*.sh; do
	[ -f "$b" ] || continue
	ETLIFT=$etlift DIR=$dir bash "$b" || status=$?
done
exit $status
