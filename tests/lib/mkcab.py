#!/usr/bin/env python3
"""mkcab.py IN OUT.cab [NAME]: a cabinet with one file, packed with MSZIP as `compress`/makecab do for symbol servers ("Microsoft Cabinet Format",
MS-MCI). Blocks of 32 KiB, each a deflate stream that may look back into the one before. Shares nothing with libmspack."""
import os
import struct
import sys
import zlib

BLOCK = 32768


def checksum(data, seed):
    n = len(data) // 4
    for i in range(n):
        seed ^= struct.unpack_from("<I", data, 4 * i)[0]
    rest = data[4 * n:]
    if rest:
        seed ^= int.from_bytes(rest, "big")
    return seed


data = open(sys.argv[1], "rb").read()
name = (sys.argv[3] if len(sys.argv) > 3 else os.path.basename(sys.argv[1])).encode() + b"\0"
blocks, before = [], b""
for at in range(0, len(data), BLOCK):
    plain = data[at:at + BLOCK]
    z = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=before) if before else zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"CK" + z.compress(plain) + z.flush()
    head = struct.pack("<HH", len(packed), len(plain))
    blocks.append(struct.pack("<I", checksum(head, checksum(packed, 0))) + head + packed)
    before = plain
folder_at = 36
file_at = folder_at + 8
data_at = file_at + 16 + len(name)
total = data_at + sum(map(len, blocks))
with open(sys.argv[2], "wb") as f:
    f.write(b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, total, 0, file_at, 0, 3, 1, 1, 1, 0, 0, 0))
    f.write(struct.pack("<IHH", data_at, len(blocks), 1))
    f.write(struct.pack("<IIHHHH", len(data), 0, 0, 0x5921, 0x6000, 0x20) + name)
    f.write(b"".join(blocks))
