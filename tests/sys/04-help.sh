#!/usr/bin/env bash
# The manual page in the tree is the one the program makes; every command explains itself; a full disk is no success.
set -u
bad=0
fail() { echo "$1"; bad=1; }
"$ETLIFT" --man | cmp - "$TOP/man/etlift.1" || fail "man/etlift.1 is not current: run tools/man.sh"
for s in bash zsh; do
	f=$TOP/contrib/completion/etlift.bash
	[ $s = bash ] || f=$TOP/contrib/completion/_etlift
	"$ETLIFT" --completion $s | cmp - "$f" || fail "$f is not current: run tools/man.sh"
done
completed() { bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _etlift; echo "${COMPREPLY[@]}"' sh "$TOP/contrib/completion/etlift.bash" "$@"; }
[ "$(completed etlift reco)" = recover ] && [ "$(completed etlift scan --memo)" = --memory ] && [[ "$(completed etlift events --format '')" == *pcapng* ]] || fail "bash completion"
man_errors=$(command -v groff >/dev/null && groff -man -Tutf8 -ww "$TOP/man/etlift.1" 2>&1 >/dev/null)
[ -z "${man_errors:-}" ] || fail "groff: $man_errors"
commands=$("$ETLIFT" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || fail "--help lists no command"
for c in $commands; do
	"$ETLIFT" "$c" --help | grep -q "^usage: etlift $c " || fail "$c --help has no usage line"
	"$ETLIFT" help "$c" | cmp -s - <("$ETLIFT" "$c" --help) || fail "help $c differs from $c --help"
	"$ETLIFT" "$c" --no-such-option >/dev/null 2>&1
	[ $? = 2 ] || fail "$c takes an unknown option"
done
"$ETLIFT" --version | grep -q '^etlift [0-9]' || fail "--version"
if [ -w /dev/full ]; then
	"$ETLIFT" --help >/dev/full 2>"$SCRATCH/err"
	[ $? = 1 ] && grep -q '^etlift: standard output: ' "$SCRATCH/err" || fail "a full disk looks like success"
fi
exit $bad
