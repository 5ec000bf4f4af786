#!/usr/bin/env bash
# make cross TARGET=win64|s390x|i386: etlift for another system, in build/TARGET/release. For tests: tools/cross.sh TARGET CONFIG GOAL...
#
# Debian's packages give the compilers (tools/deps.sh TARGET). The libraries of the other system come out of Debian's packages as well, fetched
# by an apt with a state of its own and unpacked in build/cross/TARGET: nothing is installed for them, and this system's apt is left as it is.
# For Windows Debian has zlib; cJSON, expat, lz4 and bzip2 are built from their source packages; hashes are Windows' own; the other libraries
# are left out, and `etlift --version` says so.
set -eu
cd "$(dirname "$0")/.."
target=${1:-}
config=${2:-release}
[ $# -ge 3 ] && goals=("${@:3}") || goals=(all)
case $target in
win64 | s390x | i386) ;;
*) echo "cross.sh: TARGET=win64, s390x or i386" >&2; exit 2 ;;
esac
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || { echo "cross.sh: this is for Debian on amd64" >&2; exit 1; }
tools/deps.sh build "$target"

W=$PWD/build/cross/$target
dev="zlib1g-dev libcjson-dev libssl-dev liblzma-dev libmspack-dev libzstd-dev liblz4-dev libbz2-dev libsnappy-dev liblzo2-dev libexpat1-dev libyara-dev"
jobs=$(nproc)

# An apt of its own for architecture $1, with source packages: this system's sources and keys, no installed package.
private_apt() {
	mkdir -p "$W/apt/lists/partial" "$W/apt/cache/archives/partial" "$W/apt/sources"
	: >"$W/apt/status"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ ! -f "$f" ] || sed -nE '/^deb /{s/\[([^]]*)arch(\+|-)?=[^] ]*/[\1/;p;s/^deb /deb-src /p}' "$f" >"$W/apt/sources/$(basename "$f" .list).list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ ! -f "$f" ] || sed -E 's/^Types:.*/Types: deb deb-src/; /^Architectures:/d' "$f" >"$W/apt/sources/$(basename "$f")"
	done
	APT=(apt-get -q -q -o APT::Architecture="$1" -o APT::Architectures="$1" -o Dir::State="$W/apt" -o Dir::State::status="$W/apt/status"
		-o Dir::State::lists="$W/apt/lists" -o Dir::Cache="$W/apt/cache" -o Dir::Etc::sourcelist=/dev/null
		-o Dir::Etc::sourceparts="$W/apt/sources" -o APT::Sandbox::User=root -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	# a list that can't be had (a mirror in the middle of a change): the others may do; what follows tells
	"${APT[@]}" update || echo "cross.sh: not all lists could be had" >&2
}

# ARCHITECTURE MORE: the packages of $dev, MORE, and all that they need, unpacked in $W/root.
sysroot() {
	[ ! -f "$W/done" ] || return 0
	rm -rf "$W"
	mkdir -p "$W/root"
	private_apt "$1"
	# shellcheck disable=SC2086
	"${APT[@]}" install -y --download-only --no-install-recommends $dev libgcc-12-dev $2 ||
		{ echo "cross.sh: no packages of $1 can be had" >&2; return 1; }
	for f in "$W"/apt/cache/archives/*.deb; do dpkg -x "$f" "$W/root"; done
	# links that lead to the root of the other system
	find "$W/root" -type l -lname '/*' | while read -r l; do ln -sfn "$W/root$(readlink "$l")" "$l"; done
	rm -rf "$W/apt"
	touch "$W/done"
}

# NAME VERSION LIBRARY CFLAGS: a .pc file for a library in $W/prefix.
pc_file() {
	printf 'Name: %s\nDescription: %s\nVersion: %s\nLibs: -L%s/lib -l%s\nCflags: -I%s/include %s\n' "$1" "$1" "$2" "$W/prefix" "$3" "$W/prefix" "$4" \
		>"$W/prefix/lib/pkgconfig/$1.pc"
}

# LIBRARY SOURCE-FOLDER CFLAGS FILE...: a static library out of some files.
static_library() {
	local name=$1 from=$2 flags=$3 objects=()
	shift 3
	for f in "$@"; do
		# shellcheck disable=SC2086
		x86_64-w64-mingw32-gcc-posix -O2 $flags -c -o "$W/src/$name-$f.o" "$from/$f.c"
		objects+=("$W/src/$name-$f.o")
	done
	x86_64-w64-mingw32-ar rcs "$W/prefix/lib/lib$name.a" "${objects[@]}"
}

# The source package $1 in $W/src/$1: the newest version that can be had (a mirror may lag behind its list).
get_source() {
	local v
	for v in $("${APT[@]/apt-get/apt-cache}" showsrc "$1" | sed -n 's/^Version: //p' | sort -rVu); do
		rm -rf "$W/src/get-$1"
		mkdir "$W/src/get-$1"
		if (cd "$W/src/get-$1" && "${APT[@]}" source --download-only "$1=$v" 2>/dev/null) && dpkg-source --no-check -x "$W/src/get-$1"/*.dsc "$W/src/$1" >/dev/null; then
			return 0
		fi
	done
	echo "cross.sh: no source of $1 can be had" >&2
	return 1
}

libraries_for_windows() {
	[ ! -f "$W/done" ] || return 0
	rm -rf "$W"
	mkdir -p "$W/prefix/include/cjson" "$W/prefix/lib/pkgconfig" "$W/src"
	private_apt amd64
	for p in cjson expat lz4 bzip2; do get_source $p; done

	cp "$W/src/cjson/cJSON.h" "$W/prefix/include/cjson/"
	static_library cjson "$W/src/cjson" -DCJSON_HIDE_SYMBOLS cJSON
	pc_file libcjson "$(sed -nE 's/^#define CJSON_VERSION_(MAJOR|MINOR|PATCH) //p' "$W/src/cjson/cJSON.h" | paste -sd.)" cjson "-I$W/prefix/include/cjson -DCJSON_HIDE_SYMBOLS"

	cp "$W"/src/expat/expat/lib/expat{,_external}.h "$W/prefix/include/"
	: >"$W/src/expat/expat/lib/expat_config.h"
	static_library expat "$W/src/expat/expat/lib" "-DXML_STATIC -DXML_NS -DXML_DTD -DXML_GE=1 -DXML_CONTEXT_BYTES=1024 -DBYTEORDER=1234 -I$W/src/expat/expat/lib" \
		xmlparse xmlrole xmltok
	pc_file expat "$(sed -nE 's/^#\s*define XML_(MAJOR|MINOR|MICRO)_VERSION //p' "$W/prefix/include/expat.h" | paste -sd.)" expat -DXML_STATIC

	cp "$W"/src/lz4/lib/lz4{,frame}.h "$W/prefix/include/"
	static_library lz4 "$W/src/lz4/lib" "" lz4 lz4hc lz4frame xxhash
	pc_file liblz4 "$(sed -nE 's/^#define LZ4_VERSION_(MAJOR|MINOR|RELEASE) +([0-9]+).*/\2/p' "$W/prefix/include/lz4.h" | paste -sd.)" lz4 ""

	cp "$W/src/bzip2/bzlib.h" "$W/prefix/include/"
	static_library bz2 "$W/src/bzip2" "-D_FILE_OFFSET_BITS=64" blocksort huffman crctable randtable compress decompress bzlib

	rm -rf "$W/apt" "$W/src"
	touch "$W/done"
}

# Warnings are errors where CI is set, as everywhere (WERROR in the Makefile).
build() {
	env -u MAKEFLAGS -u MFLAGS make -j"$jobs" HOSTCC=cc BUILD="build/$target" CONFIG="$config" "$@" "${goals[@]}"
}

case $target in
win64)
	libraries_for_windows
	export PKG_CONFIG_LIBDIR=$W/prefix/lib/pkgconfig:/usr/x86_64-w64-mingw32/lib/pkgconfig
	build SYS=win CC="x86_64-w64-mingw32-gcc-posix -isystem $W/prefix/include -L$W/prefix/lib" AR=x86_64-w64-mingw32-ar
	echo "build/win64/release/etlift.exe"
	;;
s390x)
	sysroot s390x ""
	export PKG_CONFIG_LIBDIR=$W/root/usr/lib/s390x-linux-gnu/pkgconfig:$W/root/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$W/root
	build CC="s390x-linux-gnu-gcc --sysroot=$W/root" AR=s390x-linux-gnu-ar
	echo "build/s390x/release/etlift (qemu-s390x-static -L build/cross/s390x/root build/s390x/release/etlift ...)"
	;;
i386)
	sysroot i386 libcriterion-dev
	export PKG_CONFIG_LIBDIR=$W/root/usr/lib/i386-linux-gnu/pkgconfig:$W/root/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$W/root
	# what is built for tests runs where it was built, on the libraries unpacked
	libs=$W/root/lib/i386-linux-gnu:$W/root/usr/lib/i386-linux-gnu
	flags=()
	[ "$config" = release ] || flags=(LDFLAGS="-Wl,--dynamic-linker=$W/root/lib/ld-linux.so.2 -Wl,-rpath,$libs -Wl,-rpath-link,$libs")
	build CC="gcc -m32 --sysroot=$W/root -B$W/root/usr/lib/gcc/i686-linux-gnu/12/ -B$W/root/usr/lib/i386-linux-gnu/" "${flags[@]}"
	echo "build/i386/release/etlift"
	;;
esac
