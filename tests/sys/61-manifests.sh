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

# WPP: the image's messages have payloads of one repeated byte; number 10 comes with eight of them and with more, 24 with seven and with more
mkdir tmf
printf '// PDB:  made.pdb\r\n11111111-1111-1111-1111-111111111111 Made // SRC=Made.c MJ= MN=\r\n' >tmf/one.TMF
printf '#typev Made_c1 %s "%%0 [%%!FUNC!] %%10!d! and 0x%%11!08X!" //   LEVEL=TRACE_LEVEL_ERROR FLAGS=F FUNC=MadeIo\r\n{\r\na, ItemLong -- 10\r\nb, ItemLong -- 11\r\n}\r\n' 10 24 >>tmf/one.TMF
printf 'not looked at' >tmf/readme.txt
"$ETLIFT" events -v --tmf tmf demo.img -o w.jsonl 2>err || bad "--tmf: status $?"
grep -q 'trace message formats: 2' err || bad "--tmf: $(cat err)"
got=$(jq -c 'select(.kind=="wpp" and .event.id==10)|[.provider.name,.event.name,.data]' w.jsonl | sort)
want='["Made","MadeIo",null]
["Made","MadeIo",{"message":"[MadeIo] 168430090 and 0x0A0A0A0A","a":168430090,"b":"0xa0a0a0a"}]'
[ "$got" = "$want" ] || bad "WPP message: $got"
got=$(jq -c 'select(.kind=="wpp" and .event.id==24)|[.data,.reason,.payload[0:14]]' w.jsonl | sort)
want='[null,"the definition does not consume the payload","90909090909090"]
[null,"the payload ends inside a field","18181818181818"]'
[ "$got" = "$want" ] || bad "messages whose format does not fit: $got"
got=$(jq -r 'select(.kind=="wpp" and .event.id==3)|.reason' w.jsonl | sort -u)
[ "$got" = "no TMF for this message" ] || bad "a message without a format: $got"
"$ETLIFT" events --tmf not.man demo.img >/dev/null 2>&1 && bad "a text is taken for message formats"

if [ -z "$DATA" ]; then
	echo "made files only; needs the shared data for the rest"
	exit $fail
fi
"$ETLIFT" --version | grep -q 'libexpat.*no' && { echo "built without libexpat"; exit 77; }
rate() { # FILE ARGS...: decoded and not decoded manifest events
	"$ETLIFT" events -v "${@:2}" "$1" -o out.jsonl 2>err || bad "$*: status $?"
	sed -n 's/^.*manifest: \([0-9]*\) decoded, \([0-9]*\) not .*$/\1 \2/p' err
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

# the CLR's arrays and structs: by the catalogue alone, and by a manifest, with the same values
"$ETLIFT" events "$DATA/etl/perfview-net.4.5.2.x64.etl" -o net.jsonl
"$ETLIFT" events --manifest "$DATA/man" "$DATA/etl/perfview-net.4.5.2.x64.etl" -o given.jsonl
for e in 150 190; do
	diff <(jq -c "select(.event.id==$e and .kind==\"manifest\")|[.event.name,.data]" net.jsonl) <(jq -c "select(.event.id==$e and .kind==\"manifest\")|[.event.name,.data]" given.jsonl) >d.txt ||
		bad "catalogue and manifest differ on event $e: $(head -c 600 d.txt)"
done
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
