#!/usr/bin/env bash
# Containers: all physical memory of one image through each of them, once, beside the best public program that does the same in the same run.
# From bench/run.sh, or alone (`bash bench/bench-containers.sh`, after `make all tools`). Exit status 1: a container took more than 1.2 times its peer's time.
# DIR: where images are made; BENCH_CONT_MIB: size (512; more than what a layer keeps in memory); BENCH_CONT_RUNS: rounds (5).
set -eu
DIR=${DIR:-$(mktemp -d)}
work=$DIR/containers
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
tools=$PWD/build/release/tools
recipe=$PWD/testdata/recipes/demo.recipe
mib=${BENCH_CONT_MIB:-512}
python=/usr/bin/python3 # Debian's: it has libkdumpfile
[ -x $python ] || python=python3
bench=$PWD/bench
cd "$work"
$python "$bench/mixed.py" "$((mib * 3 / 4))" fill
make_image() { "$tools/mkdump" -m "$mib" -F fill -f "$1" "$recipe" "$2"; }
make_image raw image.raw
for c in crash64-full crash64-bitmap lime elf vmware kdump kdump-flat kdump-snappy kdump-lzo kdump-zstd qevm aff4 aff4-standard aff4-winpmem2 avml hiberfil8 hiberfil11 zdmp hpak vmrs; do
	case $c in vmware) f=image.vmem ;; *) f=image.$c ;; esac
	make_image $c "$f" 2>/dev/null || echo "  $c: not built in"
done
pack() { if command -v "$2" >/dev/null; then "${@:2}" <image.raw >"$1"; fi; }
pack image.gz gzip -c
pack image.stream.zst zstd -q -c
[ ! -f image.stream.zst ] || ln image.stream.zst image.spill.zst # read with a spill folder
pack image.lz4 lz4 -q -c
pack image.linked.lz4 lz4 -q -BD -c
pack image.xz xz -0 -T1 -c
pack image.blocks.xz xz -0 -T1 --block-size=16MiB -c
pack image.bz2 bzip2 -1 -c
if command -v zstd >/dev/null; then
	zstd -q image.raw -o image.zst
	split -b 16M image.raw part.
	for p in part.*; do zstd -q -c "$p"; done >image.frames.zst
	rm -f part.*
fi
if command -v ewfacquire >/dev/null; then
	ewfacquire -u -q -t image -f encase6 -c deflate:fast -C c -D d -E e -e e -m memory -M physical -N n -b 64 -B "$(stat -c %s image.raw)" -o 0 -S 1GiB image.raw >ewf.log 2>&1
fi
sync
BENCH_PHYSREAD=$tools/physread $python "$bench/containers.py" "${BENCH_CONT_RUNS:-5}"
