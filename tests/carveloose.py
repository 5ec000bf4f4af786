#!/usr/bin/env python3
"""Buffers whose header page is lost: carveloose.py IMAGE TRUTH.json ETLIFT SCRATCH

The first page of every buffer that only its shape leads to is written over. recover --loose must give each record that its other pages tell by themselves, once,
at the place where it stood, within a minute of its time where a time is claimed, and no record that never was.
"""
import collections
import json
import os
import subprocess
import sys

from carvecmp import MINUTE, records

PAGE = 4096
image, truth, etlift, scratch = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3], sys.argv[4]
all_sessions = truth["sessions"] + [o["session"] for o in truth["orphans"]]
known = {r["fnv"]: r["time"] for s in all_sessions for b in s["buffers"] for r in b["records"] + b["old"]}
want, pages = {}, {}
hurt = os.path.join(scratch, "headless.img")
subprocess.run(["cp", image, hurt], check=True)
with open(hurt, "r+b") as f:
    for o in truth["orphans"]:
        for b in o["session"]["buffers"]:
            pas = [int(p, 16) for p in b["pages"]]
            if len(pas) < 2 or not all(pas) or int(b["pa"], 16) % PAGE:
                continue
            f.seek(pas[0])
            f.write(b"\xcc" * PAGE)
            inside = collections.defaultdict(list)
            for r in b["records"]:
                if r["off"] // PAGE == (r["off"] + r["size"] - 1) // PAGE and not r["lost"]:
                    inside[r["off"] // PAGE].append(r)
            last = max(inside, default=0)
            for k, rs in inside.items():
                if k and len(rs) >= (8 if k == last else 4):
                    for r in rs:
                        want[r["fnv"]] = r
                        pages.setdefault(r["fnv"], set()).add(pas[k])
out = os.path.join(scratch, "headless")
subprocess.run([etlift, "recover", "-q", "--loose", hurt, "-o", out], check=True)
report = json.load(open(out + "/report.json"))
bad, have, at = [], collections.Counter(), set()
for o in report["orphans"]:
    if o["origin"] != "loose":
        continue
    if o["id"] is not None or any(b[k] is not None for b in o["buffers"] for k in ("cpu", "flags", "sequence")):
        bad.append("something is told that only a header tells")
    for fnv, t in records(os.path.join(out, o["etl"]["path"])):
        have[fnv] += 1
        if fnv not in known:
            bad.append("a record that never was")
        elif o["time_anchor"]["sure"] != "unknown" and abs(t - known[fnv]) > MINUTE:
            bad.append("%s: %d and not %d" % (o["time_anchor"], t, known[fnv]))
    at |= {int(b["pa"], 16) + PAGE * k for b in o["buffers"] for k in range(b["used_bytes"] // PAGE + 1)}
rest = {fnv for o in report["orphans"] if o["origin"] != "loose" and o["etl"] for fnv, _ in records(os.path.join(out, o["etl"]["path"]))}
bad += ["twice"] * sum(n > 1 for n in have.values()) + ["in a buffer too"] * sum(f in rest for f in have)
bad += ["missing"] * sum(f not in have and f not in rest for f in want)
bad += ["at no page of its own"] * sum(not (p & at) for f, p in pages.items() if f in have)
print("%d records in pages whose buffer lost its header: %d came back; %d more; %d wrong: %s" %
      (len(want), sum(f in have for f in want), len(set(have) - set(want)), len(bad), dict(collections.Counter(bad[:5]))))
sys.exit(1 if bad or not want else 0)
