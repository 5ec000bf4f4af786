#!/usr/bin/env bash
# Buffers of every kind, form and size in a memory that is no machine, by a writer of its own: every record comes back under its origin, and no other.
exec /usr/bin/python3 "$TOP/tests/carvemix.py" "$ETLIFT" "$SCRATCH" "${SEED:-1}"
