#!/usr/bin/env bash
# The two real crash dumps: sessions and events as known, and every record of every .etl byte for byte as in the dump's ETW block, nothing else: by
# an independent walk of the block (docs/live-buffers.md) and an independent reader of the files.
set -u
[ -n "$DATA" ] || { echo "needs the shared data: \$ETLIFT_DATA"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
for a in x64 arm64; do
	"$ETLIFT" recover -q "$DATA/triage/triage_$a.dmp" -o $a || { echo "recover $a: status $?"; fail=1; }
	"$ETLIFT" check -q $a/sessions/*.etl >/dev/null || { echo "check refuses a file of $a"; fail=1; }
done
jq -e '(.sessions|length)==3 and ([.sessions[]|select(.etl)|[.name,.etl.events]]==[["EventLog-System",107]])' x64/report.json >/dev/null || { echo "x64: other sessions"; fail=1; }
jq -e '(.sessions|length)==4 and ([.sessions[]|select(.etl)|[.name,.etl.events]]|sort==[["CldFltLog",1],["EventLog-System",23],["WiFiSession",5513]])' arm64/report.json >/dev/null || { echo "arm64: other sessions"; fail=1; }
/usr/bin/python3 - "$DATA/triage" <<'PY' || fail=1
import collections, json, os, struct, sys, uuid
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
import refetl
bad = 0
for arch in ("x64", "arm64"):
    d = open(os.path.join(sys.argv[1], "triage_%s.dmp" % arch), "rb").read()
    off = struct.unpack_from("<I", d, 0x2004)[0] + 16
    want = {}
    while off + 32 <= len(d) and struct.unpack_from("<I", d, off)[0] == 32:
        size, pre, post = struct.unpack_from("<III", d, off + 20)
        data = off + 32 + pre
        if str(uuid.UUID(bytes_le=d[off + 4:off + 20])) == "2b88b710-1c93-4f7c-b06c-655ecc50decc":
            freq, = struct.unpack_from("<Q", d, data + 24)
            p, end = data + 32, data + size
            while p < end:
                if struct.unpack_from("<I", d, p)[0] == 0x01EBAFE1:
                    sid, mode, clock, bs, n = struct.unpack_from("<IIIII", d, p + 4)
                    ref, refclock = struct.unpack_from("<qQ", d, p + 32)
                    cur = want.setdefault(sid, ([], clock, ref, refclock, freq))[0]
                    q = p + 48 + n
                    p = q if struct.unpack_from("<I", d, q)[0] in (bs, 0x01EBAFE1) else q + n
                else:
                    n = struct.unpack_from("<I", d, p + 0x30)[0] or struct.unpack_from("<I", d, p + 8)[0]
                    cur.append([(r.bytes, r.ts) for r in refetl.records(d[p:p + n], n)])
                    p += n
        off = data + size + post
    for s in json.load(open(arch + "/report.json"))["sessions"]:
        bufs, clock, ref, refclock, freq = want.pop(s["id"])
        bufs = sorted(tuple(b) for b in bufs if b)
        if not bufs:
            if s["etl"] is not None:
                bad += 1; print(arch, s["id"], "has a file")
            continue
        f = refetl.read(os.path.join(arch, s["etl"]["path"]))
        got = sorted(tuple((r.bytes, r.ts) for r in b.records) for b in f.buffers[1:])
        if got != bufs:
            bad += 1; print(arch, s["id"], "records differ")
        for b in f.buffers[1:]:
            for r in b.records:
                t = r.ts if clock == 2 else ref + (r.ts - refclock) * 10000000 // freq
                if r.ts is not None and refetl.time(f, r.ts) != t:
                    bad += 1; print(arch, s["id"], "time differs")
    if want:
        bad += 1; print(arch, "sessions are missing:", sorted(want))
print(bad, "differences")
sys.exit(bad != 0)
PY
exit $fail
