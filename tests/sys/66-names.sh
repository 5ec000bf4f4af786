#!/usr/bin/env bash
# process_name and file_name: each as the trace's own starts, ends and rundowns have it, worked out here a second time from the JSON lines; the process lists of
# two real traces are complete.
set -u
[ -n "$DATA" ] || { echo "needs the shared data"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
for f in tx-Process perfview-net.4.5.2.x64 perfview-diaghub.kernel.1 sawbuck-process_data_64_v2 etlparser-ShutdownPerfDiagLogger; do
	"$ETLIFT" events "$DATA/etl/$f.etl" -o "$f.jsonl" || fail=1
done
/usr/bin/python3 - <<'PY' || fail=1
import bisect, glob, json, sys
PROC, FILE = "3d6fa8d0-fe05-11d0-9dda-00c04fd7ba7c", "90cbdc39-4a3e-11d1-84f4-0000f80464e3"
KPROC, KFILE = "22fb2cd6-0e7b-422b-a0c7-2fad1fd0e716", "edd08927-9cc4-4e65-b970-c2560fb5c289"
bad = 0
floor = {"tx-Process": (2500, 0), "perfview-net.4.5.2.x64": (80000, 1000), "perfview-diaghub.kernel.1": (16000, 0), "etlparser-ShutdownPerfDiagLogger": (17000, 0)}


def value(v):
    return int(v, 16) if isinstance(v, str) else v


def told(e):
    """(space, key, name, how it holds) of an event that tells a name"""
    d, g, ev = e["data"], e["provider"]["guid"], e["event"]
    if not d or not e["time"]:
        return None
    if g == PROC or g == FILE:
        n = ev["opcode"] if e["kind"] == "mof" else ev["id"] & 255
        if g == PROC and n in (1, 2, 3, 4, 39):
            return "p", value(d["ProcessId"]), d["ImageFileName"], {1: "from", 2: "until", 39: "until"}.get(n, "around")
        if g == FILE and n in (0, 32, 35, 36):
            return "k", value(d["FileObject"]), d["FileName"], {32: "from", 35: "until"}.get(n, "around")
        if g == FILE and n == 64:
            return "o", value(d["FileObject"]), d["OpenPath"], "from"
    if e["kind"] == "manifest" and g == KPROC and ev["id"] in (1, 2, 15):
        return "p", value(d["ProcessID"]), d.get("ImageName", ""), {1: "from", 2: "until"}.get(ev["id"], "around")
    if e["kind"] == "manifest" and g == KFILE and ev["id"] in (10, 11, 12):
        return "o" if ev["id"] == 12 else "k", value(d["FileKey" if ev["id"] < 12 else "FileObject"]), d["FileName"], "until" if ev["id"] == 11 else "from"
    return None


for name in sorted(glob.glob("*.jsonl")):
    events = [json.loads(l) for l in open(name)]
    known = {}
    for i, e in enumerate(events):
        t = told(e)
        if t and t[2]:
            known.setdefault(t[:2], []).append((e["time"], i, t[2], t[3]))

    def at(space, key, time):
        rows = known.get((space, key), [])
        i = bisect.bisect_right([r[0] for r in rows], time)
        if i and (rows[i - 1][3] != "until" or rows[i - 1][0] == time):
            return rows[i - 1][2]
        return rows[i][2] if i < len(rows) and rows[i][3] != "from" else None

    procs = files = 0
    for e in events:
        d = e["data"] or {}
        pid = e["pid"]
        if pid is None or pid == 0xffffffff:
            pid = value(d["ProcessId"]) if isinstance(d.get("ProcessId"), int) else d.get("PID")
        want = at("p", pid, e["time"]) if e["time"] and pid is not None else None
        path = None
        if e["time"] and "FileName" not in d and "OpenPath" not in d:
            for field, space in (("FileKey", "k"), ("FileObject", "o"), ("FileObject", "k")):
                if field in d and path is None:
                    path = at(space, value(d[field]), e["time"])
        procs, files = procs + (want is not None), files + (path is not None)
        if e.get("process_name") != want or e.get("file_name") != path:
            bad += 1
            if bad < 10:
                print(name, e["source"], e.get("process_name"), want, e.get("file_name"), path)
    stem = name[:-6]
    least = floor.get(stem, (0, 0))
    unnamed = [e for e in events if (e["provider"]["guid"] == PROC and e["event"]["name"] in ("Process/Start", "Process/DCStart", "Process/End", "Process/DCEnd") or
                                     e["provider"]["guid"] == KPROC and e["event"]["id"] in (1, 2)) and not (told(e) and told(e)[2])]
    print(stem, len(known), "things named;", procs, "events with a process name,", files, "with a file name;", len(unnamed), "processes without a name")
    bad += procs < least[0] or files < least[1] or len(unnamed) > 0
sys.exit(bad != 0)
PY
exit $fail
