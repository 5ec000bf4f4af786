#!/usr/bin/env bash
# Installs what is missing for the named purposes (build, check, bench, fuzz; win64, s390x, i386: tools/cross.sh), from Debian. Never prompts: as
# root it installs, else through sudo -n when there is no terminal (or CI is set), else through sudo. Does nothing when all is there.
set -eu
build="gcc make pkg-config libc6-dev zlib1g-dev libcjson-dev libssl-dev liblzma-dev libmspack-dev libzstd-dev liblz4-dev libbz2-dev libsnappy-dev liblzo2-dev
	libexpat1-dev libyara-dev"
check="libevtx-utils tshark libxml2-utils clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev llvm-14 libcriterion-dev python3 python3-jsonschema jq xz-utils git yara procps ewf-tools chromium chromium-driver fonts-dejavu-core poppler-utils slurmctld slurmd slurm-client munge parallel redis-server python3-celery python3-redis qemu-system-x86 qemu-utils makedumpfile binutils gzip bzip2 lz4 lzop zstd"
bench="python3 yara gzip bzip2 lz4 zstd xz-utils ewf-tools makedumpfile python3-libkdumpfile jq"
fuzz="clang-14 libclang-rt-14-dev"
check="$check dpkg-dev debhelper lintian mmdebstrap zsh doxygen groff-base"
check="$check libwim-dev" # packs what hiberfil.sys is packed with
win64="gcc-mingw-w64-x86-64-posix libz-mingw-w64-dev dpkg-dev wine64"
s390x="gcc-s390x-linux-gnu qemu-user-static"
i386="gcc qemu-user-static"

want=""
for purpose in "$@"; do
	case $purpose in
	build | check | bench | fuzz | win64 | s390x | i386) want="$want ${!purpose}" ;;
	*) echo "deps.sh: no such purpose: $purpose" >&2; exit 2 ;;
	esac
done
command -v dpkg-query >/dev/null || { echo "deps.sh: no dpkg here: install by hand:$want" >&2; exit 0; }

missing=""
for p in $want; do
	dpkg-query -W -f='${db:Status-Abbrev}\n' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "deps.sh: not root and no sudo; missing:$missing" >&2; exit 1; }
	sudo="sudo"
	if [ -n "${CI:-}" ] || [ ! -t 0 ]; then sudo="sudo -n"; fi
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq </dev/null
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing </dev/null >/dev/null
