#!/usr/bin/env bash
# Reproducible builds: program, libraries and tarball have the same bytes from another folder, in another time zone and language, under another umask. The
# tarball runs where there is nothing but the C library, and writes what the program writes. It stays in build/check.
set -u
bad=0
fail() { echo "$1"; bad=1; }
unset SOURCE_DATE_EPOCH MAKEFLAGS
cd "$TOP" || exit 1
make WERROR=-Werror CONFIG=release tarball >"$SCRATCH/log" 2>&1 || { tail -n 20 "$SCRATCH/log"; exit 1; }
make WERROR=-Werror CONFIG=release build/release/libetlift-public.a >"$SCRATCH/log" 2>&1 || { tail -n 20 "$SCRATCH/log"; exit 1; }
tarball=$(basename build/release/etlift-*-linux-*.tar.gz)
other=$SCRATCH/another/folder
mkdir -p "$other"
{ git ls-files -co --exclude-standard 2>/dev/null || find . -path ./build -prune -o -path ./out -prune -o -type f -print; } | tar -cf - -T - | tar -C "$other" -xf -
(cd "$other" && umask 077 && TZ=Pacific/Auckland LC_ALL=C.UTF-8 make -j"$(nproc)" WERROR=-Werror tarball build/release/libetlift-public.a) >"$SCRATCH/log" 2>&1 || { tail -n 20 "$SCRATCH/log"; exit 1; }
for f in etlift libetlift.a libetlift-public.a libetlift.so.0 "$tarball"; do
	cmp "build/release/$f" "$other/build/release/$f" || fail "$f depends on where or how it was built"
done
mkdir -p build/check
cp "build/release/$tarball" build/check/
rm -rf "$other"

tar -C "$SCRATCH" -xzf "build/check/$tarball" || exit 1
top=$SCRATCH/${tarball%.tar.gz}
for f in LICENSE NOTICE README.md licences/README share/man/man1/etlift.1 share/doc/etlift/guide.md; do [ -s "$top/$f" ] || fail "no $f in it"; done
libraries=$(find "$top/licences" -type f ! -name README | wc -l)
[ "$libraries" -ge 8 ] || fail "licences of $libraries libraries only"
root=$SCRATCH/root
mkdir -p "$root"
cp -r "$top" "$root/etlift"
ldd "$top/bin/etlift" | grep -o '/[^ ]*' | while read -r path; do
	case $path in
	"$top"/* | */"$(basename "$top")"/*) ;; # comes along
	*/libc.so.6 | */libm.so.6 | */ld-linux*) mkdir -p "$root$(dirname "$path")" && cp -L "$path" "$root$path" ;;
	*) echo "not from the C library and not in lib/: $path"; exit 1 ;;
	esac
done || bad=1
"$TOOLS/mkdump" testdata/recipes/demo.recipe "$root/demo.raw" || exit 1
mkdir "$root/proc"
# shellcheck disable=SC2016
inside() { unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$root" /etlift/bin/etlift "$@"; } # $ORIGIN needs /proc
if unshare --mount sh -c 'mount -t proc proc "$1/proc"' sh "$root" 2>/dev/null; then
	inside --version >"$SCRATCH/version" || fail "it does not run in an empty root"
	inside recover -q --carve /demo.raw -o /out || fail "recover in an empty root: $?"
	inside events /demo.raw --provider Microsoft-Windows-DNS-Client >"$SCRATCH/events" || fail "events in an empty root: $?"
	grep -q '"QueryName":"c2.evil.example"' "$SCRATCH/events" || fail "no DNS event in an empty root"
else
	echo "no empty root can be made here: the program was run beside the system's libraries"
	(cd "$root" && "$top/bin/etlift" --version >"$SCRATCH/version" && "$top/bin/etlift" recover -q --carve demo.raw -o out) || fail "it does not run"
fi
(cd "$root" && "$ETLIFT" recover -q --carve demo.raw -o out2)
for f in out/sessions out/report.json; do [ -e "$root/$f" ] || fail "no $f"; done
diff -r "$root/out/sessions" "$root/out2/sessions" || fail "the tarball's program writes other files"
"$ETLIFT" --version | sed 's/  */ /g' >"$SCRATCH/want"
sed 's/  */ /g' "$SCRATCH/version" | diff - "$SCRATCH/want" || fail "the tarball's program lacks a library"
exit $bad
