#!/usr/bin/env bash
# Kernels outside every table: the layout of logger contexts is inferred, says on what it rests, and gives the sessions, buffers and events; what can't
# be told apart is refused, and what only looks like a context is not taken.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
make() { "$TOOLS/mkdump" "$@" || exit 1; }
# compare WHAT [OPTION...]: truth x.json against what etlift says of x.img without profiles
compare() {
	local what=$1
	shift
	rm -rf ox
	"$ETLIFT" recover -q --no-builtin "$@" x.img -o ox || bad "$what: recover ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" --inferred x.json ox >cmp.txt || { bad "$what differs"; cat cmp.txt; }
	[ "$(jq -r .kernel.profile.match ox/report.json)" = inferred ] || bad "$what: match is not inferred"
}
members() { jq -r '.kernel.profile.inferred.members[]|"\(.member) \(.offset)"' "$1"; }

for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	# by the logger table
	make -b $b "$R/plain.recipe" x.img x.json
	compare "plain, build $b"
	python3 "$TOP/tests/validate.py" "$TOP/docs" ox/report.json >valid.txt || { bad "build $b: the report does not validate"; cat valid.txt; }
	[ "$(jq -r .kernel.profile.inferred.from ox/report.json)" = logger_table ] || bad "build $b: not by the table"
	[ "$(members ox/report.json | wc -l)" -ge 14 ] || bad "build $b: only $(members ox/report.json | tr '\n' ' ')"
	members ox/report.json >have.txt
	name=$("$ETLIFT" profile list --json | jq -r "[.profiles[]|select(.build==$b and .arch==\"x64\" and .version!=null)|.name]|last")
	"$ETLIFT" profile show --json "$name" >show.json || bad "build $b: no profile $name"
	# a queue's member leads to its head in the profile, to its first link here
	grep -v Queue have.txt | while read -r member off; do
		known=$(printf "0x%x" "$(jq "[.types|._WMI_LOGGER_CONTEXT,._EPROCESS,._KPROCESS|.members.$member.offset|select(.)][0]" show.json)")
		[ "$known" = "$off" ] || echo "build $b: $member is at $known, inferred is $off"
	done >wrong.txt
	[ ! -s wrong.txt ] || bad "$(cat wrong.txt)"
	# by the buffers alone, with nothing that leads anywhere
	sed 's/^machine /machine kdbg=0 etwdata=0 /' "$R/plain.recipe" >n.recipe
	echo "expect what=context_bad none=1" >>n.recipe
	make -b $b n.recipe x.img x.json
	compare "plain without roots, build $b"
	[ "$(jq -r .kernel.profile.inferred.from ox/report.json)" = buffers ] || bad "build $b: not by the buffers"
	members ox/report.json | diff have.txt - || bad "build $b: the buffers tell another layout than the table"
	jq -e '[.sessions[]|.found_by==["shape_scan"]]|all' ox/report.json >/dev/null || bad "build $b: not by shape"
done

# a layout that no kernel has had; of a build that no table has, built-in profiles or not: but these lead to the processors' MHz, and so to times in cycles
uncounted() { # FOLDER: without what depends on them
	rm -f "$1"/sessions/06-CycleClock.etl "$1"/report.html
	jq 'del(.sessions[]|select(.clock=="cpu_cycle"))|del(.losses[]|select(.session==6 and (.detail|test("MHz"))))|
		del(.sessions[]|(.etl,.residual)|select(.)|.sha256)|del(.kernel.profile.inferred.members[]|select(.member=="MHz"))' \
		"$1/report.json" >r.json && mv r.json "$1/report.json"
	for f in "$1"/sessions/*.etl; do
		head -c 4 /dev/zero | dd of="$f" bs=1 seek=$((0x68 + 0x34)) conv=notrunc status=none # each header has them
	done
}
for b in 19041 22000 26100; do
	sed 's/^machine /machine future=1 /' "$R/plain.recipe" >n.recipe
	make -b $b n.recipe x.img x.json
	compare "future of $b"
	mv ox one
	"$ETLIFT" recover -q x.img -o ox || bad "future of $b with built-in profiles: recover ends with $?"
	jq -e '[.sessions[]|select(.id==6).etl.first_event]!=[null] and .losses==[]' ox/report.json >/dev/null || bad "future of $b with built-in profiles: no MHz"
	uncounted one
	uncounted ox
	diff -r one ox || bad "future of $b: built-in profiles change the outcome"
	rm -rf one
	sed 's/^machine /machine future=1 kdbg=0 etwdata=0 /' "$R/plain.recipe" >n.recipe
	echo "expect what=context_bad none=1" >>n.recipe
	make -b $b n.recipe x.img x.json
	compare "future of $b without roots"
done

# almost-contexts beside real ones: none comes out, whatever led to the layout
sed -n '/^session id=10 /,$p' "$R/almost.recipe" | sed 's/^session id=/session id=1/' >tail.txt
for more in "" "kdbg=0 etwdata=0"; do
	sed "s/^machine /machine future=1 $more /" "$R/plain.recipe" | cat - tail.txt >n.recipe
	[ -z "$more" ] || echo "expect what=context_bad none=1" >>n.recipe
	make n.recipe x.img x.json
	compare "almost-contexts, $more" --deep
done

# too little to compare: refused, with what is missing and what is wanted
sed '/^session id=3 /,$d' "$R/plain.recipe" >n.recipe
make n.recipe x.img
rm -rf ox
"$ETLIFT" recover -q --no-builtin x.img -o ox 2>err.txt && bad "one session was enough"
grep -q "wanted is ntkrnlmp.pdb, GUID [0-9a-f-]*, age 1, .*can't be inferred: 1 sessions" err.txt || bad "the message: $(cat err.txt)"
[ ! -e ox/sessions ] || bad "a refused layout left files"

# hostile memory under the sanitizers: any layout or none, but no harm
for r in lies damage full; do
	make "$R/$r.recipe" x.img
	rm -rf ox
	"$ETLIFT_SAN" recover -q --no-builtin --deep x.img -o ox 2>err.txt
	[ $? -le 5 ] || { bad "$r without profiles under the sanitizers"; cat err.txt; }
	! grep -q Sanitizer err.txt || { bad "$r: $(cat err.txt)"; }
done
exit $fail
