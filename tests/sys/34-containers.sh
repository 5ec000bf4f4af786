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
	case $c in qevm* | libvirt*) size="-m 3072 -H 2048" base=$big/raw ;; esac
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
# zeros behind a whole image are padding, of any length; a byte behind them is a loss
"$TOOLS/mkdump" -m 64 -f raw "$recipe" small.raw
small=$(sum_of small.raw)
for c in lime avml zdmp; do
	"$TOOLS/mkdump" -m 64 -f $c "$recipe" small.$c || bad "$c can't be written"
	for pad in 1 31 4096 5000 1000000; do
		{ cat small.$c; head -c $pad /dev/zero; } >padded.$c
		"$ETLIFT" info --strict padded.$c >info.txt 2>err.txt || bad "$c with $pad zeros behind it: status $?, $(cat err.txt)"
		[ $c = zdmp ] || [ "$(sum_of padded.$c)" = "$small" ] || bad "$c with $pad zeros behind it: other memory"
	done
	printf 'x' >>padded.$c
	"$ETLIFT" info --strict padded.$c >info.txt 2>err.txt && bad "$c with bytes behind it: no loss"
done
# ranges that follow each other are one run, wherever they stand in the file
python3 - small.raw pages.lime <<'END' || bad "LiME in pages can't be made"
import struct, sys
raw = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb") as f:
    for at in range(0, len(raw), 4096):
        f.write(struct.pack("<IIQQ8x", 0x4C694D45, 1, at, at + 4095) + raw[at:at + 4096])
END
"$ETLIFT" info --json pages.lime | jq -e '.image.runs | length == 1' >/dev/null || bad "LiME in pages: more than one run"
"$ETLIFT" info pages.lime | grep -q ' in 1 run$' || bad "LiME in pages: info's lines"
[ "$(sum_of pages.lime)" = "$small" ] || bad "LiME in pages: other memory"
# VMware's pair with one half packed, or both: the same whichever is given
mkdir vm
"$TOOLS/mkdump" -m 256 -H 192 -f vmware "$recipe" vm/image.vmem || bad "vmware can't be written"
for how in "image.vmem.gz image.vmss" "image.vmem image.vmss.gz" "image.vmem.gz image.vmss.gz" "plain.vmem state.vmss"; do
	# shellcheck disable=SC2086
	set -- $how
	rm -rf pair && mkdir pair
	case $1 in plain.vmem) gzip -1 -c vm/image.vmem >pair/image.vmem && cp vm/image.vmss pair ;; # packed, and named as if not
	*)
		case $1 in *.gz) gzip -1 -c vm/image.vmem ;; *) cat vm/image.vmem ;; esac >"pair/$1"
		case $2 in *.gz) gzip -1 -c vm/image.vmss ;; *) cat vm/image.vmss ;; esac >"pair/$2"
		;;
	esac
	for given in pair/*; do
		[ "$(sum_of "$given")" = "$want" ] || bad "VMware, $given of $how: other memory"
		"$ETLIFT" info --strict --json "$given" 2>err.txt | jq -e '.image.format == "vmware" and .image.segments == 2' >/dev/null || bad "VMware, $given of $how: $(cat err.txt)"
	done
	"$ETLIFT" batch -q pair -o pair.out 2>err.txt || bad "batch of $how: $(cat err.txt)"
	[ "$(find pair.out -name report.json | wc -l)" = 1 ] || bad "batch takes $how for two images"
	rm -r pair.out
done
# halves of other names than each other's: --sidecar names the other one, packed or not
rm -rf pair
mkdir pair
gzip -1 -c vm/image.vmem >pair/a.vmem.gz
cp vm/image.vmss pair/b.vmss
gzip -1 -c vm/image.vmss >pair/c.vmss.gz
for how in "a.vmem.gz b.vmss" "a.vmem.gz c.vmss.gz" "b.vmss a.vmem.gz"; do
	# shellcheck disable=SC2086
	set -- $how
	[ "$("$TOOLS/physdump" -sidecar "pair/$2" "pair/$1" | sed -n 's/^sha256 //p')" = "$want" ] || bad "VMware, $1 with --sidecar $2: other memory"
	"$ETLIFT" info --strict --json --sidecar "pair/$2" "pair/$1" 2>err.txt | jq -e '.image.format == "vmware" and .image.segments == 2' >/dev/null || bad "VMware, $1 with --sidecar $2: $(cat err.txt)"
done
rm -r vm pair
echo "padding, runs, packed pairs"
# a machine too small for the recipe is one line, and no crash
for m in 1 8 16; do
	"$TOOLS/mkdump" -m $m "$recipe" tiny.raw 2>err.txt
	{ [ $? = 1 ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q 'too little memory\|no large page' err.txt; } || bad "mkdump -m $m: $(cat err.txt)"
done
echo "$n containers"
[ $n -ge 5 ] || bad "too few"
exit $fail
