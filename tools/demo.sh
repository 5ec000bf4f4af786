#!/usr/bin/env bash
# make demo: build, make a sample memory image, run the main commands on it and say what is seen. All output is under out/demo.
set -eu
cd "$(dirname "$0")/.."
make -j"$(nproc)" all tools
etlift=build/release/etlift
out=out/demo
rm -rf "$out"
mkdir -p "$out"
say() { printf '\n# %s\n' "$1"; }
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then say() { printf '\n\033[1m# %s\033[0m\n' "$1"; }; fi
run() { printf '$ etlift %s\n' "$*"; "$etlift" "$@"; }

say "A sample: the memory of a small Windows 10 machine, made from testdata/recipes/demo.recipe (no real machine's data)"
build/release/tools/mkdump testdata/recipes/demo.recipe "$out/sample.raw"
ls -lh "$out/sample.raw"
say "What is it?"
run info "$out/sample.raw"
say "Which tracing sessions were running, and who listened?"
run sessions "$out/sample.raw"
run consumers "$out/sample.raw"
say "The main job: one .etl file per session, and report.json"
run recover "$out/sample.raw" -o "$out/recovered"
say "Are they valid?"
run check "$out"/recovered/sessions/*.etl
say "What happened? The DNS queries, decoded straight from the memory"
run events "$out/sample.raw" --provider Microsoft-Windows-DNS-Client -o "$out/dns.jsonl"
head -n 3 "$out/dns.jsonl" | cut -c1-600
say "The same for a spreadsheet, all events"
run events "$out"/recovered/sessions/*.etl --format csv -o "$out/events.csv"
say "Done. Look at $out/recovered: report.html is the page for people, report.json has everything; the .etl files open in any ETW tool."
