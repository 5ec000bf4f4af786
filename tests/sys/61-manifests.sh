#!/usr/bin/env bash
# etlift events with manifests: given ones (.man, PE files with a compiled one), and those that a trace carries itself. Rates before and after on real files,
# known values of events that only a manifest can decode.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

"$TOOLS/mkdump" "$TOP/testdata/recipes/demo.recipe" demo.img || exit 1
printf 'no manifest' >not.man
"$ETLIFT" events --manifest not.man demo.img >/dev/null 2>err && bad "a text is taken for a manifest"
grep -q 'not.man' err || bad "the refusal names no file: $(cat err)"
"$ETLIFT" events --manifest /nonexistent demo.img >/dev/null 2>&1 && bad "a missing manifest is taken"
mkdir -p folder/sub
cp not.man folder/
cp "$TOP/testdata/fuzz/man/all" folder/sub/all.man
printf '<instrumentationManifest><broken>' >folder/broken.man
"$ETLIFT" events -v --manifest folder demo.img -o f.jsonl 2>err || bad "a folder with one broken manifest: status $?"
grep -q 'broken.man' err || bad "the broken one is not named: $(cat err)"
grep -q 'manifests: 1 files, 1 providers, 2 events' err || bad "folder: $(cat err)"

if [ -z "$DATA" ]; then
	echo "made files only; needs the shared data for the rest"
	exit $fail
fi
"$ETLIFT" --version | grep -q 'libexpat.*no' && { echo "built without libexpat"; exit 77; }
rate() { # FILE ARGS...: decoded and not decoded manifest events
	"$ETLIFT" events -v "${@:2}" "$1" -o out.jsonl 2>err || bad "$*: status $?"
	sed -n 's/^.*manifest: \([0-9]*\) decoded, \([0-9]*\) not$/\1 \2/p' err
}
all=0 left=0
for f in "$DATA"/etl/*.etl; do
	read -r a b < <(rate "$f")
	[ -n "${a:-}" ] || continue
	read -r c d < <(rate "$f" --manifest "$DATA/man" --manifest "$DATA/pe")
	printf '%-40s %6d of %6d without, %6d with manifests\n' "$(basename "$f")" "$a" $((a + b)) "$c"
	[ "$c" -ge "$a" ] || bad "$(basename "$f"): fewer with manifests"
	all=$((all + c + d)) left=$((left + d))
done
echo "with manifests: $((all - left)) of $all manifest events"
[ $((left * 100)) -le "$all" ] || bad "less than 99 of 100 are decoded"

"$ETLIFT" events --manifest "$DATA/man" "$DATA/etl/perfview-net.4.5.2.x64.etl" -o net.jsonl
/usr/bin/python3 - <<'PY' || fail=1
import collections, json
CLR, RUNDOWN = "Microsoft-Windows-DotNETRuntime", "Microsoft-Windows-DotNETRuntimeRundown"
n, bad, names = collections.Counter(), [], set()
for line in open("net.jsonl"):
    e = json.loads(line)
    d, k = e["data"], (e["provider"]["name"], e["event"]["id"])
    if e["kind"] != "manifest" or d is None:
        continue
    n[k] += 1
    if k == (RUNDOWN, 150) and not (len(d["ILOffsets"]) == len(d["NativeOffsets"]) == d["CountOfMapEntries"]):
        bad.append(line)
    if k == (CLR, 82) and (len(d["Stack"]) != d["FrameCount"] or any(not s.startswith("0x") for s in d["Stack"])):
        bad.append(line)
    if k == (CLR, 15):
        if len(d["Values"]) != d["Count"]:
            bad.append(line)
        names |= {v["Name"] for v in d["Values"]}
    if k[0] == "PerfView" and k[1] == 65534 and not d["Manifest"].startswith("<instrumentationManifest"):
        bad.append(line)
print(n[(RUNDOWN, 150)], "IL maps,", n[(CLR, 82)], "stacks,", n[(CLR, 15)], "type batches")
if (n[(RUNDOWN, 150)], n[(CLR, 82)]) != (16221, 14983) or bad:
    print("wrong:", n[(RUNDOWN, 150)], n[(CLR, 82)], bad[:2])
    raise SystemExit(1)
if not any(s.startswith("System.") for s in names) or sum(c for (p, _), c in n.items() if p == "PerfView") < 100:
    print("type names or PerfView's own events are missing")
    raise SystemExit(1)
PY
exit $fail
