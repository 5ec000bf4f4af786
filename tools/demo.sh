#!/usr/bin/env bash
# make demo: build, make a sample image, run the main commands on it and say what is seen. All output is under out/demo.
set -eu
cd "$(dirname "$0")/.."
make all tools
etlift=build/release/etlift
out=out/demo
rm -rf "$out"
mkdir -p "$out"
say() { printf '\n\033[1m# %s\033[0m\n' "$1"; }
[ -t 1 ] || say() { printf '\n# %s\n' "$1"; }
run() { printf '$ etlift %s\n' "$*"; "$etlift" "$@"; }

say "A sample: a small kernel crash dump with ETW buffers in its secondary data, made by the test tools"
build/release/tools/mktriage "$out/sample.dmp"
ls -l "$out/sample.dmp"
say "What is it?"
run info "$out/sample.dmp"
say "Which tracing sessions were running?"
run sessions "$out/sample.dmp"
say "The main job: one .etl file per session, and report.json"
run recover "$out/sample.dmp" -o "$out/recovered"
say "Are they valid?"
run check "$out"/recovered/sessions/*.etl
say "Done. Look at $out/recovered; the .etl files open in any ETW tool."
