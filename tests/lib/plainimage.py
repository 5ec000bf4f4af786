#!/usr/bin/env python3
"""A second maker of memory images: plainimage.py ISF SEED IMAGE TRUTH.json BUILD [WORD...]

Words: crash (a crash dump); foreign (an identity that nobody knows: the symbols stand where they do, but no reader has them); kdbg, encoded (a debugger data
block that leads to EtwpDebuggerData, which has the table's address and nothing else), pattern (EtwpDebuggerData with the offsets that it publishes).

Shares no code and no data with mkdump or with the program: offsets and symbols come straight from a complete ISF symbol table (.json.xz), the
rest from Intel's and Microsoft's public documents, and it puts as little as it can into the image. There is no processor start block, but for the
words above no KDBG and no EtwpDebuggerData, no export table, no module list; the kernel is mapped in 4 KiB pages, and only the pages that hold something; everything
stands at random places. What there is: page tables with a self map, a PE header with an RSDS record, KUSER_SHARED_DATA, a list of processes,
logger table, contexts, buffers, object types, one process' handle
table with three consumers in it, of which one hangs in no context and one is a 32-bit program's.

TRUTH.json: sessions with their records (hex) and times; plaincmp.py compares.
"""
import json
import lzma
import random
import struct
import sys
import uuid

PAGE = 4096


class Isf:
    def __init__(self, path):
        d = json.load(lzma.open(path))
        self.types, self.syms = d["user_types"], d["symbols"]
        self.pdb = d["metadata"]["windows"]["pdb"]

    def off(self, t, m):
        return self.types[t]["fields"][m]["offset"]

    def has(self, t, m):
        return t in self.types and m in self.types[t]["fields"]

    def size(self, t):
        return self.types[t]["size"]

    def sym(self, n):
        return self.syms[n]["address"] if n in self.syms else None


class Memory:
    """Physical frames and one address space for each root."""

    def __init__(self, rng, mib, la57=False):
        self.rng, self.n = rng, mib * 256
        self.page, self.levels = {}, 5 if la57 else 4
        self.root = self.frame()
        self.self_index = None

    def frame(self):
        while True:
            f = self.rng.randrange(256, self.n)
            if f not in self.page:
                self.page[f] = bytearray(PAGE)
                return f

    def entry(self, root, va, make=True):
        f = root
        for level in range(self.levels - 1, 0, -1):
            i = va >> (12 + 9 * level) & 511
            e, = struct.unpack_from("<Q", self.page[f], i * 8)
            if not e & 1:
                if not make:
                    return None
                n = self.frame()
                e = n << 12 | (0x63 if va >> 63 else 0x67)
                struct.pack_into("<Q", self.page[f], i * 8, e)
            f = e >> 12 & 0xFFFFFFFFF
        return f, (va >> 12 & 511) * 8

    def map(self, va, frame=None, root=None):
        f, at = self.entry(root or self.root, va)
        e, = struct.unpack_from("<Q", self.page[f], at)
        if not e & 1:
            e = (frame if frame is not None else self.frame()) << 12 | (0x863 if va >> 63 else 0x867)
            struct.pack_into("<Q", self.page[f], at, e)
        return e >> 12 & 0xFFFFFFFFF

    def write(self, va, data, root=None):
        at = 0
        while at < len(data):
            f = self.map((va + at) & ~(PAGE - 1), root=root)
            o = (va + at) % PAGE
            n = min(PAGE - o, len(data) - at)
            self.page[f][o:o + n] = data[at:at + n]
            at += n

    def u(self, va, v, n=8):
        self.write(va, (v & (1 << 8 * n) - 1).to_bytes(n, "little"))


class Machine:
    def __init__(self, isf, seed):
        r = self.r = random.Random(seed)
        self.isf = isf
        self.m = Memory(r, 96)
        sym = isf.sym
        self.new_silo = isf.has("_ETW_SILODRIVERSTATE", "EtwpLoggerContext")
        self.win7 = "EtwpHostSiloState" not in isf.syms and "PspHostSiloGlobals" not in isf.syms
        self.base = 0xFFFFF80000000000 + r.randrange(0x1000, 0x60000) * 0x10000 + (0x5000 if self.win7 else 0)
        self.pool = (0xFFFFFA8000000000 if self.win7 else 0xFFFF800000000000 + r.randrange(0x10, 0x3000) * 0x100000000) + r.randrange(1, 0x4000) * 0x10000
        self.boot = 133500000000000000 + r.randrange(10**15)
        self.now = self.boot + r.randrange(10**10, 10**13)
        self.freq = 10000000
        i = 0x1ED if self.win7 else r.randrange(0x110, 0x1E0)
        struct.pack_into("<Q", self.m.page[self.m.root], i * 8, self.m.root << 12 | 0x8000000000000063)
        self.m.self_index = i

    def alloc(self, n, align=16):
        self.pool = (self.pool + align - 1) & ~(align - 1)
        va = self.pool
        self.pool += n
        return va

    def sym(self, name):
        a = self.isf.sym(name)
        return None if a is None else self.base + a

    def set(self, va, t, m, v, n=8):
        if self.isf.has(t, m):
            self.m.u(va + self.isf.off(t, m), v, n)

    def image(self, build, foreign):
        """Headers with the debug directory; .rdata far behind them."""
        pdb, size = self.isf.pdb, max(s["address"] for s in self.isf.syms.values() if s["address"] < 0x10000000) + 0x10000 & ~0xFFF
        rs = 0x2000
        name = pdb["database"].encode() + b"\0"
        g = uuid.UUID(pdb["GUID"]) if not foreign else uuid.UUID(int=self.r.getrandbits(128))
        rsds = b"RSDS" + g.bytes_le + struct.pack("<I", pdb["age"]) + name
        h = bytearray(0x400)
        h[0:2] = b"MZ"
        struct.pack_into("<I", h, 0x3C, 0x100)
        h[0x100:0x104] = b"PE\0\0"
        struct.pack_into("<HHIIIHH", h, 0x104, 0x8664, 2, self.r.randrange(1 << 32), 0, 0, 0xF0, 0x22)
        struct.pack_into("<H", h, 0x118, 0x20B)
        struct.pack_into("<Q", h, 0x118 + 24, self.base)
        struct.pack_into("<II", h, 0x118 + 32, 0x1000, 0x200)
        struct.pack_into("<II", h, 0x118 + 56, size, 0x400)
        struct.pack_into("<I", h, 0x118 + 108, 16)
        struct.pack_into("<II", h, 0x118 + 112 + 6 * 8, rs, 28)
        for k, (sec, rva, n) in enumerate(((b".rdata", 0x1000, 0x8000), (b".data", 0x9000, size - 0x9000))):
            struct.pack_into("<8sIIII", h, 0x208 + 40 * k, sec, n, rva, 0, 0)
        self.m.write(self.base, bytes(h))
        self.m.write(self.base + rs, struct.pack("<IIHHIIII", 0, 0, 0, 0, 2, len(rsds), rs + 0x40, 0))
        self.m.write(self.base + rs + 0x40, rsds)
        ku = 0xFFFFF78000000000
        k = bytearray(PAGE)
        it = self.now - self.boot
        for o, v in ((0x8, it), (0x14, self.now), (0x20, -120 * 600000000)):
            v &= (1 << 64) - 1
            struct.pack_into("<III", k, o, v & 0xFFFFFFFF, v >> 32, v >> 32)
        struct.pack_into("<I", k, 0x260, build)
        struct.pack_into("<II", k, 0x26C, 10 if build > 9600 else 6, 0 if build > 9600 else 3 if build == 9600 else 1)
        struct.pack_into("<I", k, 0x3C0, 4)
        if build > 7601:
            struct.pack_into("<Q", k, 0x300, self.freq)
        self.m.write(ku, bytes(k))
        if self.sym("NtBuildNumber"):
            self.m.u(self.sym("NtBuildNumber"), 0xF0000000 | build, 4)
        for n, v, s in (("KeMaximumIncrement", 156250, 4), ("EtwPerfFreq", self.freq, 8), ("KeNumberProcessors", 4, 4), ("KeBootTime", self.boot, 8)):
            if self.sym(n):
                self.m.u(self.sym(n), v, s)

    def processes(self):
        e = self.isf
        head = self.sym("PsActiveProcessHead")
        links = e.off("_EPROCESS", "ActiveProcessLinks")
        self.procs, at = [], head
        for pid, name in ((4, b"System"), (612, b"lsass.exe"), (1504, b"svchost.exe")):
            va = self.alloc(e.size("_EPROCESS"), 64)
            if pid == 4:
                root = self.m.root
            else:
                root = self.m.frame()
                self.m.page[root][PAGE // 2:] = self.m.page[self.m.root][PAGE // 2:]
                struct.pack_into("<Q", self.m.page[root], self.m.self_index * 8, root << 12 | 0x8000000000000063)
            self.set(va, "_EPROCESS", "UniqueProcessId", pid)
            self.m.write(va + e.off("_EPROCESS", "ImageFileName"), name + b"\0")
            self.m.u(va + e.off("_KPROCESS", "DirectoryTableBase"), root << 12)
            self.m.u(va + e.off("_KPROCESS", "Header"), 3, 1)
            self.m.u(at, va + links)
            self.m.u(va + links + 8, at)
            at = va + links
            self.procs.append((va, pid, name.decode(), root))
        self.m.u(at, head)
        self.m.u(head + 8, at)

    def logger_table(self):
        self.slots = 64
        if self.win7:
            self.table = self.sym("WmipLoggerContext") or self.sym("EtwpLoggerContext")
        else:
            st = self.state = self.alloc(self.isf.size("_ETW_SILODRIVERSTATE"), 64)
            self.m.write(st, bytes(self.isf.size("_ETW_SILODRIVERSTATE")))
            if self.new_silo:
                self.slots = 80
                self.table = self.alloc(self.slots * 8)
                self.set(st, "_ETW_SILODRIVERSTATE", "EtwpLoggerContext", self.table)
                self.set(st, "_ETW_SILODRIVERSTATE", "MaxLoggers", self.slots, 4)
            else:
                self.table = st + self.isf.off("_ETW_SILODRIVERSTATE", "WmipLoggerContext")
            if self.sym("PspHostSiloGlobals"):
                self.m.u(self.sym("PspHostSiloGlobals") + self.isf.off("_ESERVERSILO_GLOBALS", "EtwSiloState"), st)
            if self.sym("EtwpHostSiloState"):
                self.m.u(self.sym("EtwpHostSiloState"), st)
        for i in range(self.slots):
            self.m.u(self.table + 8 * i, 1)

    def debugger(self, words):
        """KDDEBUGGER_DATA64 (wdbgexts.h) and EtwpDebuggerData; encoded: the inverse of what QEMU's contrib/elf2dmp does, with keys of our own."""
        data, kd, enc = self.sym("EtwpDebuggerData"), self.sym("KdDebuggerDataBlock"), self.sym("KdpDataBlockEncoded")
        if words & {"kdbg", "encoded", "pattern"}:
            self.m.u(data + 0x10, self.table)
        if "pattern" in words:
            self.m.write(data, bytes((2, 0, 0x2C, 8, 4, 0x38, 0xC)))
        if not words & {"kdbg", "encoded"}:
            return
        size = 0x340 if self.win7 and self.isf.sym("KiProcessorBlock") and self.isf.size("_EPROCESS") < 0x500 else 0x360
        b = bytearray(size)
        for o, v in ((0, kd), (8, kd), (0x18, self.base), (0x48, self.sym("PsLoadedModuleList")), (0x50, self.sym("PsActiveProcessHead")), (0x330, data)):
            struct.pack_into("<Q", b, o, v)
        struct.pack_into("<4sI", b, 0x10, b"KDBG", size)
        if "encoded" in words:
            mask, never, always = (1 << 64) - 1, self.r.getrandbits(64), self.r.getrandbits(64)
            turn = never & 63
            for o in range(0, size, 8):
                v, = struct.unpack_from("<Q", b, o)
                v = int.from_bytes((v ^ always).to_bytes(8, "little"), "big") ^ enc
                v = (v >> turn | v << 64 - turn) & mask
                struct.pack_into("<Q", b, o, v ^ never)
            self.m.u(self.sym("KiWaitNever"), never)
            self.m.u(self.sym("KiWaitAlways"), always)
            self.m.u(enc, 1, 1)
        self.m.write(kd, bytes(b))

    def record(self, ts, kind):
        r = self.r
        if kind == 0:  # manifest event
            data = bytes(r.randrange(256) for _ in range(r.randrange(0, 200)))
            n = 80 + len(data)
            h = struct.pack("<HHHHIIq", n, 0xC013, 0, 0x240, r.randrange(4, 9000), r.randrange(4, 9000), ts)
            h += uuid.UUID(int=r.getrandbits(128)).bytes_le + struct.pack("<HBBBBHQ", r.randrange(9999), 1, 16, 4, 0, 7, 1 << 63)
            h += struct.pack("<Q", 0) + bytes(16)
            return h + data
        if kind == 1:  # WPP: GUID, time, system info, 64-bit pointers
            data = bytes(r.randrange(256) for _ in range(r.randrange(0, 60)))
            n = 8 + 16 + 8 + 8 + len(data)
            return struct.pack("<HHHH", n, 0x9000, r.randrange(10, 99), 0xAA) + uuid.UUID(int=r.getrandbits(128)).bytes_le + \
                struct.pack("<qII", ts, r.randrange(9999), r.randrange(9999)) + data
        data = bytes(r.randrange(256) for _ in range(r.randrange(0, 90)))  # kernel event
        n = 32 + len(data)
        return struct.pack("<HHHHIIqII", 2, 0xC002, n, 0x0300 | r.randrange(1, 40), 8, 4, ts, 0, 0) + data

    def buffer(self, lid, size, cpu, form, t, seq):
        """(bytes, records, last time); header by form, records until about the end."""
        b = bytearray(size)
        at, recs = 0x48, []
        while form != "unused":
            rec = self.record(t, self.r.randrange(3))
            n = len(rec) + 7 & ~7
            if at + n > size or (len(recs) > 5 and self.r.random() < 0.02):
                break
            b[at:at + len(rec)] = rec
            recs.append((rec.hex(), t))
            at += n
            t += self.r.randrange(0, 20000)
        cur, saved, state, ref, flag, ts = at, 0, 1, 15, 0, 0
        if form == "flushed":
            cur, saved, state, ref, ts = at + (size if self.r.random() < 0.5 else 48), at, 0, 0, t + 5
        elif form == "unused":
            cur, state, ref, flag = 0x48, 0, 0, 0x100
        struct.pack_into("<IIIIqQ", b, 0, size, saved, cur, ref, ts, seq)
        struct.pack_into("<HHIIHH", b, 0x28, cpu if not self.win7 or self.isf.has("_WMI_BUFFER_HEADER", "ProcessorIndex") else cpu | 0x800, lid, state,
                         at if form == "flushed" else 0, flag, 0)
        return b, recs, t

    def session(self, lid, name, size, clock, mode, n_buf):
        c, e = "_WMI_LOGGER_CONTEXT", self.isf
        n = e.size(c)
        raw = name.encode("utf-16-le") + b"\0\0"
        va = self.alloc(n + len(raw), 64)
        self.m.write(va, bytes(n) + raw)
        start = self.boot + self.r.randrange(10**9)
        tick = start if clock == 2 else (start - self.boot) * self.freq // 10**7
        s = {"id": lid, "va": "0x%x" % va, "name": name, "buffer_size": size, "clock": clock, "mode": mode, "start_time": start, "buffers": []}
        for m, v, w in (("LoggerId", lid, 4), ("BufferSize", size, 4), ("LoggerMode", mode, 4), ("ClockType", clock, 4), ("NumberOfBuffers", n_buf, 4),
                        ("MinimumBuffers", 2, 4), ("MaximumBuffers", 64, 4), ("BuffersWritten", 3, 4)):
            self.set(va, c, m, v, w)
        self.m.u(va + e.off(c, "StartTime"), start)
        ref = va + e.off(c, "ReferenceTime")
        self.m.u(ref + e.off("_ETW_REF_CLOCK", "StartTime"), start)
        self.m.u(ref + e.off("_ETW_REF_CLOCK", "StartPerfClock"), tick)
        self.m.write(va + e.off(c, "LoggerName"), struct.pack("<HHIQ", len(raw) - 2, len(raw), 0, va + n))
        for ring in ("Consumers",):
            h = va + e.off(c, ring)
            self.m.write(h, struct.pack("<QQ", h, h))
        head = va + e.off(c, "GlobalList")
        nodes, t = [], tick + 1000
        for k in range(n_buf):
            b, recs, t = self.buffer(lid, size, k % 4, self.r.choice(("flushed", "logging", "logging", "unused")), t, k + 1)
            bva = self.alloc(size, PAGE)
            self.m.write(bva, bytes(b))
            nodes.append(bva + 0x38)
            s["buffers"].append({"va": "0x%x" % bva, "records": [[h, x if clock == 2 else start + (x - tick) * 10**7 // self.freq] for h, x in recs]})
            if self.r.random() < 0.2:
                self.pool += self.r.randrange(1, 9) * PAGE
        ring = [head] + nodes
        for k, a in enumerate(ring):
            self.m.u(a, ring[(k + 1) % len(ring)])
            self.m.u(a + 8, ring[k - 1])
        self.m.u(self.table + 8 * lid, va)
        return s, va, lid

    def types(self):
        """Object types at random places of the table; the ones a reader looks for among them."""
        e, self.cookie = self.isf, self.r.randrange(256) if self.isf.sym("ObHeaderCookie") else None
        if self.cookie is not None:
            self.m.u(self.sym("ObHeaderCookie"), self.cookie, 1)
        self.type = {}
        for k, name in enumerate(("Type", "Directory", "Process", "Thread", "File", "EtwRegistration", "EtwConsumer", "Key", "Event")):
            self.type["Type"] = 2  # types are objects themselves
            va = self.object("Type", e.size("_OBJECT_TYPE"))[1]
            raw = name.encode("utf-16-le")
            text = self.alloc(len(raw) + 2)
            self.m.write(text, raw + b"\0\0")
            self.m.write(va + e.off("_OBJECT_TYPE", "Name"), struct.pack("<HHIQ", len(raw), len(raw) + 2, 0, text))
            self.m.u(va + e.off("_OBJECT_TYPE", "Index"), k + 2, 1)
            self.m.u(self.sym("ObTypeIndexTable") + 8 * (k + 2), va)
            self.type[name] = k + 2
        self.m.u(self.sym("ObTypeIndexTable") + 8 * 11, 0)

    def object(self, name, size):
        head = self.alloc(self.isf.off("_OBJECT_HEADER", "Body") + size)
        self.m.write(head, bytes(self.isf.off("_OBJECT_HEADER", "Body") + size))
        index = self.type[name]
        if self.cookie is not None:
            index ^= self.cookie ^ (head >> 8 & 0xFF)
        self.m.u(head + self.isf.off("_OBJECT_HEADER", "PointerCount"), 3)
        self.m.u(head + self.isf.off("_OBJECT_HEADER", "TypeIndex"), index, 1)
        return head, head + self.isf.off("_OBJECT_HEADER", "Body")

    def handles(self, proc, heads):
        """A table of one level, or of two when there are more than a page holds; the first entry of a page is never used."""
        e, pages = self.isf, []
        slots = [None] + heads
        for k in range(0, len(slots), 256):
            page = self.alloc(PAGE, PAGE)
            for i, h in enumerate(slots[k:k + 256]):
                if e.has("_HANDLE_TABLE_ENTRY", "ObjectPointerBits"):
                    f = e.types["_HANDLE_TABLE_ENTRY"]["fields"]["ObjectPointerBits"]["type"]
                    word = 0 if h is None or i == 0 else (h >> 4 & (1 << f["bit_length"]) - 1) << f["bit_position"] | 1
                else:
                    word = 0 if h is None or i == 0 else h | 1
                self.m.write(page + 16 * i, struct.pack("<QQ", word, 0x1F0003))
            pages.append(page)
        t = self.alloc(e.size("_HANDLE_TABLE"))
        self.m.write(t, bytes(e.size("_HANDLE_TABLE")))
        code = pages[0]
        if len(pages) > 1:
            code = self.alloc(PAGE, PAGE) | 1
            for k, p in enumerate(pages):
                self.m.u((code & ~3) + 8 * k, p)
        self.m.u(t + e.off("_HANDLE_TABLE", "TableCode"), code)
        self.m.u(proc[0] + e.off("_EPROCESS", "ObjectTable"), t)

    def consumers(self, sessions):
        """Consumers of the second to the fourth session in svchost.exe; the first one has two copies in its list, the last one three, and links of 32 bits."""
        c, e, out, proc = "_ETW_REALTIME_CONSUMER", self.isf, [], self.procs[2]
        heads = [self.object("File", 0xD0)[0] for _ in range(300)]
        for k, (s, ctx, lid) in enumerate(sessions[1:4]):
            head, va = self.object("EtwConsumer", e.size(c))
            self.m.u(va + e.off(c, "ProcessObject"), proc[0])
            self.m.u(va + e.off(c, "LoggerId"), lid, 2)
            ring = ctx + e.off("_WMI_LOGGER_CONTEXT", "Consumers")
            mine = va + e.off(c, "Links")
            if k == 0:
                self.m.write(mine, struct.pack("<QQ", ring, ring))
                self.m.write(ring, struct.pack("<QQ", mine, mine))
            else:
                self.m.write(mine, struct.pack("<QQ", mine, mine))
            user = (0x1E000000000 if k < 2 else 0x20000000) + k * 0x10000000 + self.r.randrange(1, 999) * 0x10000
            wide, link_of = (8, "<Q") if k < 2 else (4, "<I")
            if k == 2:
                self.wow(va)
            self.m.u(va + e.off(c, "UserBufferListHead"), user + 0x18)
            self.m.u(va + e.off(c, "UserBufferCount"), user + 0x30)
            link, n = 0, (2, 0, 3)[k]
            for i in range(n):
                t = int(s["start_time"] - self.boot) * self.freq // 10**7 + 10**6 if s["clock"] == 1 else s["start_time"] + 10**6
                b, recs, _ = self.buffer(lid, s["buffer_size"], i, "flushed", t + i * 5000, 90 + i)
                struct.pack_into(link_of, b, 0x20, link)
                struct.pack_into("<I", b, 8, struct.unpack_from("<I", b, 4)[0])
                at = user + 0x100000 * (i + 1)
                self.m.write(at, bytes(b), root=proc[3])
                link = at + 0x20
                tick = (s["start_time"] - self.boot) * self.freq // 10**7
                s["buffers"].append({"va": "0x%x" % at, "records": [[h, x if s["clock"] == 2 else s["start_time"] + (x - tick) * 10**7 // self.freq]
                                                                     for h, x in recs]})
            self.m.write(user + 0x18, struct.pack(link_of, link), root=proc[3])
            self.m.write(user + 0x18 + wide, b"\xa5\x5a\xa5\x5a", root=proc[3])  # what stands behind a head is none of it
            self.m.write(user + 0x30, struct.pack("<I", n), root=proc[3])
            heads.append(head)
            out.append({"va": "0x%x" % va, "pid": proc[1], "process": proc[2], "session": lid, "buffers": n, "wow64": k == 2})
        self.handles(proc, heads)
        return out

    def wow(self, consumer):
        f = self.isf.types["_ETW_REALTIME_CONSUMER"]["fields"]["Wow"]
        bit = f["type"].get("bit_position", 0)
        self.m.u(consumer + f["offset"], 1 << bit, 1)

    def raw(self, path):
        with open(path, "wb") as f:
            f.truncate(self.m.n * PAGE)
            for n in sorted(self.m.page):
                f.seek(n * PAGE)
                f.write(self.m.page[n])

    def crash(self, path, build):
        h = bytearray(b"PAGE" * (0x2000 // 4))
        h[0:8] = b"PAGEDU64"
        struct.pack_into("<IIQ", h, 8, 15, build, self.m.root << 12)
        struct.pack_into("<II", h, 0x30, 0x8664, 4)
        struct.pack_into("<II", h, 0x88, 1, 0)
        struct.pack_into("<QQQ", h, 0x90, self.m.n, 0, self.m.n)
        struct.pack_into("<I", h, 0xF98, 1)
        struct.pack_into("<Qq", h, 0xFA0, self.m.n * PAGE + 0x2000, self.now)
        with open(path, "wb") as f:
            f.write(h)
            f.truncate(0x2000 + self.m.n * PAGE)
            for n in sorted(self.m.page):
                f.seek(0x2000 + n * PAGE)
                f.write(self.m.page[n])


def main():
    isf, seed = Isf(sys.argv[1]), int(sys.argv[2])
    build = int(sys.argv[5])
    m = Machine(isf, seed)
    for i in range(256, 512):  # upper-half tables are there before processes share them
        if i != m.m.self_index:
            f = m.m.frame()
            struct.pack_into("<Q", m.m.page[m.m.root], i * 8, f << 12 | 0x63)
    words = set(sys.argv[6:])
    m.image(build, "foreign" in words)
    m.processes()
    m.logger_table()
    m.debugger(words)
    m.types()
    made = []
    for lid, name, size, clock, mode, n in ((2, "Circular Kernel Context Logger", 4096, 1, 0x400 | 0x2000000, 6), (3, "AppModel", 65536, 1, 0x180, 9),
                                            (7, "EventLog-Security", 65536, 2, 0x100, 5), (12, "", 8192, 1, 0x100, 3),
                                            (31, "Ünïcode — 漢字", 1024, 2, 0x8, 8), (33, "Odd size", 81920, 1, 0x80000002, 4)):
        made.append(m.session(lid, name, size, clock, mode, n))
    consumers = m.consumers(made)
    out = [x[0] for x in made]
    if "crash" in words:
        m.crash(sys.argv[3], build)
    else:
        m.raw(sys.argv[3])
    json.dump({"build": build, "base": "0x%x" % m.base, "dtb": "0x%x" % (m.m.root << 12), "time": m.now, "sessions": out, "consumers": consumers}, open(sys.argv[4], "w"))


main()
