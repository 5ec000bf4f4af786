#!/usr/bin/env python3
"""Are two folders of .etl files the same, but for what only symbols give? etlsame.py [--no-speed] ONE OTHER

Of the header buffer the names and dates of the time zone, the boot time, the timer's resolution may differ; with --no-speed, that of the processors too
(without KDBG nothing leads to their blocks). Prints each difference; exit status 1 when
there is one."""
import os
import struct
import sys

bad = 0


def masked(b):
    size, = struct.unpack_from("<I", b, 0)
    wide = struct.unpack_from("<I", b, 0x68 + 0x2C)[0] == 8
    zone = 0x68 + (0x48 if wide else 0x40)
    head = bytearray(b[:size])
    head[zone + 4:zone + 172] = bytes(168)  # the bias itself stands
    head[zone + 176:zone + 184] = bytes(8)
    head[0x68 + 0x18:0x68 + 0x1C] = bytes(4)
    if no_speed:
        head[0x68 + 0x34:0x68 + 0x38] = bytes(4)
    return bytes(head) + b[size:]


no_speed = sys.argv[1] == "--no-speed"
one, other = sys.argv[-2:]
names = sorted(set(os.listdir(one)) | set(os.listdir(other)))
for n in names:
    try:
        a, b = (open(os.path.join(d, n), "rb").read() for d in (one, other))
    except FileNotFoundError as e:
        print(e)
        bad = 1
        continue
    a, b = masked(a), masked(b)
    if a != b:
        at = [i for i in range(min(len(a), len(b))) if a[i] != b[i]]
        print(n, "differs:", len(a), len(b), "first at", hex(at[0]) if at else "the end", "bytes:", len(at))
        bad = 1
print(len(names), "files")
sys.exit(bad)
