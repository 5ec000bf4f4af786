#!/usr/bin/env bash
# The installed library: only etlift_* is exported, pkg-config knows it, a C program and ctypes use it, uninstall leaves nothing.
set -u
bad=0
fail() { echo "$1"; bad=1; }
root=$SCRATCH/root
cd "$TOP" || exit 1
for f in README.md LICENSE NOTICE CHANGELOG.md; do
	[ -f "$f" ] || { echo "the tree has no $f yet: make install can't run"; exit 77; }
done
make install DESTDIR="$root" prefix=/usr >"$SCRATCH/log" 2>&1 || { cat "$SCRATCH/log"; exit 1; }
lib=$root/usr/lib/libetlift.so
extra=$(nm -D --defined-only "$lib" | awk '$2 != "A" && $3 !~ /^etlift_/ {print $3}')
[ -z "$extra" ] || fail "exported besides etlift_*: $extra"
export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -o "$SCRATCH/embed" tests/sys/embed.c $(pkg-config --cflags --libs etlift) || { echo "the program does not build"; exit 1; }
export LD_LIBRARY_PATH=$root/usr/lib
"$SCRATCH/embed" >/dev/null || fail "embed without an image: $?"
if [ -n "$DATA" ]; then
	"$SCRATCH/embed" "$DATA/triage/triage_arm64.dmp" "$SCRATCH/out" >"$SCRATCH/said" || fail "embed on the ARM64 dump: $?"
	"$ETLIFT" recover -q --no-residual --no-builtin=build "$DATA/triage/triage_arm64.dmp" -o "$SCRATCH/out2" >/dev/null 2>&1
	diff -r "$SCRATCH/out" "$SCRATCH/out2" || fail "the library and the program write different files"
fi
python3 - "$lib" <<'P' || fail "ctypes"
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
lib.etlift_version.restype = ctypes.c_char_p
lib.etlift_error_word.restype = ctypes.c_char_p
assert lib.etlift_version()
image, error = ctypes.c_void_p(), ctypes.create_string_buffer(512)
code = lib.etlift_open(ctypes.byref(image), b"/", None, error, ctypes.c_size_t(512))
assert code == -13 and error.value, (code, error.value)
assert lib.etlift_error_word(code)
P
make uninstall DESTDIR="$root" prefix=/usr >/dev/null || fail "uninstall"
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "uninstall leaves: $left"
exit $bad
