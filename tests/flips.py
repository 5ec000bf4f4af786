#!/usr/bin/env python3
"""Seeded changes of a made image: flips.py IMAGE ETLIFT N [FIRST [OPTION...]]

OPTION: of recover. Each run changes 5 to 3000 words of pages in use (zeros, ones, other words of the image, near values, bits) and recovers from the result: the exit status
must be 0 or 4, the sanitizers silent, within a minute, nothing may stand outside sessions/ but the report, and every file must pass `check`. Same
seeds, same changes. Prints the seed of each failure.
"""
import glob
import os
import random
import shutil
import subprocess
import sys

KINDS = 6


def change(base, pages, seed):
    rnd = random.Random(seed)
    b = bytearray(base)
    for _ in range(rnd.choice([5, 50, 500, 3000])):
        at = rnd.choice(pages) + 8 * rnd.randrange(512)
        old = bytes(b[at:at + 8])
        kind = rnd.randrange(KINDS)
        if kind == 0:
            new = bytes(8)
        elif kind == 1:
            new = b"\xff" * 8
        elif kind == 2:
            new = bytes(rnd.randrange(256) for _ in range(8))
        elif kind == 3:
            other = rnd.choice(pages) + 8 * rnd.randrange(512)
            new = bytes(b[other:other + 8])
        elif kind == 4:
            new = bytes([old[0] ^ 1 << rnd.randrange(8)]) + old[1:]
        else:
            new = ((int.from_bytes(old, "little") + rnd.choice([-8, 8, 0x1000, -0x1000, 1])) % 2**64).to_bytes(8, "little")
        b[at:at + 8] = new
    return b


def run(*args):
    r = subprocess.run(args, capture_output=True, timeout=60)
    text = r.stdout + r.stderr
    return (-1 if b"Sanitizer" in text or b"runtime error" in text else r.returncode), text[-600:].decode("utf-8", "replace")


def attempt(etlift, image, out, options):
    status, text = run(etlift, "recover", "-q", *options, image, "-o", out)
    if status not in (0, 4):
        return "recover ends with %d: %s" % (status, text)
    left = set(os.listdir(out)) - {"report.json", "report.html", "sessions"} if os.path.isdir(out) else set()
    if left:
        return "strange files: %s" % left
    files = sorted(glob.glob(os.path.join(out, "sessions", "*.etl")))
    if files:
        status, text = run(etlift, "check", "-q", *files)
        if status != 0:
            return "check ends with %d: %s" % (status, text)
    return None


def main():
    image, etlift, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    base = open(image, "rb").read()
    pages = [i for i in range(0, len(base), 4096) if base[i:i + 4096].strip(b"\0")]
    bad = 0
    for seed in range(first, first + n):
        with open("flipped.img", "wb") as f:
            f.write(change(base, pages, seed))
        shutil.rmtree("flipped", ignore_errors=True)
        try:
            why = attempt(etlift, "flipped.img", "flipped", sys.argv[5:])
        except subprocess.TimeoutExpired:
            why = "takes more than a minute"
        if why:
            bad += 1
            print("seed", seed, why)
    print("%d of %d changed images: trouble" % (bad, n))
    sys.exit(1 if bad else 0)


main()
