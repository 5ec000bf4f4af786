#!/usr/bin/env python3
"""layouts2isf.py etw-layouts.json OUTDIR: structure tables of kernels without public symbols here, as ISF files for `etlift profile make`.

One file per table: OUTDIR/VERSION-ARCH.json, and a line in OUTDIR/list.tsv: file, version, os, source. Only Windows XP and
later. Three kinds:
 - tables of vergilius-rs: RTM and other kernels, x64 and x86;
 - 26100 x64: the context from a published layout; the other ETW types as in 22631, whose sizes a public article gives as unchanged; the four
   _EPROCESS members from public facts (System Informer's kphdyn.xml, a public 24H2 header). Proved on the image before use, as all of these;
 - ARM64: the ETW and object-manager types of the x64 tables (same member order in every ARM64 listing; checked on a real 22000 dump), without
   those that depend on the processor; _EPROCESS.ObjectTable from kphdyn.xml.
"""
import json
import os
import sys

MACHINE = {"x64": 34404, "x86": 332, "arm64": 43620}
ARRAYS = {("_ETW_SILO_TRACING_BLOCK", "ProcessorBuffers"), ("_ETW_SILODRIVERSTATE", "WmipLoggerContext")}
NOT_ON_ARM64 = {"_EPROCESS", "_KPROCESS", "_ETHREAD", "_KTHREAD", "_EJOB", "_KPRCB", "_KPCR", "_PEB", "_MI_HARDWARE_STATE", "_MMPTE_SOFTWARE",
                "_MMPTE_TRANSITION", "_MMPTE_PROTOTYPE", "_MMPTE", "_MMPTE_HARDWARE", "_MMPTE_LIST", "_MMPTE_SUBSECTION", "_MMPTE_TIMESTAMP"}
ARM64_OBJECT_TABLE = {16299: 0x3C0, 17134: 0x3C0, 17763: 0x3C8, 18362: 0x3D0, 19041: 0x528, 20348: None, 22000: 0x528, 22621: 0x528, 22631: 0x528,
                      26100: 0x2F0}
VG = "vergilius-rs (Apache-2.0)"


def build_of(version):
    return int(version.split(".")[2])


def member_type(type_name, member, pointer):
    name, _, size = member[:3]
    if len(member) == 5:
        return {"kind": "bitfield", "bit_position": member[3], "bit_length": member[4], "type": {"kind": "base", "name": f"u{size}"}}
    if (type_name, name) in ARRAYS and size > pointer:
        return {"kind": "array", "count": size // pointer, "subtype": {"kind": "pointer"}}
    if size in (1, 2, 4, 8):
        return {"kind": "base", "name": f"u{size}"}
    return {"kind": "array", "count": size, "subtype": {"kind": "base", "name": "u1"}}


def isf(types, arch):
    pointer = 4 if arch == "x86" else 8
    user = {}
    for name, layout in types.items():
        fields = {m[0]: {"offset": m[1], "type": member_type(name, m, pointer)} for m in layout["members"]}
        user[name] = {"kind": "struct", "size": layout["size"], "fields": fields}
    base = {f"u{n}": {"size": n, "kind": "int", "signed": False, "endian": "little"} for n in (1, 2, 4, 8)}
    base["pointer"] = {"size": pointer, "kind": "int", "signed": False, "endian": "little"}
    metadata = {"format": "6.1.0", "windows": {"pdb": {"machine_type": MACHINE[arch]}}}
    return {"metadata": metadata, "base_types": base, "user_types": user, "enums": {}, "symbols": {}}


def main():
    data = json.load(open(sys.argv[1]))
    out = sys.argv[2]
    os.makedirs(out, exist_ok=True)
    lines = []

    def types_of(table):
        return {n: data["layouts"][n][table["arch"]][str(i)] for n, i in table["layouts"].items()}

    def put(types, arch, version, os_name, source):
        file = f"{version}-{arch}.json"
        with open(os.path.join(out, file), "w") as f:
            json.dump(isf(types, arch), f, sort_keys=True)
        lines.append(f"{file}\t{version}\t{os_name}\t{source}\n")

    def put_arm64(types, version, os_name):
        table = ARM64_OBJECT_TABLE.get(build_of(version))
        kept = {n: t for n, t in types.items() if n not in NOT_ON_ARM64}
        if table:
            kept["_EPROCESS"] = {"size": 0, "members": [["ObjectTable", table, 8]]}
            put(kept, "arm64", version, os_name, "the ETW types of x64 (same order on ARM64); ObjectTable: kphdyn.xml (MIT)")

    late = {}
    for table in sorted(data["tables"], key=lambda t: [int(x) for x in t["version"].split(".")]):
        if build_of(table["version"]) < 2600:
            continue
        types = types_of(table)
        if table["source"] == "vergilius-rs":
            put(types, table["arch"], table["version"], table["os"], VG)
            if table["version"] == "10.0.22631.2428":
                late = types
        if table["arch"] == "x64" and build_of(table["version"]) >= 16299 and len(types) > 50:
            put_arm64(types, table["version"], table["os"])
    context = [types_of(t) for t in data["tables"] if t["version"] == "10.0.26100.0"][0]
    moved = {"_EPROCESS", "_KPROCESS", "_ETHREAD", "_KTHREAD", "_EJOB", "_PEB", "_MI_HARDWARE_STATE", "_ESERVERSILO_GLOBALS", "_ETW_STACK_TRACE_BLOCK"}
    types = {n: t for n, t in late.items() if n not in moved}
    types.update(context)
    put_arm64(types, "10.0.26100.0", "Win11 24H2/25H2")
    types["_EPROCESS"] = {"size": 0, "members": [["UniqueProcessId", 0x1D0, 8], ["ActiveProcessLinks", 0x1D8, 16], ["ObjectTable", 0x300, 8],
                                                 ["ImageFileName", 0x338, 15]]}
    types["_KPROCESS"] = {"size": 0, "members": [["DirectoryTableBase", 0x28, 8]]}
    types["_ESERVERSILO_GLOBALS"] = {"size": 0, "members": [["EtwSiloState", 0x360, 8]]}
    put(types, "x64", "10.0.26100.0", "Win11 24H2/25H2", "partial: context as published for 24H2, other ETW types as 22631, _EPROCESS from kphdyn.xml (MIT)")
    with open(os.path.join(out, "list.tsv"), "w") as f:
        f.writelines(lines)


main()
