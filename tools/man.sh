#!/usr/bin/env bash
# Writes man/etlift.1 and the shells' completions from the program's own tables. Run it after a change of options.def or commands.def; tests/sys/04-help.sh compares.
set -eu
cd "$(dirname "$0")/.."
make
mkdir -p man
build/release/etlift --man >man/etlift.1
mkdir -p contrib/completion
build/release/etlift --completion bash >contrib/completion/etlift.bash
build/release/etlift --completion zsh >contrib/completion/_etlift
