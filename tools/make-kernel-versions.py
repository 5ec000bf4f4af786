#!/usr/bin/env python3
"""Makes data/kernel-versions.txt: one line "TIMESTAMP SIZE ARCH VERSION" for each known kernel file, sorted.

usage: make-kernel-versions.py KPHDYN.xml > data/kernel-versions.txt

TIMESTAMP and SIZE (hexadecimal) are TimeDateStamp and SizeOfImage of the PE header, ARCH is x64, x64-la57 or arm64. A pair that two versions share
names both. NOTICE says where the facts come from."""
import re
import sys
import xml.etree.ElementTree as ET

ARCH = {("amd64", "ntoskrnl.exe"): "x64", ("amd64", "ntkrla57.exe"): "x64-la57", ("arm64", "ntoskrnl.exe"): "arm64"}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    known = {}
    for d in ET.parse(sys.argv[1]).getroot().iter("data"):
        arch = ARCH.get((d.get("arch"), d.get("file")))
        if not arch:
            continue  # another driver
        if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", d.get("version")):
            sys.exit("not a version: " + d.get("version"))
        key = (int(d.get("timestamp"), 16), int(d.get("size"), 16), arch)
        known.setdefault(key, set()).add(tuple(int(n) for n in d.get("version").split(".")))
    print("# Kernel files by the time stamp and size in their PE header: made by tools/make-kernel-versions.py")
    for (time, size, arch), versions in sorted(known.items()):
        print("%08x %x %s %s" % (time, size, arch, " or ".join(".".join(map(str, v)) for v in sorted(versions))))


if __name__ == "__main__":
    main()
