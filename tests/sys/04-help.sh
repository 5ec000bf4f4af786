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
# zsh, as a person meets it: on a terminal, with Tab
if command -v zsh >/dev/null; then
	cat >"$SCRATCH/tab.zsh" <<'Z'
zmodload zsh/zpty
completes() { # WORDS EXPECTED
	local out="" line n=0
	zpty shell zsh -f -i
	zpty -w shell "PS1=; fpath=($TOP/contrib/completion \$fpath); autoload -Uz compinit; compinit -u -d $SCRATCH/zcompdump; etlift() { :; }; print RE''ADY"
	while zpty -r shell line && [[ $line != *READY* ]]; do :; done
	zpty -w -n shell "$1"$'\t'
	repeat 100; do
		while zpty -r -t shell line; do out+=$line; done
		[[ $out == *"$2"* ]] && break
		sleep 0.1
	done
	zpty -d shell
	[[ $out == *"$2"* ]] || { print -r -- "zsh: '$1' and Tab give: $out"; exit 1; }
}
completes "etlift reco" "recover"
completes "etlift scan --memo" "--memory"
completes "etlift events --format=pca" "pcapng"
completes "etlift events --no-resid" "--no-resid"
Z
	TERM=xterm zsh -f "$SCRATCH/tab.zsh" </dev/null || fail "zsh completion"
fi
man_errors=$(command -v groff >/dev/null && groff -man -Tutf8 -ww "$TOP/man/etlift.1" 2>&1 >/dev/null)
[ -z "${man_errors:-}" ] || fail "groff: $man_errors"
commands=$("$ETLIFT" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || fail "--help lists no command"
for c in $commands; do
	"$ETLIFT" "$c" --help | grep -q "^usage: etlift $c " || fail "$c --help has no usage line"
	"$ETLIFT" help "$c" | cmp -s - <("$ETLIFT" "$c" --help) || fail "help $c differs from $c --help"
	# the command's own page says what --help says, option by option
	"$ETLIFT" --man "$c" >"$SCRATCH/page.1" || fail "--man $c"
	[ -z "$(command -v groff >/dev/null && groff -man -Tutf8 -ww "$SCRATCH/page.1" 2>&1 >/dev/null)" ] || fail "groff: page of $c"
	"$ETLIFT" "$c" --help | sed -n 's/^  ....--\([^ ]*\).*/--\1/p' | sort >"$SCRATCH/in-help"
	sed -n '/^\.SH OPTIONS/,/^\.SH EXIT/{s/\\-/-/g; s/^\.B .*--\([^ ]*\).*/--\1/p}' "$SCRATCH/page.1" | sort | cmp -s - "$SCRATCH/in-help" && [ -s "$SCRATCH/in-help" ] ||
		fail "the page of $c has other options than its --help"
	grep -q "^etlift\\\\-$c " "$SCRATCH/page.1" || fail "the page of $c has no name"
	"$ETLIFT" "$c" --no-such-option >/dev/null 2>&1
	[ $? = 2 ] || fail "$c takes an unknown option"
done
"$ETLIFT" --version | grep -q '^etlift [0-9]' || fail "--version"
if [ -w /dev/full ]; then
	"$ETLIFT" --help >/dev/full 2>"$SCRATCH/err"
	[ $? = 1 ] && grep -q '^etlift: standard output: ' "$SCRATCH/err" || fail "a full disk looks like success"
fi
exit $bad
