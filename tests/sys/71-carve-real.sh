#!/usr/bin/env bash
# Real .etl files whose pages lie in memory, in order and anyhow, as the file cache leaves them: every record comes back and no other.
set -u
[ -n "$DATA" ] && [ -d "$DATA/etl" ] || { echo "no shared data: real files are not carved"; exit 77; }
exec /usr/bin/python3 "$TOP/tests/carvereal.py" "$ETLIFT" "$DATA/etl" "$SCRATCH"
