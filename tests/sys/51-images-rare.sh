#!/usr/bin/env bash
# What 50-images leaves out: containers, all buffer states, packed rows, torn records and the rest of rare.recipe on eight builds; kernels of
# builds whose symbols nobody has; every layout variant of the eight builds; KPTI roots and hints that lead nowhere.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
# compare NAME WHAT: truth NAME.json against what etlift says of NAME.img
compare() {
	rm -rf "o$1"
	"$ETLIFT" recover -q "$1.img" -o "o$1" || bad "$2: recover ends with $?"
	"$ETLIFT" consumers -q --json "$1.img" >"$1.cons" || bad "$2: consumers ends with $?"
	"$ETLIFT" providers -q --json "$1.img" >"$1.prov" || bad "$2: providers ends with $?"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" "$1.json" "o$1" "$1.cons" "$1.prov" >cmp.txt || { bad "$2 differs"; cat cmp.txt; }
	"$ETLIFT" check -q "o$1"/sessions/*.etl >/dev/null || bad "$2: check refuses a file"
}
make() { "$TOOLS/mkdump" "$@" || exit 1; }

for b in 7601 9600 14393 17763 18362 19041 20348 22000; do
	for r in rare lies damage enabled; do
		make -b $b "$R/$r.recipe" r.img r.json
		compare r "$r, build $b"
	done
done

# what leads to sessions is broken (kernels whose logger table has a page of its own)
for b in 17763 18362 19041 20348 22000; do
	make -b $b "$R/broken.recipe" b.img b.json
	compare b "broken, build $b"
done

# the same without symbols: the host's state is found by what the kernel's image points to, else by the consumers
for b in 17763 18362 19041 20348 22000; do
	for more in "" "globals=0"; do
		sed "s/^machine /machine foreign=1 $more /" "$R/broken.recipe" >n.recipe
		make -b $b n.recipe n.img n.json
		compare n "broken $more, build $b, unknown GUID"
	done
done

# layouts without symbols: a kernel of an unknown GUID
for b in 7600 9200 10240 10586 15063 16299 17134 22621 26100; do
	for r in full rare lies damage; do
		make -b $b "$R/$r.recipe" n.img n.json
		compare n "$r, build $b without symbols"
	done
done

# Windows 7 without symbols: the counter's frequency comes from the sessions' starts, usual ones and TSC / 1024
for hz in 2337949 2109960 14318180; do
	sed "s/freq=3579545/freq=$hz/" "$R/rare.recipe" >n.recipe
	make -b 7600 n.recipe n.img n.json
	compare n "Windows 7, $hz Hz"
done

# layouts that moved inside a build
for v in 17763:10.0.17763.379 17763:10.0.17763.2114 17763:10.0.17763.4499 18362:10.0.18362.30 18362:10.0.18362.836 19041:10.0.19041.329 \
	14393:10.0.14393.4583 9600:6.3.9600.19913 20348:10.0.20348.288 22000:10.0.22000.318; do
	make -b ${v%:*} -k ${v#*:} "$R/rare.recipe" k.img k.json
	compare k "rare, kernel ${v#*:}"
done

# what a crash header names as root: a process' one, one of user mode, nothing; with and without the low stub
for h in process user none; do
	for stub in 0 1; do
		sed "s/^machine /machine hint=$h stub=$stub decoys=1 /" "$R/rare.recipe" >h.recipe
		make -f crash64-kernel h.recipe h.img h.json
		compare h "hint=$h stub=$stub"
	done
done
# lies under the sanitizers: the same bytes
make "$R/lies.recipe" l.img l.json
compare l lies
"$ETLIFT_SAN" recover -q l.img -o lsan || bad "lies under the sanitizers: recover ends with $?"
diff -r ol lsan || bad "the sanitized program gives other bytes"
exit $fail
