#!/usr/bin/env bash
# tarball.sh BUILD VERSION: BUILD/etlift-VERSION-linux-ARCH.tar.gz out of BUILD/portable/etlift. Called by `make tarball`. Same inputs, same bytes.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC
build=$1 version=$2 name=etlift-$2-linux-$(uname -m)
# the time of everything in it: the last entry of the changelog, unless SOURCE_DATE_EPOCH says otherwise
epoch=${SOURCE_DATE_EPOCH:-$(date -d "$(sed -n 's/^ -- .*>  //p' debian/changelog | head -n 1)" +%s)}
top=$build/portable/$name
rm -rf "$top"
mkdir -p "$top/bin" "$top/lib" "$top/licences"
cp "$build/portable/etlift" "$top/bin/etlift"
strip --strip-unneeded "$top/bin/etlift"
make -s install-data DESTDIR="$PWD/$build/portable/data" prefix=/usr
cp -r "$build/portable/data/usr/share" "$top/share"
rm -rf "$build/portable/data"
cp README.md LICENSE NOTICE CHANGELOG.md "$top/"

# shared libraries that had no archive, but not those of the C library
ldd "$top/bin/etlift" | while read -r soname arrow path _; do
	[ "$arrow" = "=>" ] || continue
	case $soname in libc.so.* | libm.so.* | libdl.so.* | libpthread.so.*) continue ;; esac
	cp -L "$path" "$top/lib/$soname"
done
# the licence of every package whose code is in it
for lib in $(make -s print-STATIC_LIBS | tr ' ' '\n' | sed -n 's/^-l//p' | sort -u); do
	case $lib in m | dl | pthread | c) continue ;; esac
	so=$(readlink -f "$(cc -print-file-name="lib$lib.so")")
	# a package may own the file under the folder that /usr was merged with
	package=$(dpkg-query -S "$so" "${so#/usr}" 2>/dev/null | head -n 1 | cut -d: -f1) || true
	if [ -n "${package:-}" ] && [ -f "/usr/share/doc/$package/copyright" ]; then cp "/usr/share/doc/$package/copyright" "$top/licences/$package"; fi
done
cat >"$top/licences/README" <<'T'
etlift itself is under the Apache License 2.0 (LICENSE). This program has the libraries below linked in, or beside it in lib/, each under its own
licence, as Debian ships them. liblzo2 is under the GPL, version 2 or later: as a whole the program may be passed on under the GPL, version 3.
T
find "$top" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
chmod 755 "$top/bin/etlift"
tar -C "$build/portable" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --format=ustar -cf - "$name" | gzip -9n >"$build/$name.tar.gz"
echo "$build/$name.tar.gz"
