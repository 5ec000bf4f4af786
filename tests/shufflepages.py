#!/usr/bin/env python3
"""Only the pages of an image's buffers, shuffled: shufflepages.py IMAGE TRUTH.json OUT SEED. No kernel is left, no page table, no order."""
import json
import random
import sys

image, truth = open(sys.argv[1], "rb"), json.load(open(sys.argv[2]))
pages = set()
for s in truth["sessions"] + [o["session"] for o in truth["orphans"]]:
    for b in s["buffers"]:
        pages.update(int(p, 16) for p in b["pages"] if int(p, 16))
pages = sorted(pages)
rng = random.Random(int(sys.argv[4]))
rng.shuffle(pages)
with open(sys.argv[3], "wb") as out:
    out.write(bytes(4096))
    for pa in pages:
        image.seek(pa)
        out.write(image.read(4096))
        if rng.random() < 0.2:
            out.write(rng.randbytes(4096))
