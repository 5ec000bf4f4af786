#!/usr/bin/env bash
# The Debian packages: built twice in different folders with the same bytes, nothing for lintian to say, hardened; installed in a fresh Debian 12 (made by
# mmdebstrap) and used there by the package's own test; removed without a trace. The .deb files stay in build/check.
set -u
bad=0
fail() { echo "$1"; bad=1; }
for t in dpkg-buildpackage dh lintian; do command -v $t >/dev/null || { echo "there is no $t: see tools/deps.sh"; exit 77; }; done
keep=$TOP/build/check
mkdir -p "$keep"
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(date -d "$(sed -n 's/^ -- .*>  //p' "$TOP/debian/changelog" | head -n 1)" +%s)
unset CI MAKEFLAGS

sources() { # FOLDER: the tree as it is committed or about to be, without what builds leave
	mkdir -p "$1"
	(cd "$TOP" && { git ls-files -co --exclude-standard 2>/dev/null || find . -path ./build -prune -o -path ./out -prune -o -type f -print; } | tar -cf - -T -) | tar -C "$1" -xf -
}
build() { # FOLDER
	sources "$1"
	(cd "$1" && DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage -us -uc) >"$SCRATCH/log" 2>&1 || { tail -n 30 "$SCRATCH/log"; exit 1; }
}
build "$SCRATCH/one/etlift-0.1.0"
(umask 077; export TZ=Pacific/Auckland LC_ALL=C.UTF-8; build "$SCRATCH/another/place/etlift")
n=0
for f in "$SCRATCH"/one/*.deb; do
	cmp "$f" "$SCRATCH/another/place/$(basename "$f")" || fail "$(basename "$f"): other bytes from another folder"
	n=$((n + 1))
done
[ $n -ge 3 ] || fail "only $n packages"
cp "$SCRATCH"/one/*.deb "$keep/"
lintian --allow-root --fail-on error,warning,info -EI "$SCRATCH"/one/*.changes || fail "lintian has something to say"
mkdir "$SCRATCH/x"
for f in "$SCRATCH"/one/*_0.1.0_*.deb; do case $f in *-dbgsym*) ;; *) dpkg-deb -x "$f" "$SCRATCH/x" ;; esac; done
head=$(readelf -Wdl "$SCRATCH/x/usr/bin/etlift")
echo "$head" | grep -q BIND_NOW && echo "$head" | grep -q GNU_RELRO && echo "$head" | grep -q 'NOW PIE' && echo "$head" | grep 'GNU_STACK' | grep -qv 'RWE' || fail "not hardened"
nm -D "$SCRATCH/x/usr/bin/etlift" | grep -q __stack_chk_fail || fail "no stack protector"

# A fresh Debian 12. Everything happens inside of mmdebstrap's hooks; nothing is kept.
command -v mmdebstrap >/dev/null || { echo "there is no mmdebstrap: the packages were not installed"; exit $bad; }
depends=$(sed -n 's/^Depends: etlift, //p' "$SCRATCH/one/etlift-0.1.0/debian/tests/control" | tr -d ' ')
mkdir "$SCRATCH/debs"
cp "$SCRATCH"/one/etlift_*.deb "$SCRATCH"/one/libetlift*_*.deb "$SCRATCH/debs/"
rm -f "$SCRATCH"/debs/*dbgsym*
mv "$SCRATCH/another/place" "$SCRATCH/gone" && rm -rf "$SCRATCH/gone"
tar -C "$SCRATCH/one" --exclude=debian/tmp --exclude='build' -cf "$SCRATCH/src.tar" etlift-0.1.0
cat >"$SCRATCH/inside" <<'T'
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root
apt-get install -y -q --no-install-recommends /root/debs/*.deb >/root/log 2>&1 || { cat /root/log; exit 1; }
etlift --version
mkdir /root/tmp
(cd /root/etlift-0.1.0 && AUTOPKGTEST_TMP=/root/tmp sh debian/tests/main-job)
# what the development package is for
pkg-config --print-errors --exists etlift
cc -Wall -Werror -o /root/sessions /root/etlift-0.1.0/contrib/examples/sessions.c $(pkg-config --cflags --libs etlift)
/root/sessions /root/tmp/sample.raw | grep '^ 6 EdrFlightRecorder: 2 buffers'
test -f /usr/share/bash-completion/completions/etlift && test -f /usr/share/zsh/vendor-completions/_etlift && test -f /usr/share/man/man1/etlift.1.gz
dpkg --verify etlift libetlift0 libetlift-dev
apt-get purge -y -q etlift libetlift0 libetlift-dev >/root/log 2>&1 || { cat /root/log; exit 1; }
test ! -e /usr/bin/etlift # the shell remembers where it was
left=$(find /usr /etc /var/lib/dpkg/info -name '*etlift*')
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
echo "installed, tested, removed: $(cat /etc/debian_version)"
T
cat >"$SCRATCH/hook" <<T
#!/bin/sh
set -eu
mkdir -p "\$1/root/debs"
cp "$SCRATCH"/debs/*.deb "\$1/root/debs/"
tar -C "\$1/root" -xf "$SCRATCH/src.tar"
cp "$SCRATCH/inside" "\$1/root/inside"
chroot "\$1" sh /root/inside >"$SCRATCH/inside.log" 2>&1
T
chmod +x "$SCRATCH/hook"
TMPDIR=$SCRATCH timeout 1500 mmdebstrap --variant=apt --format=null --include="$depends" --customize-hook="$SCRATCH/hook \"\$1\"" bookworm /dev/null >"$SCRATCH/mm.log" 2>&1
status=$?
cp "$SCRATCH/inside.log" "$keep/autopkgtest.log" 2>/dev/null
if [ ! -f "$SCRATCH/inside.log" ]; then
	# nothing of ours ran yet: no mirror, or no right to make a root
	[ $bad = 0 ] || exit 1
	echo "packages are built and checked, but no fresh Debian can be made here: $(grep -E '^E:' "$SCRATCH/mm.log" | head -n 1)"
	exit 77
fi
tail -n 3 "$SCRATCH/inside.log"
[ $status = 0 ] || { tail -n 20 "$SCRATCH/inside.log"; fail "the packages in a fresh Debian: status $status"; }
exit $bad
