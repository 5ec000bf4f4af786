#!/usr/bin/env bash
# scan --memory beside yara itself: the same file (warm), the same rules, one run each way; called by run.sh with ETLIFT and DIR set.
set -eu
command -v yara >/dev/null || { echo "scan --memory: yara is not there to compare with"; exit 0; }
"$ETLIFT" --version | grep -q 'libyara *built in' || exit 0
mib=${BENCH_SCAN_MIB:-1024}
cat >"$DIR/bench.yar" <<'Y'
rule words { strings: $a = "powershell -enc" wide ascii nocase $b = "Invoke-Mimikatz" wide $c = "sekurlsa" ascii condition: any of them }
rule bytes { strings: $x = { 4d 5a 90 00 03 00 00 00 04 00 00 00 ff ff } $y = { e8 ?? ?? ?? ?? 83 c4 04 85 c0 74 } condition: $x and $y }
rule mail { strings: $m = /[a-z0-9._]{3,20}@[a-z0-9]{3,20}\.(com|net|org)/ condition: #m > 3 }
Y
build/release/tools/mkdump -m "$mib" bench/main-job.recipe "$DIR/scan.raw"
"${PYTHON:-python3}" bench/fill.py "$DIR/scan.raw"
cat "$DIR/scan.raw" >/dev/null
wall() { local t0 t1; t0=$(date +%s.%N); "$@" >/dev/null 2>&1; t1=$(date +%s.%N); awk -v a="$t0" -v b="$t1" 'BEGIN { printf "%.2f", b - a }'; }
peer=$(wall yara "$DIR/bench.yar" "$DIR/scan.raw")
one=$(wall "$ETLIFT" scan --memory -j 1 -y "$DIR/bench.yar" "$DIR/scan.raw")
two=$(wall "$ETLIFT" scan --memory -j 2 -y "$DIR/bench.yar" "$DIR/scan.raw")
printf '%-58s %9s s\n' "yara RULES IMAGE ($mib MiB)" "$peer"
printf '%-58s %9s s               %s of yara\n' "scan --memory -j 1" "$one" "$(awk -v a="$one" -v b="$peer" 'BEGIN { printf "%.2f", a / b }')"
printf '%-58s %9s s               %s of yara (aim: not above 1)\n' "scan --memory -j 2" "$two" "$(awk -v a="$two" -v b="$peer" 'BEGIN { printf "%.2f", a / b }')"
rm -f "$DIR/scan.raw"
