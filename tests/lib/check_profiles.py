#!/usr/bin/env python3
"""check_profiles.py DATA TOP COMMAND...: every kernel of DATA against what `COMMAND show NAME --json` says.

Independent of the program: reads etw-layouts.json, kernel-symbols.tsv and the ISF tables themselves. Exit status 1 and a line per difference."""
import json
import lzma
import os
import re
import subprocess
import sys

PARTIAL = {"_EPROCESS", "_KPROCESS", "_ETHREAD", "_KTHREAD", "_KPCR", "_KPRCB", "_ESERVERSILO_GLOBALS", "_PEB", "_EJOB"}  # wanted members only
data, top, command = sys.argv[1], sys.argv[2], sys.argv[3:]
fields = open(os.path.join(top, "src/kstructs/fields.def")).read()
types = dict(re.findall(r'TYPE\((\w+), "(\w+)"\)', fields))
members = [(types[t], m) for t, m in re.findall(r'FIELD\(\w+, (\w+), "(\w+)"\)', fields)]
symbols = re.findall(r'SYMBOL\(\w+, "(\w+)"\)', open(os.path.join(top, "src/kstructs/symbols.def")).read())
layouts = json.load(open(os.path.join(data, "etw-layouts.json")))
tables = {t["guid_age"]: t for t in layouts["tables"] if t["guid_age"]}
lines = [line.rstrip("\n").split("\t") for line in open(os.path.join(data, "kernel-symbols.tsv"))]
bad = checked_members = checked_symbols = 0


def complain(*what):
    global bad
    bad += 1
    print(*what)


def shown(doc, type_name, member):
    m = doc["types"].get(type_name, {}).get("members", {}).get(member)
    return m and (m["offset"], m.get("bit"), m.get("bits"))


for row in lines[1:]:
    guid_age, version = row[0], row[1]
    build = version.split(".")[2]
    name = f"{build}-x64/ntkrnlmp.pdb-{guid_age}"
    run = subprocess.run(command + ["show", name, "--json"], capture_output=True, text=True, check=False)
    if run.returncode:
        complain(name, run.stderr.strip())
        continue
    doc = json.loads(run.stdout)
    if doc["name"] != name or doc["version"] != version or doc["build"] != int(build) or doc["pdb"]["age"] != int(guid_age.split("-")[1]):
        complain(name, "identity", doc["name"], doc["version"])
    facts = {n: layouts["layouts"][n]["x64"][str(i)] for n, i in tables[guid_age]["layouts"].items()}
    isf = json.load(lzma.open(os.path.join(data, "isf-reduced", guid_age + ".json.xz")))
    for type_name in types.values():
        sizes = {s for s in (facts.get(type_name, {}).get("size"), isf["user_types"].get(type_name, {}).get("size")) if s}
        got = doc["types"].get(type_name, {}).get("size")
        if (got is None and sizes) or (got is not None and sizes != {got}):
            complain(name, type_name, "size", got, sizes)
    for type_name, member in members:
        got = shown(doc, type_name, member)
        want = None
        x = isf["user_types"].get(type_name, {}).get("fields", {}).get(member)
        if x:
            bits = x["type"] if x["type"]["kind"] == "bitfield" else {}
            want = (x["offset"], bits.get("bit_position"), bits.get("bit_length"))
        if got != want:
            complain(name, type_name, member, "ISF", want, "shown", got)
        if type_name in facts:
            fact = [m for m in facts[type_name]["members"] if m[0] == member]
            want = (fact[0][1],) + (tuple(fact[0][3:5]) if len(fact[0]) == 5 else (None, None)) if fact else None
            if got != want and not (want is None and type_name in PARTIAL):
                complain(name, type_name, member, "layouts", want, "shown", got)
        checked_members += got is not None
    for symbol in symbols:
        got = doc["symbols"].get(symbol)
        if symbol in lines[0]:
            want = row[lines[0].index(symbol)] or None
            if got != want:
                complain(name, symbol, "symbols.tsv", want, "shown", got)
        x = isf["symbols"].get(symbol)
        want = hex(x["address"]) if x and x["address"] else None
        if got != want:
            complain(name, symbol, "ISF", want, "shown", got)
        checked_symbols += got is not None
print(f"{len(lines) - 1} kernels, {checked_members} members, {checked_symbols} symbols, {bad} differences")
sys.exit(bad != 0 or len(lines) != 214)
