#!/usr/bin/env python3
"""isf2pdb.py ISF OUT.pdb BLOCK PLAIN|OMAP: writes the types and symbols of an ISF table as a PDB (MSF 7.00), for tests of the PDB reader.

Field lists are split early (LF_INDEX), blocks are scattered, every structure member goes through a forward reference. With OMAP the symbols are in
terms of an image before rearrangement: original section headers, and a table that moves it in pieces of 64 KB."""
import json
import lzma
import struct
import sys

path, out, block, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
isf = json.load(lzma.open(path) if path.endswith(".xz") else open(path))
pointer = isf["base_types"]["pointer"]["size"]
SHIFT = 0x3000  # original address = address + SHIFT, in OMAP files


def u16(*v):
    return struct.pack(f"<{len(v)}H", *v)


def u32(*v):
    return struct.pack(f"<{len(v)}I", *v)


def numeric(v):
    return u16(v) if v < 0x8000 else u16(0x8002, v) if v < 0x10000 else u16(0x8004) + u32(v)


def padded(b, to=4):
    n = -len(b) % to
    return b + bytes(0xF0 | i for i in range(n, 0, -1))


records = []


def add(body):
    body += b"\0" * (-(len(body) + 2) % 4)
    records.append(u16(len(body)) + body)
    return 0x1000 + len(records) - 1


SIMPLE = {1: 0x20, 2: 0x21, 4: 0x22, 8: 0x23}
forward = {}


def named(name, union):
    if name not in forward:
        head = u16(0x1506, 0, 0x80) + u32(0) + u16(0) if union else u16(0x1505, 0, 0x80) + u32(0, 0, 0) + u16(0)
        forward[name] = add(head + name.encode() + b"\0")
    return forward[name]


def size_of(t):
    if t["kind"] == "pointer":
        return pointer
    if t["kind"] == "array":
        return t["count"] * size_of(t["subtype"])
    table = {"base": "base_types", "enum": "enums"}.get(t["kind"], "user_types")
    return isf[table].get(t.get("name"), {}).get("size", 0)


def index_of(t):
    if t["kind"] == "pointer":
        return 0x603 if pointer == 8 else 0x403
    if t["kind"] == "bitfield":
        return add(u16(0x1205) + u32(index_of(t["type"])) + bytes([t["bit_length"], t["bit_position"]]))
    if t["kind"] == "array":
        return add(u16(0x1503) + u32(index_of(t["subtype"]), 0x23) + numeric(size_of(t)) + b"\0")
    if t["kind"] in ("base", "enum"):
        return SIMPLE.get(size_of(t), 0x20)
    return named(t.get("name", "?"), t["kind"] == "union")


for name, definition in isf["user_types"].items():
    pieces, piece = [], b""
    for member, field in sorted(definition["fields"].items(), key=lambda f: (f[1]["offset"], f[0])):
        piece += padded(u16(0x150D, 3) + u32(index_of(field["type"])) + numeric(field["offset"]) + member.encode() + b"\0")
        if len(piece) > 1500:
            pieces.append(piece)
            piece = b""
    pieces.append(piece)
    following = None
    for piece in reversed(pieces):
        following = add(u16(0x1203) + piece + (u16(0x1404, 0) + u32(following) if following else b""))
    count = min(len(definition["fields"]), 0xFFFF)
    if definition.get("kind") == "union":
        add(u16(0x1506, count, 0) + u32(following) + numeric(definition["size"]) + name.encode() + b"\0")
    else:
        add(u16(0x1505, count, 0) + u32(following, 0, 0) + numeric(definition["size"]) + name.encode() + b"\0")

blob = b"".join(records)
tpi = u32(20040203, 56, 0x1000, 0x1000 + len(records), len(blob)) + u16(0xFFFF, 0xFFFF) + u32(4, 0x3FFFF) + bytes(24) + blob

sections = [(0x1000, 0x200000), (0x201000, 0x300000), (0x501000, 0xA00000)]


def headers(shift):
    return b"".join(b".s%d\0\0\0\0\0" % i + u32(size, va + shift) + bytes(24) for i, (va, size) in enumerate(sections))


symbols = b""
for name, symbol in isf["symbols"].items():
    rva = symbol["address"]
    segment = [i for i, (va, size) in enumerate(sections) if va <= rva < va + size]
    if not segment:
        continue
    record = u16(0x110E) + u32(0, rva - sections[segment[0]][0]) + u16(segment[0] + 1) + name.encode() + b"\0"
    record += b"\0" * (-(len(record) + 2) % 4)
    symbols += u16(len(record)) + record
omap = u32(0, 0) + b"".join(u32(a + SHIFT, a) for a in range(0x1000, 0xF01000, 0x10000))

pdb = isf["metadata"]["windows"]["pdb"]
guid = bytes.fromhex(pdb["GUID"])
guid = guid[3::-1] + guid[5:3:-1] + guid[7:5:-1] + guid[8:]
info = u32(20000404, 1, 77, ) + guid + u32(0)  # the age of the image is the debug stream's, not this one
debug = [0xFFFF] * 11
debug[5] = 6
if kind == "OMAP":
    debug[4], debug[10] = 8, 7
dbi = (struct.pack("<i", -1) + u32(19990903, pdb["age"]) + u16(0xFFFF, 0, 0xFFFF, 0, 5, 0) + u32(0, 0, 0, 0, 0, 0, 22, 0) +
       u16(0, pdb["machine_type"]) + u32(0) + u16(*debug))
streams = [b"", info, tpi, dbi, b"", symbols, headers(0), headers(SHIFT), omap]

# blocks, from the end of the file backwards within each stream
blocks, lists = {}, []
at = 3


def take():
    global at
    while at % block in (1, 2):  # free block maps
        at += 1
    at += 1
    return at - 1


def store(data):
    numbers = [take() for _ in range((len(data) + block - 1) // block)][::-1]
    for i, number in enumerate(numbers):
        blocks[number] = data[i * block:(i + 1) * block]
    return numbers


lists = [store(s) for s in streams]
directory = u32(len(streams), *[len(s) for s in streams]) + b"".join(u32(*n) for n in lists)
roots = store(u32(*store(directory)))
count = at
header = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0" + u32(block, 1, count, len(directory), 0) + u32(*roots)
with open(out, "wb") as f:
    f.write(header.ljust(block, b"\0"))
    for number in range(1, count):
        f.write(blocks.get(number, b"").ljust(block, b"\0"))
