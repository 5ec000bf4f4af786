#!/usr/bin/env python3
"""producers.py IMAGE ROM OUTDIR: lets QEMU write every kind of memory file that it can, of a machine whose memory is IMAGE.

machine.*: a machine that never ran. windows64.dmp, windows32.dmp and beside them ELF and kdump: a machine whose ROM (vmcoreinfo.S) told QEMU
of a Windows dump header; what QEMU looks for in the guest (debugger data block, processor block) is put into otherwise numbered pages.
*.raw is what QEMU itself says memory holds (pmemsave). KVM is not needed."""
import atexit, json, os, re, socket, struct, subprocess, sys, time

image, rom, out = (os.path.abspath(a) for a in sys.argv[1:4])
MB = 1 << 20
SIZE = 64 * MB


class Machine:
    """QEMU with its monitor on a socket."""

    def __init__(self, *args):
        self.qmp = os.path.join(out, "qmp.sock")
        self.gdb = os.path.join(out, "gdb.sock")
        for f in (self.qmp, self.gdb):
            if os.path.exists(f):
                os.unlink(f)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", str(SIZE // MB), "-display", "none", "-nodefaults", "-device", "vmcoreinfo",
             "-qmp", f"unix:{self.qmp},server=on,wait=off", "-gdb", f"unix:{self.gdb},server=on,wait=off", *args], stdin=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.file = self.connect(self.qmp).makefile("rwb")
        self.file.readline()
        self.do("qmp_capabilities")

    def connect(self, path):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        for _ in range(200):
            try:
                s.connect(path)
                return s
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("QEMU did not start")
                time.sleep(0.05)
        sys.exit("QEMU does not answer")

    def do(self, what, **arguments):
        self.file.write(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                sys.exit(f"{what} {arguments}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        return self.do("human-monitor-command", **{"command-line": line})

    def dump(self, form, name):
        self.do("dump-guest-memory", paging=False, protocol="file:" + os.path.join(out, name), format=form)

    def raw(self, name):
        self.do("pmemsave", val=0, size=SIZE, filename=os.path.join(out, name))

    def migrate(self, name):
        self.do("migrate", uri=f"exec:cat > '{os.path.join(out, name)}'")
        for _ in range(600):
            status = self.do("query-migrate").get("status")
            if status in ("completed", "failed"):
                break
            time.sleep(0.05)
        if status != "completed":
            sys.exit("migration: " + status)

    def set_cr3(self, value):
        """Through the debugger's port. 29 is CR3's number there (QEMU target/i386/gdbstub.c); the answer is looked at."""
        s = self.connect(self.gdb)

        def ask(text):
            s.sendall(b"+$%s#%02x" % (text.encode(), sum(text.encode()) & 255))
            got = b""
            while not re.search(rb"\$[^#]*#..", got):
                got += s.recv(65536)
            return re.search(rb"\$([^#]*)#", got)[1].decode()

        ask("qSupported:xmlRegisters=i386")
        ask("?")
        ask("qXfer:features:read:i386-64bit.xml:0,7f0")  # registers can be set once their description was asked for
        ask("P%x=%s" % (29, struct.pack("<Q", value).hex()))
        if not re.search("CR3=0*%x " % value, self.monitor("info registers")):
            sys.exit("CR3 can't be set")

    def quit(self):
        try:
            self.do("quit")
        except (SystemExit, ValueError, OSError):
            pass
        self.process.wait(30)


def plain(*more):
    return Machine("-S", "-device", f"loader,file={image},addr=0,force-raw=on", "-drive", f"if=none,id=d,file={out}/disk.qcow2,format=qcow2",
                   "-device", "ide-hd,drive=d", *more)


def plain_machine():
    m = plain()
    m.raw("machine.raw")
    m.dump("elf", "machine.elf")
    m.dump("kdump-zlib", "machine.kdump-flat")
    m.monitor("savevm snapshot")
    m.migrate("machine.qevm")
    m.quit()
    m = plain("-uuid", "01234567-89ab-cdef-0123-456789abcdef")
    m.raw("packed.raw")
    m.monitor("migrate_set_capability x-ignore-shared on")  # both add a part to the stream's configuration
    m.monitor("migrate_set_capability validate-uuid on")
    if "\ncompress:" in m.monitor("info migrate_capabilities"):  # QEMU up to 9.0
        m.monitor("migrate_set_capability compress on")
    m.migrate("packed.qevm")
    m.quit()


def windows(wide):
    """Numbered pages, tables that map all of memory at the kernel's place, and what a Windows dump needs of the kernel."""
    memory = bytearray(SIZE)
    for at in range(0, SIZE, 4096):
        memory[at:at + 24] = struct.pack("<QQQ", at >> 12, 0x6567617020612073, ~at & (1 << 64) - 1)
    base = 0xfffff80000000000 if wide else 0x80000000
    root, kdbg, note = 0x1ad000, 0x200000, 0x400000

    def put(at, form, *values):
        struct.pack_into("<" + form, memory, at, *values)

    pointer = "Q" if wide else "I"
    memory[root:root + 0x3000] = bytes(0x3000)
    put(root + 8 * (base >> 39 & 511), "Q", 0x1ae063)
    put(0x1ae000 + 8 * (base >> 30 & 511), "Q", 0x1af063)
    for i in range(SIZE // (2 * MB)):
        put(0x1af000 + 8 * i, "Q", i << 21 | 0xe3)
    memory[kdbg:kdbg + 0x400] = bytes(0x400)
    memory[0x201000:0x205000] = bytes(0x4000)
    put(kdbg + 0x10, "4s", b"KDBG")
    put(kdbg + 0x88, "Q", base + 0x201000)   # KiBugcheckData
    put(kdbg + 0xc0, "Q", base + 0x201800)   # MmPfnDatabase
    put(kdbg + 0x218, "Q", base + 0x202000)  # KiProcessorBlock
    put(kdbg + 0x338, "H", 0x100)            # OffsetPrcbContext
    put(0x202000, pointer, base + 0x203000)
    put(0x203100, pointer, base + 0x204000)  # the context: QEMU fills it while it writes
    header = bytearray(b"PAGE" * ((0x2000 if wide else 0x1000) // 4))
    runs = [(0x1, 0x9e), (0x100, (SIZE >> 12) - 0x100)]
    pages = sum(n for _, n in runs)
    if wide:
        struct.pack_into("<8sIIQQQQII", header, 0, b"PAGEDU64", 15, 22621, root, 0, base + 0x500000, base + 0x500100, 0x8664, 1)
        struct.pack_into("<QIIQ", header, 0x80, base + kdbg, len(runs), 0, pages)
        for i, r in enumerate(runs):
            struct.pack_into("<QQ", header, 0x98 + 16 * i, *r)
        struct.pack_into("<I", header, 0xf98, 1)
    else:
        struct.pack_into("<8sIIIIIIII", header, 0, b"PAGEDUMP", 15, 7601, root, 0, base + 0x500000, base + 0x500100, 0x14c, 1)
        header[0x5c] = 1
        struct.pack_into("<III", header, 0x60, base + kdbg, len(runs), pages)
        for i, r in enumerate(runs):
            struct.pack_into("<II", header, 0x6c + 8 * i, *r)
        struct.pack_into("<I", header, 0xf88, 1)
    memory[note:note + 24 + len(header)] = struct.pack("<III12s", 11, len(header), 0, b"VMCOREINFO") + header
    put(0x7000, "QIIQ", note, 24 + len(header), 0, 0)
    for name, part in (("low.bin", memory[:0xa0000]), ("high.bin", memory[MB:])):
        with open(os.path.join(out, name), "wb") as f:
            f.write(part)
    m = Machine("-cpu", "max", "-device", f"loader,file={out}/low.bin,addr=0,force-raw=on", "-device",
                f"loader,file={out}/high.bin,addr=0x100000,force-raw=on", "-bios", rom)
    for _ in range(200):
        if "0x0000000000000001" in m.monitor("xp /1gx 0x7010") and "HLT=1" in m.monitor("info registers"):
            break
        time.sleep(0.05)
    else:
        sys.exit("the ROM did not come to its end")
    m.do("stop")
    m.set_cr3(root)
    name = "windows64" if wide else "windows32"
    m.raw(name + ".raw")
    m.dump("elf", name + ".elf")
    m.dump("kdump-zlib", name + ".kdump-flat")
    m.dump("win-dmp", name + ".dmp")
    m.quit()
    for f in ("low.bin", "high.bin"):
        os.unlink(os.path.join(out, f))


plain_machine()
windows(True)
windows(False)
