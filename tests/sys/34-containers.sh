#!/usr/bin/env bash
# One memory (192 MiB at 0, 64 MiB at 4 GiB) through every container that mkdump can write: the same physical bytes and the same .etl bytes as raw.
set -u
cd "$SCRATCH" || exit 1
fail=0 n=0
bad() { echo "$*"; fail=1; }

recipe=$TOP/testdata/recipes/demo.recipe
names=$("$TOOLS/mkdump" 2>&1 | sed -n 's/.*containers: //p')
"$TOOLS/mkdump" -m 256 -H 192 "$recipe" image.raw || exit 1
"$ETLIFT" recover -q image.raw -o raw || bad "raw: status $?"
[ "$(ls raw/sessions | wc -l)" -ge 5 ] || bad "raw: too few files"
# a QEMU stream has its hole where QEMU's machines have it
big=$(mktemp -d "$SCRATCH/big.XXX")
"$TOOLS/mkdump" -m 3072 -H 2048 -f crash64-kernel "$recipe" "$big/image" || exit 1
"$ETLIFT" recover -q "$big/image" -o "$big/raw"
sum_of() { "$TOOLS/physdump" "$1" | sed -n 's/^sha256 //p'; }
want="" want_big=$(sum_of "$big/image")
for c in $names; do
	[ "$c" = raw ] && continue
	case $c in crash32-*) continue ;; esac # of 32-bit machines: 59-arch
	mkdir "$c.d"
	case $c in # companions are found by name
	ewf) image=image.E01 ;;
	vmware*) image=image.vmem ;;
	*) image=image.$c ;;
	esac
	size="-m 256 -H 192" base=raw
	case $c in qevm | libvirt) size="-m 3072 -H 2048" base=$big/raw ;; esac
	# shellcheck disable=SC2086
	"$TOOLS/mkdump" $size -f "$c" "$recipe" "$c.d/$image" || { bad "$c can't be written"; continue; }
	"$ETLIFT" recover -q "$c.d/$image" -o "$c" || bad "$c: status $?"
	diff -r "$base/sessions" "$c/sessions" >/dev/null || bad "$c: other .etl files"
	format=$("$ETLIFT" info --json "$c.d/$image" | jq -r .image.format)
	sum=$(sum_of "$c.d/$image")
	[ $base != raw ] || [ -n "$want" ] || want=$sum
	[ "$sum" = "$([ $base = raw ] && echo "$want" || echo "$want_big")" ] && [ -n "$sum" ] || bad "$c: other physical memory"
	[ "$format" != raw ] || bad "$c is taken for raw"
	case $c in elf | elf-virtualbox | kdump* | vmware | vmsn | vmrs) # what they say of the processors is shown
		"$ETLIFT" info --json "$c.d/$image" | jq -e '.kernel.dtb as $d | any(.cpu_contexts[]; .cr3 == $d)' >/dev/null || bad "$c: no CPU context in info"
		"$ETLIFT" info "$c.d/$image" | grep -q '^CPU context 0 .*CR3 0x' || bad "$c: no CPU context in info's lines"
		;;
	esac
	"$ETLIFT_SAN" sessions "$c.d/$image" >/dev/null || bad "$c: under sanitizers"
	echo "$c ($format): the same"
	rm -r "$c.d" "$c"
	n=$((n + 1))
done
echo "$n containers"
[ $n -ge 5 ] || bad "too few"
exit $fail
