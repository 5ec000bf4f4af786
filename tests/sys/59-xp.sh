#!/usr/bin/env bash
# Windows XP SP3, Server 2003 SP2, XP x64 (2600 x86 without and with PAE; 3790 x86, PAE, x64): sessions and the number of their buffers are those of the
# truth; no event is read, and one loss a session says so. Broken lists, lying contexts; kernels of such builds with another layout are too old.
set -u
cd "$SCRATCH" || exit 1
R=$TOP/testdata/recipes
fail=0
bad() { echo "$*"; fail=1; }
make() { "$TOOLS/mkdump" "$@" || exit 1; }
# what the truth x.json has of each session, and what etlift says (times as seconds; nothing that these kernels do not tell)
hex='def hex: reduce explode[] as $c (0; . * 16 + (if $c > 57 then $c - 87 else $c - 48 end));'
truth="$hex"'[.sessions[]|{id,va,name:(.name16|[scan("....")|hex]|implode),mode,size:.buffer_size,at:(.start_time/10000000-11644473600|floor),
	lost:[.events_lost,.buffers_lost,.buffers_written],buffers:(.buffers|length)}]|sort_by(.id)'
told="$hex"'[.sessions[]|{id,va,name,mode:(.mode|ltrimstr("0x")|hex),size:.buffer_size,at:(.start_time|sub("\\.[0-9]*Z";"Z")|fromdate),
	lost:[.events_lost,.buffers_lost,.buffers_written],buffers:.buffer_count}]|sort_by(.id)'
# compare WHAT [without]: x.img against x.json, as if the session with that number were not there
compare() {
	rm -rf ox
	"$ETLIFT" sessions -q --json x.img >s.json || bad "$1: sessions ends with $?"
	"$ETLIFT" recover -q x.img -o ox || bad "$1: recover ends with $?"
	jq -S "$truth" x.json | jq -S --arg w "${2:-}" '[.[]|select("\(.id)" != $w)]' >want.json
	jq -S "$told" s.json >have.json
	diff want.json have.json || bad "$1: sessions differ"
	[ "$(jq length want.json)" -gt 2 ] || bad "$1: nothing compared"
	jq -e 'all(.sessions[]; .clock == null and .found_by == ["shape_scan"] and .consumers == [])' s.json >/dev/null || bad "$1: invented facts"
	jq -e 'all(.sessions[]; .etl == null and .residual == null and .buffers == [])' ox/report.json >/dev/null || bad "$1: buffers in the report"
	[ -z "$(find ox -name '*.etl')" ] || bad "$1: a trace file"
	diff <(jq -c '[.sessions[]|[.id,.buffer_count]]' s.json) <(jq -c '[.losses[]|select(.what == "buffer_header_bad")|
		[.session, (.detail|capture("^buffers of this Windows are not read: .* GlobalList has (?<n>[0-9]+)$").n|tonumber)]]' ox/report.json) ||
		bad "$1: not one loss a session"
}
only() { [ "$(jq '[.losses[]|select(.what != "buffer_header_bad")]|length' ox/report.json)" = "$2" ] || bad "$1: not $2 other losses: $(jq -c .losses ox/report.json)"; }

for m in "x86 2600" "x86-pae 2600" "x86 3790" "x86-pae 3790" "x64 3790"; do
	set -- $m
	make -a "$1" -b "$2" "$R/xp.recipe" x.img x.json
	compare "$m"
	only "$m" 0
	jq -e --argjson b "$2" '.kernel.profile.match == "build" and .kernel.build == $b and .kernel.cpus == 2 and (.kernel.boot_time != null)' ox/report.json >/dev/null ||
		bad "$m: kernel is $(jq -c .kernel ox/report.json)"
	for c in consumers providers events; do
		"$ETLIFT" $c -q x.img >o.txt || bad "$m: $c ends with $?"
	done
	[ ! -s o.txt ] || bad "$m: events: $(head -1 o.txt)"
	mv have.json raw.json
	f=crash32-full
	[ "$1" != x64 ] || f=crash64-full
	make -a "$1" -b "$2" -f $f "$R/xp.recipe" x.img
	"$ETLIFT" sessions -q --json x.img | jq -S "$told" | diff raw.json - || bad "$m: a crash dump says something else"
done
# the form of list heads for processors without cmpxchg16b
sed 's/^machine /machine slist=8 /' "$R/xp.recipe" >x.recipe
make -a x64 -b 3790 x.recipe x.img x.json
compare "the narrow form of list heads"

# contexts that are none by one mark, session 2: it is not taken, the others are the same
with() { sed "/^session id=7 /i $1" "$R/xp.recipe" >x.recipe; }
i=0
for d in "LoggerId value=0x12345" "BufferSize value=0x1001" "BufferSize value=0" "LoggerName value=7 size=2" "LoggerName value=0 size=2" \
	"MinimumBuffers value=90000000" "NumberOfBuffers value=90000000" "StartTime value=1 size=8" "StartTime value=0x7fffffff00000000 size=8"; do
	i=$((i + 1))
	with "damage field=$d"
	set -- x86 2600
	[ $((i % 2)) = 0 ] || set -- x64 3790
	make -a "$1" -b "$2" x.recipe x.img x.json
	compare "$d, $*" 2
	only "$d, $*" 0
done
# no buffer names it
with "damage buffer=0 off=0x38 value=0x8b001000\ndamage buffer=1 off=0x38 value=0x8b001000\ndamage buffer=2 off=0x38 value=0x8b001000"
make -a x86 -b 2600 x.recipe x.img x.json
compare "owners that are another context" 2
# lists broken in one place: the session is proved by another list, and how many buffers were reached is said
reached() { # ARCH BUILD N STATEMENT
	with "$4"
	make -a "$1" -b "$2" x.recipe x.img x.json
	jq --argjson n "$3" '(.sessions[]|select(.id == 2)|.buffers) |= .[:$n]' x.json >y.json && mv y.json x.json
	compare "$4"
	only "$4" 1
	jq -e --arg d "; $3 of its " 'any(.losses[]; .session == 2 and .what == "list_broken" and (.detail|contains($d)))' ox/report.json >/dev/null ||
		bad "$4: $(jq -c .losses ox/report.json)"
}
reached x86 2600 0 "lose buffer=2 page=0"
reached x64 3790 1 "lose buffer=1 page=0"
reached x86-pae 2600 1 "damage forward=2"
reached x64 3790 3 "damage loop=0"
reached x86 3790 2 "damage buffer=0 off=0x38 value=0x8b001000"
reached x86 2600 0 "damage field=GlobalList value=0x1000"
# whatever stands in heads and links: no crash, no hang, the other sessions are the same
i=0
for v in 0 1 0xffffffffffffffff 0xfffffa8000000010 0x8b00000c; do
	for at in "field=GlobalList off=0" "field=GlobalList off=8" "field=FreeList off=0" "buffer=2 off=0x40" "buffer=2 off=0x3c"; do
		i=$((i + 1))
		with "damage $at value=$v size=8"
		set -- x64 3790
		[ $((i % 2)) = 0 ] || set -- x86 2600
		make -a "$1" -b "$2" x.recipe x.img x.json
		rm -rf ox
		timeout 60 "$ETLIFT_SAN" recover -q --deep x.img -o ox 2>err.txt || bad "$at = $v under the sanitizers: $?, $(cat err.txt)"
		[ "$(jq -c '[.sessions[]|select(.id != 2).id]' ox/report.json)" = "[0,7,9]" ] || bad "$at = $v: $(jq -c '[.sessions[].id]' ox/report.json)"
	done
done
[ $i = 25 ] || bad "only $i lies"

# other kernels of these systems: tried with the layout of their build where there is one, and refused where it does not prove itself
for m in "x86 7601 5 1 2600 Windows.XP" "x86 3790 5 1 2600 Windows.XP" "x86-pae 2600 5 2 3790 Windows.Server.2003" "x64 7601 5 2 3790 Windows.Server.2003" \
	"x86 2600 5 0 2195 Windows.2000"; do
	set -- $m
	sed "s/^machine /machine nt_major=$3 nt_minor=$4 nt_build=$5 foreign=1 /" "$R/xp.recipe" >x.recipe
	make -a "$1" -b "$2" x.recipe x.img
	for c in sessions info events; do
		"$ETLIFT" $c -q x.img >o.txt 2>err.txt
		[ $? = 4 ] && grep -q "$6.*, build $5: too old" err.txt && [ "$(wc -l <err.txt)" = 1 ] || bad "$c, $m: $(cat err.txt)"
	done
done
exit $fail
