#!/usr/bin/env bash
# One bad record never stops a buffer: in seeded copies of real traces (else of a made one) one record's header is broken; the loss is counted and named with
# its offset in the file, and every other event comes as before.
set -u
cd "$SCRATCH" || exit 1
"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.img || exit 1
"$ETLIFT" recover -q demo.img -o demo --no-residual || exit 1
files=(demo/sessions/*.etl)
[ -z "$DATA" ] || files+=("$DATA"/etl/perfview-gcevents.etl "$DATA"/etl/tx-HTTP_Server.etl "$DATA"/etl/krabsetw-powershell.etl "$DATA"/etl/tx-WsRm01.etl)
cat >run.py <<'PY'
import json, random, re, subprocess, sys
etlift, rnd, runs, bad, first_lost = sys.argv[1], random.Random(62), 0, 0, 0


def events(name):
    run = subprocess.run([etlift, "events", "-v", name, "-o", "out.jsonl"], capture_output=True, text=True)
    found = {}
    for line in open("out.jsonl"):
        e = json.loads(line)
        found[int(e["source"]["buffer"], 16), e["source"]["offset"]] = (e["time"], e["kind"], e["provider"], e["event"], e["pid"], e["data"], e.get("payload"))
    return run, found


for name in sys.argv[2:]:
    whole = open(name, "rb").read()
    run, good = events(name)
    if run.returncode or "losses" in run.stderr or len(good) < 4:
        continue
    # not the header buffer's, not records that others are decoded by
    places = [p for p in good if p[0] and not (good[p][3]["opcode"] in (32, 33) and good[p][1] == "mof") and good[p][3]["id"] != 0xfffe]
    for at in rnd.sample(places, min(6, len(places))):
        for what in ("size 0", "size 65535", "marker", "noise"):
            b = bytearray(whole)
            off = at[0] + at[1]
            kind = b[off + 2]
            size_at = off + 4 if kind in (1, 2, 3, 4, 0x10, 0x11) else off
            if what == "marker":
                b[off + 2:off + 4] = b"\x5a\x5a"
            elif what == "noise":
                b[off:off + 16] = bytes(rnd.randrange(256) for _ in range(3)) + b"\x33" + bytes(rnd.randrange(256) for _ in range(12))
            else:
                b[size_at:size_at + 2] = (0 if what == "size 0" else 65535).to_bytes(2, "little")
            open("broken.etl", "wb").write(b)
            run, now = events("broken.etl")
            runs += 1
            lost = set(good) - set(now) - {at}
            changed = [p for p in now if p not in good or now[p] != good[p]]
            named = [(int(m[1]), int(m[2], 16)) for m in re.finditer(r"loss: record_bad: .*: (\d+) bytes at 0x([0-9a-f]+)", run.stderr)]
            if run.returncode or lost or changed or at in now or not any(a <= off < a + n for n, a in named):
                bad += 1
                print(name.split("/")[-1], what, "at", hex(off), "status", run.returncode, "lost", len(lost), "changed", len(changed), "named", named)
print(runs, "broken records,", bad, "times something else happened")
sys.exit(bad != 0 or runs < 8)
PY
/usr/bin/python3 run.py "$ETLIFT" "${files[@]}"
