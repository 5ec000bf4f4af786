#!/usr/bin/env python3
"""check_pdb.py LLVM_PDBUTIL PDBDUMP FILE.pdb: types, members, symbols and section addresses as both read them. Exit status 1 on a difference."""
import re
import subprocess
import sys

util, dump, path = sys.argv[1:]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout


ours_types, ours_symbols, identity = [], [], None
for line in run(dump, path).splitlines():
    kind, rest = line.split(" ", 1)
    if kind == "G":
        identity = rest.split()
    elif kind == "T":
        name, size = rest.rsplit(" ", 1)
        ours_types.append((name, int(size), []))
    elif kind == "M":
        off, bit, bits, name = rest.split(" ", 3)
        ours_types[-1][2].append((int(off), int(bit), int(bits), name))
    elif kind == "S":
        segment, offset, rva, public, name = rest.split(" ", 4)
        ours_symbols.append((int(segment), int(offset), public == "P", name, int(rva)))
    else:
        sys.exit(f"{path}: {line}")

lists, bits, types, current = {}, {}, [], None
for line in run(util, "dump", "-types", path).splitlines():
    head = re.match(r"\s+0x([0-9A-F]+) \| (LF_\w+) \[size = \d+\](?: `(.*)`)?$", line)
    if head:
        index, kind = int(head[1], 16), head[2]
        current = {"index": index, "kind": kind, "name": head[3]}
        if kind == "LF_FIELDLIST":
            lists[index] = []
        if kind in ("LF_STRUCTURE", "LF_CLASS", "LF_UNION", "LF_INTERFACE"):
            types.append(current)
        continue
    if current is None:
        continue
    if current["kind"] == "LF_FIELDLIST":
        m = re.match(r"\s+- LF_MEMBER \[name = `(.*)`, Type = 0x([0-9A-F]+)(?: \(.*\))?, offset = (\d+), attrs", line)
        if m:
            lists[current["index"]].append((m[1], int(m[2], 16), int(m[3])))
        m = re.match(r"\s+- LF_INDEX continuation = 0x([0-9A-F]+)", line)
        if m:
            lists[current["index"]].append(int(m[1], 16))
    m = re.search(r"bit offset = (\d+), # bits = (\d+)", line)
    if m and current["kind"] == "LF_BITFIELD":
        bits[current["index"]] = (int(m[1]), int(m[2]))
    m = re.search(r"field list: (?:0x([0-9A-F]+)|<no type>)", line)
    if m and "fields" not in current:
        current["fields"] = int(m[1], 16) if m[1] else 0
    m = re.search(r"options: (.*)sizeof (\d+)", line)
    if m:
        current["forward"], current["size"] = "forward ref" in m[1], int(m[2])


def members(index):
    out = []
    for item in lists.get(index, []):
        if isinstance(item, int):
            out += members(item)
        else:
            out.append((item[2],) + bits.get(item[1], (0, 0)) + (item[0],))
    return out


theirs_types = [(t["name"], t["size"], members(t["fields"])) for t in types if not t["forward"]]
bad = 0
if ours_types != theirs_types:
    bad += 1
    for a, b in zip(ours_types, theirs_types):
        if a != b:
            print("types differ:", a[0], a[1], len(a[2]), "theirs", b[0], b[1], len(b[2]))
            break
    print(len(ours_types), len(theirs_types), "types")


def symbols(option, pattern):
    found, name = set(), None
    for line in run(util, "dump", option, path).splitlines():
        m = re.match(r"\s+\d+ \| (\w+) \[size = \d+\] `(.*)`$", line)
        if m:
            name = m[2] if re.match(pattern, m[1]) else None
        m = re.search(r"addr = (\d+):(\d+)", line)
        if m and name is not None:
            found.add((int(m[1]), int(m[2]), name))
            name = None
    return found


publics = symbols("-publics", "S_PUB32$")
data = symbols("-globals", "S_[GL]DATA32$")
sections = [int(x, 16) for x in re.findall(r"([0-9A-F]+) virtual address", run(util, "dump", "-section-headers", path))]
if publics != {(s, o, n) for s, o, p, n, _ in ours_symbols if p}:
    bad += 1
    print("publics differ")
if not data <= {(s, o, n) for s, o, p, n, _ in ours_symbols if not p}:
    bad += 1
    print("global data differ", list(data - {(s, o, n) for s, o, p, n, _ in ours_symbols if not p})[:3])
omap = "OMAP" in run(util, "dump", "-streams", path)
for segment, offset, _, name, rva in ours_symbols:
    want = sections[segment - 1] + offset if 0 < segment <= len(sections) else 0
    if not omap and rva != want:
        bad += 1
        print("address differs:", name, hex(rva), hex(want))
        break
summary = run(util, "dump", "-summary", path)
if identity[0] != re.search(r"GUID: \{(.*)\}", summary)[1].lower():
    bad += 1
    print("GUID differs")
print(f"{path.rsplit('/', 1)[-1]}: {len(ours_types)} types, {sum(len(t[2]) for t in ours_types)} members, {len(publics)} publics, {len(data)} data, {bad} differences")
sys.exit(bad != 0 or not ours_types or not publics)
