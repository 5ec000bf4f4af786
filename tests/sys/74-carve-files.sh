#!/usr/bin/env bash
# Cached files of two sessions with one id: no event of one in the other's file, and what is said to be certain is right.
set -u
/usr/bin/python3 "$TOP/tests/carvefiles.py" "$ETLIFT" "$SCRATCH"
