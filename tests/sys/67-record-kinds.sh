#!/usr/bin/env bash
# Every kind of record and every kind of extended item, as JSON lines have them: an .etl file is written here, byte by byte from docs/etl-format.md, with
# one record of each kind (those that no real file holds too), and each line is compared with what the record says. The same file to every other format,
# and every filter on every format.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
cat >make.py <<'PY'
import json, struct, sys, uuid
P, I, Q, H, B = struct.pack, "<I", "<Q", "<H", "<B"
T0, START, FREQ = 1000000, 133000000000000000, 10000000
GUID = uuid.UUID("11223344-5566-7788-99aa-bbccddeeff00")
ACT, REL, CTL, GRP = (uuid.UUID(int=n) for n in (0xa1 << 120 | 7, 0xb2 << 120 | 8, 0xc3 << 120 | 9, 0xd4 << 120 | 10))
now, want, out = [T0], [], b""


def tick():
    now[0] += 10
    return now[0]


def stamp(ts):
    t = START + (ts - T0) * 10000000 // FREQ
    import datetime
    d = datetime.datetime(1601, 1, 1) + datetime.timedelta(microseconds=t // 10)
    return d.strftime("%Y-%m-%dT%H:%M:%S.%f") + "%dZ" % (t % 10)


def add(rec, **facts):
    global out
    want.append(dict(facts, offset=72 + len(out)))
    out += rec + b"\0" * (-len(rec) % 8)


def system(kind, hook, payload, ts, version=2, compact=False):
    head = P("<HBBHHIIQ", version, kind, 0xc0, (0x18 if compact else 0x20) + len(payload), hook, 8, 4, ts)
    return head + (b"" if compact else P("<II", 3, 5)) + payload


def perf(kind, hook, payload, ts, version=2):
    return P("<HBBHHQ", version, kind, 0xc0, 16 + len(payload), hook, ts) + payload


def full(kind, opcode, payload, ts, extra=b""):
    return P("<HBBBBHIIQ", 0x30 + len(extra) + len(payload), kind, 0xc0, opcode, 3, 2, 8, 4, ts) + GUID.bytes_le + P("<II", 1, 2) + extra + payload


def item(kind, data, more):
    n = 8 + len(data)
    return P("<HHHH", n + -n % 8, kind, int(more), len(data)) + data + b"\0" * (-n % 8)


def event(kind, payload, ts, items=(), id=7, provider=GUID, keywords=0x8000000000000001, level=4):
    ext = b"".join(item(k, d, i + 1 < len(items)) for i, (k, d) in enumerate(items))
    head = P("<HBBHHIIQ", 0x50 + len(ext) + len(payload), kind, 0xc0, 1 if items else 0, 0, 8, 4, ts) + provider.bytes_le
    head += P("<HBBBBHQ", id, 1, 16, level, 10, 20, keywords) + P("<II", 1, 2) + ACT.bytes_le
    return head + ext + payload


def message(flags, ts, payload, number=12):
    body = b""
    if flags & 1:
        body += P(I, 77)
    if flags & 4:
        body += P(I, 88)
    elif flags & 2:
        body += GUID.bytes_le
    if flags & 8:
        body += P(Q, ts)
    if flags & 0x20:
        body += P("<II", 8, 4)
    return P("<HBBHH", 8 + len(body) + len(payload), 0, 0x90, number, flags) + body + payload


proc = P("<III", 4, 0, 1)
for kind, compact in ((1, False), (2, False), (3, True), (4, True)):
    ts = tick()
    ptr = P(I, 0x1000) if kind & 1 else P(Q, 0x1000)
    add(system(kind, 0x0e20, P(I, 1) + b"Abcd" + ptr * 2, ts, compact=compact), kind="system", id=0x0e20, pid=4, tid=8, ts=ts, name="Pool/Alloc",
        data={"PoolType": "0x1", "Tag": "Abcd", "NumberOfBytes": "0x1000", "Entry": "0x1000"})
for kind in (0x10, 0x11):
    ts = tick()
    ptr = P(I, 0x77777777) if kind == 0x10 else P(Q, 0xfffff80000000010)
    for version, extra in ((2, b""), (0x8002, P(Q, 1)), (0x0302, P(Q, 1) * 3), (0x8102, P(Q, 1) * 2)):
        add(perf(kind, 0x0f2e, extra + ptr + P("<IHH", 9, 1, 0), ts, version), kind="perfinfo", id=0x0f2e, pid=None, tid=None, ts=ts,
            name="PerfInfo/SampleProf", data={"InstructionPointer": "0x77777777" if kind == 0x10 else "0xfffff80000000010", "ThreadId": 9, "Count": 1, "Reserved": 0})
for kind in (0x0a, 0x14):
    ts = tick()
    add(full(kind, 33, b"raw!", ts), kind="mof", id=None, opcode=33, level=3, version=2, pid=4, tid=8, ts=ts, guid=str(GUID), data=None, payload=b"raw!".hex())
for kind in (0x0b, 0x15):
    for extra in (P("<II", 5, 6), P("<II", 5, 6) + REL.bytes_le):
        ts = tick()
        add(full(kind, 34, b"raw!", ts, extra), kind="mof", id=None, opcode=34, ts=ts, guid=str(GUID), instance=5, parent_instance=6, pid=4, tid=8, data=None,
            payload=b"raw!".hex())
ts = tick()
add(full(0x0d, 35, b"", ts, b"\0" * 0x20), kind="mof", id=None, opcode=35, ts=ts, guid=str(GUID), data=None, pid=4, tid=8)
sid = b"\1\2\0\0\0\0\0\5" + P("<II", 32, 544)
meta = b"\0" + b"Made\0" + b"Number\0\x08"
meta = P(H, 2 + len(meta)) + meta
traits = b"Maker\0" + P("<HB", 19, 1) + GRP.bytes_le
traits = P(H, 2 + len(traits)) + traits
for kind in (0x12, 0x13):
    wide = kind == 0x13
    ts = tick()
    add(event(kind, b"none", ts), kind="manifest", id=7, version=1, channel=16, level=4, opcode=10, task=20, keywords="0x8000000000000001", activity=str(ACT),
        related=None, sid=None, stack=None, pid=4, tid=8, ts=ts, data=None, payload=b"none".hex(), guid=str(GUID))
    items = [(1, REL.bytes_le), (2, sid), (3, P(I, 2)), (4, P("<II", 5, 6) + REL.bytes_le), (5, P("<QII", 1, 0x1000, 0x2000)) if not wide else
             (6, P("<QQQ", 1, 0xfffff80000001000, 0x7ff600002000)), (7, P(Q, 9)), (8, P(Q, 9) * 2), (9, b"psm"), (10, P(Q, 123)), (13, P(Q, 456)),
             (14, CTL.bytes_le), (15, P(Q, 789)), (16, b"container"), (12, traits), (200, b"what?")]
    stack = ["0x1000", "0x2000"] if not wide else ["0xfffff80000001000", "0x7ff600002000"]
    ts = tick()
    facts = dict(related=str(REL), sid="S-1-5-32-544", terminal_session=2, instance=5, parent_instance=6, stack=stack, psm_key=b"psm".hex(), event_key=123,
                 process_start_key=456, control_guid=str(CTL), qpc_delta=789, container_id=b"container".hex(), provider_group=str(GRP), provider="Maker", ts=ts)
    add(event(kind, b"none", ts, items), kind="manifest", id=7, data=None, **facts)
    ts = facts["ts"] = tick()
    add(event(kind, P(I, 42), ts, items + [(11, meta)]), kind="tracelogging", id=7, name="Made", data={"Number": 42}, **facts)
for flags in (0x00, 0x01, 0x02, 0x04, 0x06, 0x08, 0x20, 0xaa, 0x6a, 0xaf, 0x2b):
    ts = tick()
    add(message(flags, ts, b"args"), kind="wpp", id=12, ts=ts if flags & 8 else None, pid=4 if flags & 0x20 else None, tid=8 if flags & 0x20 else None,
        guid=str(GUID) if flags & 6 == 2 else None, wpp_flags=flags, wpp_sequence=77 if flags & 1 else None, wpp_component=88 if flags & 4 else None, data=None,
        payload=b"args".hex())

SIZE = 65536
name = "made\0".encode("utf-16le")
log = P("<IBBBBIIQIIIIIIIIQQ", SIZE, 10, 0, 1, 5, 19041, 2, START + 100000000, 156250, 0, 1, 2, 1, 8, 0, 3000, 0, 0)
log += b"\0" * 0xb0 + P("<QqqII", START - 50000000, FREQ, START, 1, 0)
assert len(log) == 0x118
first = system(2, 0, log + name + name, T0)


def buffer(n, data, last_ts, kind):
    used = 72 + len(data)
    head = P("<IIIIqqQHHIIHH16s", SIZE, used, used, 0, last_ts, n, 0, 0, 5, 3, used, 0x21, kind, b"")
    return head + data + b"\xff" * (SIZE - used)


open("kinds.etl", "wb").write(buffer(0, first + b"\0" * (-len(first) % 8), 0, 4) + buffer(1, out, now[0], 0))
for w in want:
    w["time"] = stamp(w.pop("ts")) if w.get("ts") else (w.pop("ts", None), None)[1]
json.dump(want, open("want.json", "w"))
PY
/usr/bin/python3 make.py || exit 1
"$ETLIFT" events kinds.etl -o kinds.jsonl || bad "status $?"
/usr/bin/python3 - <<'PY' || fail=1
import json
want, bad, seen = json.load(open("want.json")), 0, {}
lines = [json.loads(l) for l in open("kinds.jsonl")]
for e in lines:
    if e["source"]["buffer"] == "0x10000":
        seen[e["source"]["offset"]] = e
if len(seen) != len(want) or lines[0]["event"]["name"] != "EventTrace/Header" or lines[0]["data"]["LoggerName"] != "made":
    bad += 1
    print(len(seen), "of", len(want), "records;", lines[0]["event"], lines[0]["data"])
TOP = {"kind", "time", "pid", "tid", "activity", "related", "sid", "stack", "data", "payload", "terminal_session", "instance", "parent_instance", "psm_key",
       "event_key", "process_start_key", "control_guid", "qpc_delta", "container_id", "provider_group", "wpp_flags", "wpp_sequence", "wpp_component"}
for w in want:
    e = seen.get(w["offset"])
    if not e:
        bad += 1
        print("not there:", w)
        continue
    for k, v in w.items():
        got = e["provider"]["guid"] if k == "guid" else e["provider"]["name"] if k == "provider" else e["source"]["offset"] if k == "offset" else \
            e.get(k) if k in TOP else e["event"][k]
        if got != v:
            bad += 1
            print(e["kind"], hex(w["offset"]), k, got, "is not", v)
    if e["cpu"] != 0 or (e["data"] is None and not e["reason"]):
        bad += 1
        print("cpu or reason", e)
print(len(want), "records,", bad, "differences")
raise SystemExit(bad != 0)
PY
/usr/bin/python3 "$TOP/tests/validate_lines.py" "$TOP/docs/event.schema.json" kinds.jsonl >/dev/null 2>&1 || /usr/bin/python3 "$TOP/tests/validate_lines.py" "$TOP/docs/event.schema.json" kinds.jsonl || bad "the lines do not fit their schema"
# an argument that is no UTF-8 is still a line of JSON
cp kinds.etl "$(printf 'n\303\244me\377.etl')" && "$ETLIFT" events "$(printf 'n\303\244me\377.etl')" | jq -e . >/dev/null || bad "a file name that is no UTF-8"

# filters: each leaves the same events in each format
count() { # FORMAT ARGS...: events written
	local f=$1
	shift
	"$ETLIFT" events kinds.etl --format "$f" "$@" -o "out.$f" 2>err || { bad "$f $*: status $?"; return; }
	case $f in
	jsonl | timesketch) wc -l <out."$f" ;;
	csv) /usr/bin/python3 -c 'import csv; print(sum(1 for _ in csv.reader(open("out.csv", newline=""))) - 1)' ;;
	xml) grep -o '<Event ' out.xml | wc -l ;;
	evtx) if command -v evtxexport >/dev/null; then evtxexport out.evtx 2>/dev/null | grep -c '^Event number'; else echo skip; fi ;;
	esac
}
since=$(jq -r 'select(.kind=="tracelogging").time' kinds.jsonl | head -1)
n_filters=0
while read -r pick args; do
	eval "args=($args)"
	all=$(jq -c "select($pick)" kinds.jsonl | wc -l)
	timed=$(jq -c "select(($pick) and .time!=null)" kinds.jsonl | wc -l)
	[ "$all" -gt 0 ] || bad "no event for: ${args[*]}"
	for f in jsonl csv xml evtx timesketch; do
		n=$(count $f "${args[@]}")
		w=$all
		[ $f != timesketch ] || w=$timed
		[ "$n" = "$w" ] || [ "$n" = skip ] || bad "$f ${args[*]}: $n, not $w"
	done
	n_filters=$((n_filters + 1))
done <<EOF2
.provider.guid=="11223344-5566-7788-99aa-bbccddeeff00" --provider 11223344-5566-7788-99AA-bbccddeeff00
.provider.name=="Maker" --provider 'mak*'
.pid==4 --pid 4
.tid==8 --tid 8
.event.id==12 --event 12
.event.id==12or.event.id==7 --event 12 --event 7
(.event.level!=null)and(.event.level<=3) --level 3
(.data|type)=="object"and.data.Number==42 --match 'Number=4*'
(.data|type)=="object"and.data.Tag=="Abcd" --match Tag=Abcd
(.time!=null)and(.time>="$since") --since $since
(.time!=null)and(.time<"$since") --until $since
.session=="made" --session made
.session=="made" --session 5
.session=="made"and.kind=="tracelogging"and.pid==4 --session 'ma*' --match 'Number=42' --pid 4
EOF2
[ "$("$ETLIFT" events kinds.etl --session other | wc -l)" = 0 ] || bad "--session of another name"
[ "$n_filters" = 14 ] || bad "$n_filters filters"
"$ETLIFT" events kinds.etl --raw | jq -e 'select(.payload==null)' >/dev/null && bad "--raw: a line without payload"
[ -x "$ETLIFT_SAN" ] && { "$ETLIFT_SAN" events kinds.etl >/dev/null || bad "under sanitizers"; }
exit $fail
