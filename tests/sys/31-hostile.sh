#!/usr/bin/env bash
# The two real crash dumps, cut and with single bytes changed: no crash, no hang, intact buffers still recovered, nothing written outside -o.
# A seeded subset here; `make fuzz` runs the whole (every 97th byte, 20,000 changes).
set -u
[ -n "$DATA" ] || { echo "needs the shared data: \$ETLIFT_DATA"; exit 77; }
fail=0
for a in x64 arm64; do
	f=$DATA/triage/triage_$a.dmp
	timeout 300 "$FUZZERS/tools/hostile" -cut=9797 "$f" || { echo "$a: cuts"; fail=1; }
	timeout 300 "$FUZZERS/tools/hostile" -flip=1500 -seed=1 "$f" || { echo "$a: changes"; fail=1; }
	timeout 300 "$TOOLS/hostile" -flip=4000 -seed=2 "$f" || { echo "$a: changes"; fail=1; }
done
# the whole program: what it writes stays in its folder
cd "$SCRATCH" || exit 1
mkdir in
for n in 4096 8191 100000 722000 1200000; do
	head -c $n "$DATA/triage/triage_arm64.dmp" >in/cut.dmp
	timeout 60 "$ETLIFT_SAN" recover -q in/cut.dmp -o out$n 2>err
	s=$?
	[ $s -le 4 ] || { echo "cut at $n: status $s"; cat err; fail=1; }
done
[ "$(ls in)" = cut.dmp ] || { echo "something was written beside the evidence"; fail=1; }
[ "$(ls | grep -vE '^(in|err|out[0-9]+)$')" = "" ] || { echo "something was written outside: $(ls)"; fail=1; }
exit $fail
