#!/usr/bin/env bash
# Buffers of every kind, form and size in a memory that is no machine, by a writer of its own: every record comes back under its origin, and no other;
# scattered anyhow, from many seeds: no record is made of two buffers' bytes.
set -u
fail=0
/usr/bin/python3 "$TOP/tests/carvemix.py" "$ETLIFT" "$SCRATCH" "${SEED:-1}" || fail=1
/usr/bin/python3 "$TOP/tests/carvemix.py" "$ETLIFT" "$SCRATCH" "${SEEDS:-3-14}" || fail=1
# and with 3 % of the pages lost: gaps, no guesses
/usr/bin/python3 "$TOP/tests/carvemix.py" "$ETLIFT" "$SCRATCH" "${LOSSY:-3-4}" 0.03 || fail=1
exit $fail
