#!/usr/bin/env bash
# Images in the containers of disk and virtual-machine tools: the .etl bytes of the raw image; EWF files by a real producer are read back
# byte-exact; a missing segment is a named loss, not more.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }
etls() { (cd "$1" && find sessions -type f | sort | xargs -r sha256sum); }
same() { # NAME WHAT [OPTION...]: recover of this image gives the raw image's files
	"$ETLIFT" recover -q "$1" "${@:3}" -o oc 2>err.txt || bad "$2: recover ends with $?: $(cat err.txt)"
	diff <(etls oraw) <(etls oc) || bad "$2 gives other bytes"
	rm -rf oc
}

R=$TOP/testdata/recipes/demo.recipe
make() { "$TOOLS/mkdump" -m 256 -H 192 "$@" || exit 1; }
make "$R" m.raw
"$ETLIFT" recover -q m.raw -o oraw || bad "recover of the raw image ends with $?"
[ "$(etls oraw | wc -l)" -ge 2 ] || bad "the raw image has no sessions"

mkdir ewf
make -f ewf "$R" ewf/m.E01
[ -f ewf/m.E02 ] || bad "the made EWF image has one segment only"
same ewf/m.E01 "EWF"
mv ewf/m.E01 ewf/first.E01
for f in ewf/m.E*; do mv "$f" "ewf/first.${f##*.}"; done
same ewf/first.E02 "EWF by its second segment"
rm -r ewf

# VMware: the memory or the state may be given, by name, by --sidecar, or as the only one that fits; and memory inside the state
mkdir vm
make -f vmware "$R" vm/w.vmem
same vm/w.vmem "VMware memory beside its state"
same vm/w.vmss "VMware state beside its memory"
mv vm/w.vmss vm/other.vmss
same vm/w.vmem "VMware memory with a state of another name"
same vm/other.vmss "VMware state with a memory of another name"
mkdir apart
mv vm/other.vmss apart/s
same vm/w.vmem "VMware memory with --sidecar" --sidecar apart/s
same apart/s "VMware state with --sidecar" --sidecar vm/w.vmem
"$ETLIFT" recover -q apart/s -o oc 2>err.txt
[ $? = 3 ] && grep -q 'vmem.*--sidecar' err.txt || bad "a state without its memory: $(cat err.txt)"
rm -rf vm apart oc
make -f vmsn "$R" w.vmsn
same w.vmsn "VMware snapshot with memory inside"
rm w.vmsn

# an old Hyper-V's pair of files has no magic: the other half beside it brings advice, and nothing else
mkdir hv
head -c 1M m.raw >hv/x.bin
"$ETLIFT" info hv/x.bin >/dev/null 2>err.txt
grep -q 'vm2dmp' err.txt && bad "advice without a reason: $(cat err.txt)"
head -c 100000 m.raw >hv/x.vsv
for f in hv/x.bin hv/x.vsv; do
	"$ETLIFT" info $f >/dev/null 2>err.txt
	grep -q 'old Hyper-V.*vm2dmp' err.txt || bad "$f: no advice: $(cat err.txt)"
done
rm -r hv

# a real producer: every variant that it writes, several compressions, in segments
if command -v ewfacquire >/dev/null && command -v ewfexport >/dev/null; then
	head -c 70M m.raw >part.raw
	head -c 20M /dev/urandom >>part.raw
	sha=$("$TOOLS/physdump" part.raw | grep '^sha256')
	acquire() { # FORMAT COMPRESSION SEGMENT
		rm -f e.* e.log
		ewfacquire -u -q -t e -f "$1" -c "$2" -C case -D d -E e -e me -m memory -M physical -N n -b 64 -B "$(stat -c %s part.raw)" -o 0 -S "$3" -d sha1 part.raw \
			>acquire.log 2>&1 || { bad "ewfacquire $1 $2: $(tail -n 2 acquire.log)"; return; }
		first=$(ls e.?01)
		[ "$("$TOOLS/physdump" -o flat "$first" | grep '^sha256')" = "$sha" ] || bad "EWF $1 $2 is not read back as it was"
		cmp flat part.raw || bad "EWF $1 $2: other bytes"
	}
	for c in none empty-block fast best; do acquire encase6 $c 20MiB; done
	for f in ewf smart ftk encase2 encase4 encase5 encase7 linen6 ewfx; do acquire $f fast 20MiB; done
	# ewfexport says the same of our writer's files
	"$TOOLS/mkdump" -m 64 "$R" s.raw && "$TOOLS/mkdump" -m 64 -f ewf "$R" s.E01 || exit 1
	ewfexport -u -q -t back -f raw s.E01 >export.log 2>&1 || bad "ewfexport: $(tail -n 2 export.log)"
	cmp back.raw s.raw || bad "ewfexport reads other bytes"
	ewfverify -q s.E01 >verify.log 2>&1 || bad "ewfverify: $(tail -n 2 verify.log)"
	# the stored hashes are looked at when asked for
	acquire encase6 fast 20MiB
	"$ETLIFT" recover -q --sha256 e.E01 -o ov >/dev/null 2>err.txt
	[ "$(jq -r .image.sha256 ov/report.json)" = "$(sha256sum <part.raw | cut -d' ' -f1)" ] || bad "the hash is not that of the medium"
	jq -e '[.losses[]|select(.detail|test("SHA-1|MD5"))]|length==0' ov/report.json >/dev/null || bad "sound hashes are refused"
	# a segment is missing
	acquire encase6 none 20MiB
	rm e.E03 flat
	"$TOOLS/physdump" e.E01 >runs.txt || bad "a missing segment is fatal"
	[ "$(grep -c ^run runs.txt)" = 2 ] || bad "a missing segment: $(grep ^run runs.txt)"
	"$ETLIFT" recover e.E01 -o om >/dev/null 2>err.txt
	grep -q 'missing' err.txt || bad "a missing segment is not told: $(cat err.txt)"
	jq -e '[.losses[]|select(.what=="image_truncated" and (.detail|test("missing")))]|length>=2' om/report.json >/dev/null || bad "a missing segment is not named"
	rm -f e.* flat back.raw
else
	echo "ewf-tools is not installed: files of the real producer are not tried"
fi
exit $fail
