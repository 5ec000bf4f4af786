#!/usr/bin/env bash
# The independent reader (tests/lib/refetl.py) against index.json; and the round trip: each real file read by src/etl and written by src/etlwrite
# keeps every record of its data buffers byte for byte and in order per CPU, the header records behind the first, and every event's time.
set -u
[ -n "$DATA" ] || { echo "needs the shared data: \$ETLIFT_DATA"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
for f in "$DATA"/etl/*.etl "$DATA"/etl/*.blg; do
	"$TOOLS/roundtrip" "$f" "$(basename "$f")" >/dev/null || { echo "$f: can't be written again"; fail=1; }
done
"$ETLIFT" check -q ./*.etl ./*.blg >check.txt || { echo "check refuses a file of the round trip"; cat check.txt; fail=1; }
/usr/bin/python3 - "$DATA/etl" <<'PY' || fail=1
import collections, json, os, sys
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import refetl
bad = total = 0
for row in json.load(open(os.path.join(sys.argv[1], "index.json"))):
    a = refetl.read(os.path.join(sys.argv[1], row["file"]))
    counts = collections.Counter(r.kind for b in a.buffers for r in b.records)
    if counts != collections.Counter(row["events"]) or len(a.buffers) != row["buffers"]:
        bad += 1
        print(row["file"], "reader:", dict(counts), len(a.buffers), "index:", row["events"], row["buffers"])
    total += sum(counts.values())
    b = refetl.read(row["file"])
    def by_cpu(f):
        d = collections.defaultdict(list)
        for buf in f.buffers[1:]:
            d[buf.cpu] += [(r.ts, r.bytes, refetl.time(f, r.ts) if r.ts is not None else None) for r in buf.records]
        return d
    x, y = by_cpu(a), by_cpu(b)
    if set(x) != set(y):
        bad += 1; print(row["file"], "cpus differ")
    for cpu in x:
        # buffers of one cpu may stand in another order in the source (relogged files): order within a buffer and by time is what counts
        if x[cpu] != y.get(cpu) and sorted(x[cpu], key=lambda r: (r[0] or 0, r[1])) != sorted(y.get(cpu, []), key=lambda r: (r[0] or 0, r[1])):
            bad += 1; print(row["file"], "records of cpu", cpu, "differ")
        ts = [r[0] for r in y.get(cpu, []) if r[0] is not None]
        if ts != sorted(ts) and [r[0] for r in x[cpu] if r[0] is not None] == sorted(ts):
            bad += 1; print(row["file"], "order of cpu", cpu)
    ha, hb = ([r.bytes for r in f.buffers[0].records[1:]] for f in (a, b))
    if ha != hb:
        bad += 1; print(row["file"], "header records differ")
    for i, buf in enumerate(b.buffers):
        if buf.fill.strip(b"\xff") or not buf.offset == buf.saved == buf.current or buf.pointers.strip(b"\0") or buf.state != 3:
            bad += 1; print(row["file"], "buffer", i, "is not clean")
        if i and (buf.seq != i or (i > 1 and buf.ts < b.buffers[i - 1].ts)):
            bad += 1; print(row["file"], "buffer", i, "sequence or time")
    if b.written != len(b.buffers) or b.size != len(b.buffers) * b.buffer_size:
        bad += 1; print(row["file"], "BuffersWritten")
    for k in ("boot", "freq", "start", "clock", "t0", "cpus", "provider_version", "name", "file", "zone", "lost", "buffers_lost", "mhz"):
        if getattr(a, k) != getattr(b, k) and not (k == "cpus" and b.cpus > a.cpus):
            bad += 1; print(row["file"], k, getattr(a, k), "became", getattr(b, k))
print(total, "records read,", bad, "differences")
sys.exit(bad != 0)
PY
exit $fail
