#!/usr/bin/env bash
# Carving: every buffer of a made image is found without a kernel, once and nothing else; memory that holds none gives none.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
cmp() { /usr/bin/python3 "$TOP/tests/carvecmp.py" "$@" || bad "$* differs"; }

for r in carve full rare damage demo rings; do
	"$TOOLS/mkdump" "$R/$r.recipe" $r.img $r.json || exit 1
	# beside the sessions: no record twice, none lost
	"$ETLIFT" recover -q --carve $r.img -o both || bad "$r: recover --carve ends with $?"
	# but for pages that only the page tables have lost
	[ $r = damage ] || /usr/bin/python3 "$TOP/tests/truthcmp.py" $r.json both >t.txt || { cat t.txt; bad "$r: --carve changes what recover finds"; }
	cmp $r.json both
	# buffers that got their pages back: their pages are no losses
	[ $r != damage ] || jq -e '.carve.completed_buffers==2 and ([.losses[]|select(.session==5 and .what=="page_missing")]|length==0)' both/report.json >/dev/null ||
		bad "damage: what was completed is still a loss"
	# the events of the image are those of the files
	ev() { jq -c '[.time,.provider.guid,.event.id,.pid,.tid,.data,.payload]' | sort; }
	"$ETLIFT" events -q --carve $r.img | ev >image.txt
	find both/sessions -name '*.etl' ! -name '*.residual.etl' -exec "$ETLIFT" events {} + | jq -c 'select(.source.buffer!="0x0")' | ev >files.txt
	diff -q image.txt files.txt >/dev/null || bad "$r: events --carve gives $(wc -l <image.txt) events, the files $(wc -l <files.txt), or others"
	"$ETLIFT" carve -q $r.img -o alone || bad "$r: carve ends with $?"
	cmp $r.json alone alone
	# with one thread, under the sanitizers: the same bytes
	"$ETLIFT_SAN" carve -q -j1 $r.img -o san || bad "$r: carve under the sanitizers ends with $?"
	diff -r alone san >/dev/null || bad "$r: other bytes with one thread"
	find both alone -name '*.etl' -exec "$ETLIFT" check -q {} + >/dev/null || bad "$r: check refuses a carved file"
	/usr/bin/python3 "$TOP/tests/validate.py" "$TOP/docs" both/report.json alone/report.json || bad "$r: a report against its schema"
	rm -rf both alone san
done

# no kernel, no page table, no order: only the pages of buffers, shuffled (those of packed rows hold nothing that carving reads)
for r in carve demo; do
	for seed in 1 2; do
		/usr/bin/python3 "$TOP/tests/shufflepages.py" $r.img $r.json shuffled.img $seed
		"$ETLIFT" carve -q shuffled.img -o shuffled || bad "$r, shuffled by $seed: carve ends with $?"
		cmp $r.json shuffled moved
		rm -rf shuffled
	done
done
# nothing tells of some clocks there: every format keeps their raw ticks (demo's pages are the last)
"$ETLIFT" events -q --carve shuffled.img | jq -r 'select(.time==null)|.ticks' >ticks.txt
"$ETLIFT" events -q --carve --format csv shuffled.img | tr -d '\r' | sed 1d | grep '^,' | sed 's/.*,//' | diff -q ticks.txt - >/dev/null || bad "csv: other ticks"
"$ETLIFT" events -q --carve --format xml shuffled.img | grep -o 'RawTime="[0-9]*"' | tr -dc '0-9\n' | diff -q ticks.txt - >/dev/null || bad "xml: other ticks"
if command -v evtxexport >/dev/null; then
	"$ETLIFT" events -q --carve --format evtx -o ticks.evtx shuffled.img
	evtxexport -f xml ticks.evtx | grep -o 'RawTime="[0-9]*"' | tr -dc '0-9\n' | diff -q ticks.txt - >/dev/null || bad "evtx: other ticks"
fi
[ "$(wc -l <ticks.txt)" -gt 30 ] || bad "only $(wc -l <ticks.txt) events without a time"
"$ETLIFT" carve -q carve.img -o c || bad "carve ends with $?"
# where each group comes from, and how sure its times are
jq -r '.orphans[]|[.id,.origin,.time_anchor.source,.time_anchor.sure,.name]|@tsv' c/report.json >groups.txt
diff groups.txt - <<'END' || bad "carve.recipe: other groups"
9	freed	context	certain	StoppedFirst
9	freed	system	likely	carved-9
10	freed	context	certain	Unmapped
11	freed	filetime	certain	carved-11
12	freed	context	certain	Cycles
13	freed	system	likely	carved-13
14	freed	system	likely	carved-14
20	private	context	certain	Private
21	private	filetime	certain	carved-21
22	private	system	likely	carved-22
23	private	context	certain	PrivateWow
30	file_cache	file_header	certain	FileOfAService
31	file_cache	system	guess	carved-31
32	rtbackup	filetime	certain	carved-32
END
# rings inside processes that are at the same addresses, and rings with an odd number of buffers
rings() {
	jq -r '.orphans[]|[.id,.origin,.time_anchor.source,.time_anchor.sure,.name,(.buffers|length),(.buffers|map(.pid)|unique|tostring)]|@tsv' rings/report.json | sort >groups.txt
	diff groups.txt - <<'END' || bad "rings.recipe, $1: other groups"
40	private	context	certain	First	3	[1200]
40	private	context	certain	Second	3	[1204]
40	private	system	likely	carved-40	3	[1208]
41	private	context	certain	FirstWow	2	[1300]
41	private	context	certain	SecondWow	2	[1304]
42	private	context	certain	Mapped	2	[1200]
42	private	system	likely	carved-42	2	[null]
43	private	context	likely	LostOne	3	[null,1200]
44	private	system	likely	carved-44	2	[1204]
45	private	context	certain	Bare	2	[1204]
46	private	context	certain	BareWow	2	[1304]
50	file_cache	file_header	certain	CachedFull	3	[null]
9	freed	context	certain	OddFirst	5	[null]
9	freed	system	likely	carved-9	3	[null]
END
}
"$ETLIFT" carve -q rings.img -o rings || bad "rings: carve ends with $?"
rings carve
rm -rf rings
"$ETLIFT" recover -q --carve rings.img -o rings || bad "rings: recover --carve ends with $?"
rings recover
# the processes' own pages are lost, their page tables are not: all as before, but for whose it is
# (44 is in two processes: which of them is asked for its context is not the same)
jq -r '.orphans[]|select(.origin=="private" and .id!=44)|[.id,.name,(.buffers|length),(.buffers|map(.va)|tostring)]|@tsv' rings/report.json | sort >known.txt
/usr/bin/python3 - rings.img nobody.img <<'PY' || bad "no process to lose"
import re, sys
m = bytearray(open(sys.argv[1], "rb").read())
pages = {at.start() & ~4095 for at in re.finditer(rb"[aw]\.exe\0\0\0", bytes(m))}
for p in pages:
    m[p:p + 4096] = bytes(4096)
open(sys.argv[2], "wb").write(m)
raise SystemExit(not pages)
PY
"$ETLIFT" recover -q --carve nobody.img -o nobody || bad "rings, processes lost: recover --carve ends with $?"
jq -r '.orphans[]|select(.origin=="private" and .id!=44)|[.id,.name,(.buffers|length),(.buffers|map(.va)|tostring)]|@tsv' nobody/report.json | sort | diff known.txt - ||
	bad "rings, processes lost: other groups"
jq -e '[.orphans[].buffers[].pid]|unique==[null]' nobody/report.json >/dev/null || bad "rings, processes lost: a pid is told"
rm -rf nobody nobody.img rings
# contexts of stopped sessions that something has written over: what their own events contradict is not believed
{
	echo 'machine build=19041 mib=64 cpus=4 seed=5'
	n=20
	for d in "" "field=LoggerId value=99 size=4" "field=ClockType value=2 size=4" "field=ReferenceTime off=8 value=0x7000000000000 size=8" \
		"field=ReferenceTime value=0x1e0000000000000 size=8"; do
		echo "session id=$((n += 1)) name=Freed$n size=8192 table=0"
		for c in 0 1 2; do echo "buffer form=flushed cpu=$c ways=global events=30"; done
		[ -z "$d" ] || echo "damage $d"
		echo 'stopped mapped=1 context=1'
	done
	echo 'session id=2 name=Live size=4096'
	echo 'buffer form=flushed cpu=0 ways=global events=9'
} >freed.recipe
"$TOOLS/mkdump" freed.recipe freed.img freed.json || exit 1
"$ETLIFT" recover -q --carve freed.img -o freed || bad "freed contexts: recover --carve ends with $?"
jq -r '.orphans[]|[.id,.time_anchor.source,.time_anchor.sure,.name,(.buffers|length)]|@tsv' freed/report.json | sort | diff - <(tr ' ' '\t' <<'END'
21 context certain Freed21 3
22 system likely carved-22 3
23 system likely Freed23 3
24 system likely Freed24 3
25 system likely Freed25 3
END
) || bad "freed contexts: other groups"
rm -rf freed freed.img
# no kernel, and a file of another boot among those of this one: what stood in memory only is dated by the many
{
	echo 'machine build=19041 mib=64 cpus=4 seed=6'
	for n in 10 11 12 13; do
		echo "session id=$n name=Boot$n size=8192 table=0"
		for c in 0 1; do echo "buffer form=flushed cpu=$c ways=global events=30"; done
		[ $n = 13 ] && echo 'stopped mapped=0 context=0' || echo 'cached'
	done
} >boots.recipe
"$TOOLS/mkdump" boots.recipe boots.img boots.json || exit 1
/usr/bin/python3 "$TOP/tests/shufflepages.py" boots.img boots.json pages.img 1
/usr/bin/python3 - boots.img pages.img <<'PY' || bad "no headers of three files"
import struct, sys
m, n = bytearray(open(sys.argv[1], "rb").read()), 0
with open(sys.argv[2], "ab") as out:
    for at in range(0, len(m), 4096):
        if struct.unpack_from("<I", m, at)[0] != 0x2000 or "Boot1".encode("utf-16-le") not in m[at:at + 4096]:
            continue
        n += 1
        if "Boot12".encode("utf-16-le") in m[at:at + 4096]:
            for off in (0x48 + 0x20 + 0xf8, 0x48 + 0x20 + 0x108):  # BootTime, StartTime: 4,000 days before
                t = struct.unpack_from("<Q", m, at + off)[0]
                assert 1 << 56 < t < 1 << 57, (hex(off), hex(t))
                struct.pack_into("<Q", m, at + off, t - 4000 * 864000000000)
        out.write(m[at:at + 8192])
raise SystemExit(n != 3)
PY
"$ETLIFT" carve -q pages.img -o boots || bad "boots: carve ends with $?"
jq -e '[.orphans[]|select(.origin=="file_cache" and .id==10)|.etl.first_event[:10]] as $day|[.orphans[]|select(.id==13)|.time_anchor.source,.time_anchor.sure,.etl.first_event[:10]]==["file_header","guess",$day[0]]' boots/report.json >/dev/null ||
	bad "boots: a file of another boot dates memory: $(jq -c '.orphans[]|[.id,.time_anchor,.etl.first_event]' boots/report.json)"
rm -rf boots boots.img pages.img
# Windows 7 has no flag that tells a cached buffer which is full to its last byte from one that the kernel is writing
"$TOOLS/mkdump" -b 7601 "$R/rings.recipe" b.img b.json || exit 1
"$ETLIFT" recover -q --carve b.img -o b || bad "rings, 7601: recover --carve ends with $?"
jq -e '[.orphans[]|select(.id==50)|.origin,(.buffers|length)]==["file_cache",3] and ([.orphans[]|select(.id==40)]|length)==3' b/report.json >/dev/null || bad "rings, 7601: other groups"
rm -rf b b.img
# with --deep a stopped session's context is found by its shape: it does not run, so its buffers are written here
"$ETLIFT" carve -q --deep carve.img -o deep || bad "carve --deep ends with $?"
cmp carve.json deep alone
jq -e '[.carve.live[].name]==["Live","LiveDates"]' deep/report.json >/dev/null || bad "carve --deep: other sessions are said to run"
"$ETLIFT" sessions -q --deep --json carve.img | jq -e '[.sessions[]|select(.name=="StoppedFirst")|.found_by[]]==["shape_scan"]' >/dev/null ||
	bad "carve.recipe: no stopped session is found by its shape"
rm -rf deep
# the comparers themselves: a changed record, origin or time must be seen
for e in 's/"fnv":"[0-9a-f]/&0/' 's/"origin":"private"/"origin":"freed"/' 's/"time":133599964[0-9]*/"time":133599960000000000/g'; do
	sed "$e" carve.json >changed.json
	/usr/bin/python3 "$TOP/tests/carvecmp.py" changed.json c alone >t.txt && bad "the comparer does not see $e"
done
sed 's/"fnv":"[0-9a-f]/&0/' carve.json >changed.json
"$TOOLS/sweep" carve.img changed.json -n 1 >t.txt && bad "the sweep does not see a record that is not there"
for b in 7601 9600 14393 22000; do
	"$TOOLS/mkdump" -b $b "$R/carve.recipe" b.img b.json || exit 1
	"$ETLIFT" recover -q --carve b.img -o b || bad "build $b: recover --carve ends with $?"
	jq -e '[.orphans[]|select(.origin=="private" and .time_anchor.source=="context")|.name]==["Private","PrivateWow"]' b/report.json >/dev/null ||
		bad "build $b: contexts of private loggers"
	/usr/bin/python3 "$TOP/tests/truthcmp.py" b.json b >t.txt || { cat t.txt; bad "build $b: --carve changes what recover finds"; }
	cmp b.json b
	rm -rf b b.img
done
# Windows 7 without symbols: the counter's frequency stands in a cached file's header of this boot, or is that of two contexts' starts
for h in 1 0; do
	sed "s/^cached header=1/cached header=$h/" "$R/carve.recipe" >b.recipe
	"$TOOLS/mkdump" -b 7601 b.recipe b.img b.json || exit 1
	"$ETLIFT" recover -q --carve --no-builtin b.img -o b || bad "7601 without symbols, header=$h: recover --carve ends with $?"
	jq -e --argjson h $h '([.orphans[]|select(.name=="StoppedFirst" or .name=="Unmapped" or .name=="Private" or .name=="PrivateWow")|.time_anchor.sure]==["certain","certain","certain","certain"])
		and ([.orphans[]|select(.name=="carved-14" or .name=="carved-13")|.time_anchor.source]==["system","system"])
		and ([.losses[]|select(.detail|test("frequency of the performance counter: 10000000 Hz, "+(if $h==1 then "named by a file" else "worked out" end)))]|length)==1' \
		b/report.json >/dev/null || bad "7601 without symbols, header=$h: what times rest on"
	cmp b.json b
	rm -rf b b.img
done
"$ETLIFT" carve -q --session 30 carve.img -o one && [ "$(find one -name '*.etl')" = one/sessions/orphan-30-65536-file_cache.etl ] || bad "--session"
"$ETLIFT" carve -q carve.img 2>e.txt && bad "carve without a folder"

# a page lost, any page: whatever does not touch it is recovered whole (all of them in turn: make sweep)
for r in carve full rare; do
	"$TOOLS/sweep" $r.img $r.json -n 40 -s "${SEED:-70}" || bad "$r: a page lost elsewhere costs a buffer"
done

# every header page lost: what the other pages tell by themselves
/usr/bin/python3 "$TOP/tests/carveloose.py" carve.img carve.json "$ETLIFT" . || bad "--loose"
rm -rf ./*.img headless

# nothing is invented: noise, and the programs of this machine in pages as memory holds them
none() { # IMAGE WHAT
	for o in "" --deep "--deep --loose"; do
		# shellcheck disable=SC2086
		"$ETLIFT" carve -q $o "$1" --force -o none >none.txt 2>&1
		[ $? = 4 ] || { cat none.txt; bad "$2 $o: carve finds something"; }
		jq -e '(.carve|.shapes==0 and .loose_runs==0) and (.orphans|length)==0' none/report.json >/dev/null || bad "$2 $o: a buffer in the report"
		rm -rf none
	done
}
openssl enc -aes-128-ctr -K 0102030405060708090a0b0c0d0e0f10 -iv 0 -in /dev/zero 2>/dev/null | head -c $((${NOISE_MIB:-128} << 20)) >noise.img
none noise.img noise
rm -f noise.img
/usr/bin/python3 - $((${USR_MIB:-384} << 20)) <<'PY' || bad "usr.img was not made"
import gzip, os, sys
left, out = int(sys.argv[1]), open("usr.img", "wb")
out.write(bytes(4096))
def put(b):
    global left
    out.write(b[:left] + bytes(-len(b) % 4096))
    left -= len(b)
docs = sorted(os.path.join(d, f) for d, _, names in os.walk("/usr/share/doc") for f in names)
rest = sorted(os.path.join(d, f) for top in ("/usr/bin", "/usr/lib") for d, _, names in os.walk(top) for f in names)
for path in [f for f in docs if ".pdf" in f] + rest + docs:
    try:
        if left > 0 and os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) > 2048:
            put(gzip.open(path).read() if path.endswith(".pdf.gz") else open(path, "rb").read())
    except (OSError, EOFError):
        pass
PY
none usr.img "programs of /usr"
exit $fail
