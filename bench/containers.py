#!/usr/bin/env python3
"""Times bench/bench-containers.sh's images in the current folder: containers.py ROUNDS

Each round runs every pair once, peer and reader in turn, so that a busy moment of the machine meets both. What counts is the least time of each:
wall seconds, and processor seconds beside them, which a busy machine disturbs less. A container whose ratio is above 1.2 in both is a miss; one that
has no public program to compare with is shown beside `cat` of the same memory, and can't miss."""
import os
import sys
import time

READ = os.environ["BENCH_PHYSREAD"]
# container, its peer (None: no public program), further options of the reader
PAIRS = [
    ("image.raw", ["cat", "image.raw"], []),
    ("image.vmem", ["cat", "image.vmem"], []),
    ("image.crash64-full", ["cat", "image.crash64-full"], []),
    ("image.crash64-bitmap", ["cat", "image.crash64-bitmap"], []),
    ("image.lime", ["cat", "image.lime"], []),
    ("image.elf", ["cat", "image.elf"], []),
    ("image.hpak", ["cat", "image.hpak"], []),
    ("image.qevm", None, []),
    ("image.gz", ["gzip", "-dc", "image.gz"], []),
    ("image.zst", ["zstd", "-dc", "image.zst"], []),
    ("image.frames.zst", ["zstd", "-dc", "image.frames.zst"], []),
    ("image.stream.zst", ["zstd", "-dc", "image.stream.zst"], []),
    ("image.spill.zst", ["zstd into a file, cat, rm", "image.spill.zst"], ["-spill", "."]),
    ("image.lz4", ["lz4", "-dc", "image.lz4"], []),
    ("image.linked.lz4", ["lz4", "-dc", "image.linked.lz4"], []),
    ("image.xz", ["xz", "-T1", "-dc", "image.xz"], []),
    ("image.blocks.xz", ["xz", "-T1", "-dc", "image.blocks.xz"], []),
    ("image.bz2", ["bzip2", "-dc", "image.bz2"], []),
    ("image.E01", ["ewfexport", "-u", "-q", "-t", "-", "-f", "raw", "image.E01"], []),
    ("image.kdump", ["libkdumpfile", "image.kdump"], []),
    ("image.kdump-snappy", ["libkdumpfile", "image.kdump-snappy"], []),
    ("image.kdump-lzo", ["libkdumpfile", "image.kdump-lzo"], []),
    ("image.kdump-zstd", ["libkdumpfile", "image.kdump-zstd"], []),
    ("image.kdump-flat", ["makedumpfile+libkdumpfile", "image.kdump-flat"], []),
    ("image.aff4", None, []),
    ("image.aff4-standard", None, []),
    ("image.aff4-winpmem2", None, []),
    ("image.avml", None, []),
    ("image.hiberfil8", None, []),
    ("image.hiberfil11", None, []),
    ("image.zdmp", None, []),
    ("image.vmrs", None, []),
]


def there(program):
    return any(os.access(os.path.join(d, program), os.X_OK) for d in os.environ["PATH"].split(":"))


def run(args):
    """Wall and processor seconds, peak MiB, what was printed; None: it failed."""
    r = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if args[0] == READ else os.open(os.devnull, os.O_WRONLY)
    t = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(r, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execvp(args[0], args)
    _, status, use = os.wait4(pid, 0)
    t = time.monotonic() - t
    os.close(r)
    out = open("out.txt").read() if args[0] == READ else ""
    return None if status else (t, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024, out)


def libkdumpfile_peer(path):
    """Debian's libkdumpfile, from Python in pieces of 1 MiB: the work is the library's."""
    code = (
        "import sys,kdumpfile\n"
        "c=kdumpfile.kdumpfile(sys.argv[1])\n"
        "n=int(sys.argv[2])\n"
        "for at in range(0,n,1<<20): c.read(kdumpfile.KDUMP_MACHPHYSADDR,at,1<<20)\n"
    )
    return ["/usr/bin/python3", "-c", code, path, str(os.path.getsize("image.raw"))]


def peer_of(container, peer):
    """The command, and its name for the table; None: not here."""
    if peer is None:
        return ["cat", "image.raw"], "cat (no public program)"
    if peer[0] == "libkdumpfile":
        return libkdumpfile_peer(peer[1]), "libkdumpfile"
    if peer[0] == "makedumpfile+libkdumpfile":
        if not there("makedumpfile"):
            return None, "makedumpfile"
        p = libkdumpfile_peer("rearranged")
        return ["sh", "-c", 'makedumpfile -R rearranged <"$0" && exec "$@"', peer[1], *p], "makedumpfile -R, libkdumpfile"
    if peer[0] == "zstd into a file, cat, rm":  # the reader's file is gone at its end too
        return ["sh", "-c", 'zstd -q -f -dc "$0" >unpacked && cat unpacked && rm unpacked', peer[1]], peer[0]
    if not there(peer[0]):
        return None, peer[0]
    return peer, " ".join(a for a in peer[:2] if not a.startswith("image"))


def main():
    rounds = int(sys.argv[1])
    best = {}
    sums = {}
    for container, _, options in PAIRS:  # once, for what is read; not timed
        got = run([READ, "-sum", *options, container]) if os.path.exists(container) else None
        if got:
            sums[container] = got[3].split("sum ")[1][:16]  # the bytes may be fewer: some leave pages of zeros out
    for n in range(rounds):
        for container, peer, options in PAIRS:
            if not os.path.exists(container):
                continue
            command, name = peer_of(container, peer)
            for what, args in (("peer", command), ("ours", [READ, "-j", "2", *options, container])):
                got = run(args) if args else None
                b = best.setdefault((container, what), got)
                if got and b:
                    best[container, what] = (min(b[0], got[0]), min(b[1], got[1]), max(b[2], got[2]), got[3])
    missed = 0
    print("containers: the least of %d rounds, warm files; reader with -j 2; processor seconds in brackets" % rounds)
    raw = sums.get("image.raw")
    for container, peer, _ in PAIRS:
        if not os.path.exists(container):
            continue
        ours, theirs = best.get((container, "ours")), best.get((container, "peer"))
        _, name = peer_of(container, peer)
        if not ours or sums.get(container) != raw:
            why = "can't be read" if not sums.get(container) else "other bytes" if sums[container] != raw else "not every time"
            print("%-22s FAILED: %s" % (container[6:], why))
            missed += 1
            continue
        row = "%-22s %7.3f s (%7.3f) %5.0f MiB" % (container[6:], ours[0], ours[1], ours[2])
        if not theirs:
            print("%s   %s is not here, or can't read it" % (row, name))
            continue
        wall, cpu = ours[0] / theirs[0], ours[1] / theirs[1]
        bad = peer is not None and min(wall, cpu) > 1.2
        missed += bad
        print("%s   %.2f (%.2f) times %s%s" % (row, wall, cpu, name, " MISSED (aim: 1.20)" if bad else ""))
    sys.exit(1 if missed else 0)


main()
