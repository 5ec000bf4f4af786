#!/usr/bin/env python3
"""Writes the seeds of fuzz_vm and fuzz_find beside itself (input formats: fuzz/fuzz_vm.c, fuzz/fuzz_find.c)."""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def put(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as f:
        f.write(data)


def vm(name, fmt, flags, root, va, words, size=0x7000, width="<Q"):
    mem = bytearray(size)
    for at, value in words:
        struct.pack_into(width, mem, at, value)
    put("vm", name, struct.pack("<BBHQQ", fmt, flags, 0x200, root, va) + bytes(mem))


# software PTEs: transition, pagefile 0 page 2, prototype at address 5000, demand zero, large page
SOFT = [(0x4000, 0x5067), (0x4008, 0x6890), (0x4010, 0x0000000200000090), (0x4018, (0x5000 << 16) | 0x490), (0x4020, 0x80)]
vm("x64", 0, 1, 0x1000, 0x0, [(0x1000, 0x2067), (0x1F68, 0x1063), (0x2000, 0x3067), (0x3000, 0x4067), (0x3008, 0xE7)] + SOFT)
vm("la57", 1, 5, 0x1000, 0x0, [(0x1000, 0x2067), (0x2000, 0x3067), (0x3000, 0x4067), (0x4000, 0x5067), (0x5000, 0x6067)])
vm("x86", 2, 2, 0x1000, 0x1000, [(0x1000, 0x2067), (0x1004, 0xE7), (0x2000, 0x3067), (0x2004, 0x4880), (0x2008, 0x2086)], width="<I")
vm("pae", 3, 0, 0x1020, 0x0, [(0x1020, 0x2001), (0x1028, 0x3001), (0x2000, 0x4067), (0x2008, 0xE7)] + SOFT)
vm("arm64", 4, 1, 0x1000, 0x0, [(0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x4003), (0x3008, 0x741), (0x4000, 0x5743)])
vm("selfmap", 0, 1, 0x1000, 0x0, [(0x1000 + 8 * i, 0x1063) for i in range(0, 512, 2)], 0x3000)


def change(page, off, kind, arg):
    return struct.pack("<HHB", page, off, kind) + struct.pack("<I", arg)[:3]


for flags in range(8):
    put("find", "sound-%d" % flags, bytes([flags]))
put("find", "root-entry", b"\x04" + change(0, 0xF18, 0xA0, 0))
put("find", "no-kuser", b"\x00" + b"".join(change(p, 0x26C & 0xFF8, 0xFF, 0) for p in range(330, 336)))
put("find", "many", b"\x03" + b"".join(change(p, (p * 40) & 0xFF8, 0x80 + p % 0x20, p * 4096) for p in range(1, 60)))
