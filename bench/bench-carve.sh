#!/usr/bin/env bash
# Carving beside cat: an image full of noise (the dearest memory there is for a search by shape) around a made machine. From bench/run.sh.
# DIR: where images are made; ETLIFT: the program; BENCH_MIB: size (4096).
set -eu
mib=${BENCH_MIB:-4096}
python=/usr/bin/python3
[ -x $python ] || python=python3
build/release/tools/mkdump -m "$mib" bench/main-job.recipe "$DIR/carve.raw"
$python bench/fill.py "$DIR/carve.raw"
sync
cat "$DIR/carve.raw" >/dev/null
read -r cat_s _ <<<"$($python "$DIR/time.py" 5 cat "$DIR/carve.raw")"
for o in "" --deep; do
	read -r s m <<<"$($python "$DIR/time.py" 5 "$ETLIFT" carve -q -j 2 $o -o "$DIR/carve${o}{n}" "$DIR/carve.raw")"
	printf '%-58s %9s s  %6s MiB   %s\n' "carve -j 2 $o" "$s" "$m" \
		"$(awk -v a="$cat_s" -v b="$s" 'BEGIN { printf "%.3f", a / b }') of cat's rate$([ -n "$o" ] || echo " (aim: at least 0.900, 96 MiB)")"
done
rm -f "$DIR/carve.raw"
