#!/usr/bin/env bash
# The installed library: only etlift_* is exported, pkg-config knows it, programs in C (shared and static) and Python use it, its manual has no gap, the
# static program's names may be ours; every file that belongs to an installation is there, uninstall leaves nothing.
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
extra=$(nm --defined-only -g "$root/usr/lib/libetlift.a" | awk 'NF == 3 && $3 !~ /^etlift_/ {print $3}')
[ -z "$extra" ] || fail "global in libetlift.a besides etlift_*: $(echo "$extra" | head -n 5)"
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

# the examples, on a made image: they say what the program says
"$TOOLS/mkdump" testdata/recipes/demo.recipe "$SCRATCH/demo.raw" || exit 1
"$ETLIFT" recover -q "$SCRATCH/demo.raw" -o "$SCRATCH/demo.out" || fail "recover"
want=$(python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))["sessions"]
print("%d sessions, %d events" % (len(s), sum(b["events"] for x in s for b in x["buffers"])))' "$SCRATCH/demo.out/report.json")
installed=$root/usr/share/doc/etlift/examples
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -o "$SCRATCH/sessions" "$installed/sessions.c" $(pkg-config --cflags --libs etlift) || fail "the C example does not build"
{ echo 'int json_string(void); int json_string(void) { return 1; }'; cat "$installed/sessions.c"; } >"$SCRATCH/clash.c"
# shellcheck disable=SC2046
cc -o "$SCRATCH/static" "$SCRATCH/clash.c" $(pkg-config --cflags etlift) "$root/usr/lib/libetlift.a" $(pkg-config --static --libs etlift | sed 's/-L[^ ]*  *-letlift//; s/-letlift//') $(make -s print-LIB_LIBS) \
	2>"$SCRATCH/err" || fail "the C example does not link with libetlift.a: $(tail -n 3 "$SCRATCH/err")"
for p in sessions static; do
	"$SCRATCH/$p" "$SCRATCH/demo.raw" >"$SCRATCH/said" 2>&1 || fail "$p: status $?"
	grep -q "^$want, " "$SCRATCH/said" && grep -q 'EdrFlightRecorder: 2 buffers' "$SCRATCH/said" || fail "$p says something else than $want: $(tail -n 1 "$SCRATCH/said")"
	"$SCRATCH/$p" /dev/null >/dev/null 2>&1
	[ $? = 3 ] || fail "$p takes an empty file"
done
LIBETLIFT=$lib python3 "$installed/sessions.py" "$SCRATCH/demo.raw" "$SCRATCH/py.out" >"$SCRATCH/said" 2>&1 || fail "the Python example: status $?: $(tail -n 1 "$SCRATCH/said")"
grep -q "^$want, " "$SCRATCH/said" || fail "the Python example says something else"
diff -r "$SCRATCH/demo.out" "$SCRATCH/py.out" || fail "the Python example writes other files than recover"
if command -v doxygen >/dev/null; then
	make -s doc 2>"$SCRATCH/err" && [ ! -s "$SCRATCH/err" ] && [ -s build/doc/html/etlift_8h.html ] || fail "doxygen: $(head -n 5 "$SCRATCH/err")"
else
	echo "there is no doxygen: the manual was not made"
fi

# every man page, document and completion of the tree is installed, and programs run from there
for f in man/*.1 docs/*.md docs/*.json docs/*.xsd docs/formats/*.md README.md CHANGELOG.md NOTICE LICENSE; do
	find "$root/usr/share" -name "$(basename "$f")" | grep -q . || fail "$f is not installed"
done
for c in $(make -s print-COMMANDS); do [ -s "$root/usr/share/man/man1/etlift-$c.1" ] || fail "no page of $c"; done
for f in bash-completion/completions/etlift zsh/site-functions/_etlift; do [ -s "$root/usr/share/$f" ] || fail "$f is not installed"; done
"$root/usr/bin/etlift" --version >/dev/null || fail "the installed program does not run"
outside=$(find "$root" ! -type d ! -path "$root/usr/*")
[ -z "$outside" ] || fail "installed outside of the prefix: $outside"
make uninstall DESTDIR="$root" prefix=/usr >/dev/null || fail "uninstall"
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "uninstall leaves: $left"
exit $bad
