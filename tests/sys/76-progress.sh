#!/usr/bin/env bash
# Progress at a terminal, with rate and time left: carving and scanning. None elsewhere, and none with --no-progress.
set -u
fail=0
bad() { echo "FAIL: $*"; fail=1; }
cd "$SCRATCH" || exit 1
bytes=$((768 << 20))
openssl enc -aes-128-ctr -K 0102030405060708090a0b0c0d0e0f10 -iv 0 -in /dev/zero 2>/dev/null | head -c $bytes >noise.img
carve=("$ETLIFT_SAN" carve -j 1 --deep noise.img -o out --force)
/usr/bin/python3 "$TOP/tests/progress.py" carving $bytes "${carve[@]}" || bad "carve"
"${carve[@]}" >o.txt 2>e.txt
grep -q 'carving' o.txt e.txt && bad "progress where no terminal is"
/usr/bin/python3 "$TOP/tests/progress.py" carving $bytes "${carve[@]}" --no-progress | grep -q ': 0 lines' || bad "--no-progress"
if "$ETLIFT_SAN" --version | grep -q 'libyara *built in'; then
	echo 'rule mail { strings: $a = /[a-z0-9._]{3,20}@[a-z0-9]{3,20}\.(com|net|org)/ condition: $a }' >mail.yar
	/usr/bin/python3 "$TOP/tests/progress.py" scanning $bytes "$ETLIFT_SAN" scan --memory -j 1 -y mail.yar noise.img || bad "scan --memory"
fi
exit $fail
