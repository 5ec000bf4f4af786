#!/usr/bin/env bash
# Eight processors that log side by side, pages anywhere: what can't be told apart is a gap, and no record is mixed, moved or given twice.
set -u
# shellcheck disable=SC2086
/usr/bin/python3 "$TOP/tests/carvecpus.py" "$ETLIFT" "$SCRATCH" ${SEEDS:-1 2 3}
