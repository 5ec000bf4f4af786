#!/usr/bin/env python3
"""Writes MIB of what memory is full of: programs, libraries, text and tables of this machine, a tenth of it noise: mixed.py MIB FILE"""
import os
import random
import sys

want = int(sys.argv[1]) << 20
rnd = random.Random(4)
with open(sys.argv[2], "wb") as out:
    n = 0
    files = []
    for top in ("/usr/lib", "/usr/bin", "/usr/share", "/etc"):
        for folder, subs, names in os.walk(top):
            subs.sort()
            files += [os.path.join(folder, f) for f in sorted(names)]
    rnd.shuffle(files)
    for path in files:
        if n >= want:
            break
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            b = f.read(1 << 20)
        b = b[: min(len(b), want - n) // 4096 * 4096]
        if rnd.random() < 0.1:
            b = rnd.randbytes(len(b))
        out.write(b)
        n += len(b)
