#!/usr/bin/env bash
# Made crash dumps on the command line: an ETW block that claims 4 GiB, none at all, memory without a block.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
"$TOOLS/mktriage" good.dmp
"$ETLIFT" recover -q good.dmp -o good || bad "good: status $?"
[ "$(jq -c '[.sessions[]|[.name,.etl.events]]' good/report.json)" = '[["EventLog-System",80],["WiFi",80],["Empty",null]]' ] || bad "good: other sessions"
"$ETLIFT" check -q good/sessions/*.etl >/dev/null || bad "check refuses"
"$TOOLS/mktriage" -claims=4294967295 huge.dmp
"$ETLIFT" recover -q huge.dmp -o huge 2>err || bad "a block that claims 4 GiB: status $?"
jq -e '[.losses[].what]|index("blob_truncated")' huge/report.json >/dev/null || bad "the clamp is not named"
diff <(cd good && sha256sum sessions/*) <(cd huge && sha256sum sessions/*) || bad "a block that claims 4 GiB: other files"
"$ETLIFT" recover -q --strict huge.dmp -o strict 2>err
[ $? = 5 ] || bad "--strict does not end with 5"
"$TOOLS/mktriage" -none none.dmp
"$ETLIFT" recover -q none.dmp -o none 2>err
[ $? = 4 ] || bad "no block: status is not 4"
[ "$(wc -l <err)" = 1 ] || bad "no block: not one line: $(cat err)"
[ -f none/report.json ] || bad "no block: no report.json"
exit $fail
