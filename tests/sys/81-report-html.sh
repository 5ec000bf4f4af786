#!/usr/bin/env bash
# report.html: well-formed, complete, self-contained, with everything from memory escaped; the same bytes twice; then in Chromium (tests/browse.py): no
# console message, accessible, light, dark, paper. Screenshots, PDF and its text stay in build/check (report-NAME-light.png ...).
# Pages: hostile names, a damaged machine, 60 sessions with 10,000 buffers, a real ARM64 dump.
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

sed 's/^session id=6 name=EdrFlightRecorder/session id=6 name=%003cscript%003ealert(1)%003c\/script%003e%0026%0022%0027%0001%202e%d800/' \
	"$TOP/testdata/recipes/demo.recipe" >hostile.recipe
"$TOOLS/mkdump" hostile.recipe hostile.img || exit 1
"$TOOLS/mkdump" "$TOP/testdata/recipes/damage.recipe" damage.img || exit 1
{
	echo "machine build=19041 mib=192 cpus=8 seed=7 handles=1200 large=1"
	for ((i = 2; i < 62; i++)); do
		echo "process pid=$((1000 + i * 4)) name=reader$i.exe"
		echo "session id=$i name=Session$i mode=0x100 clock=$((1 + i % 2)) size=4096"
		echo "buffer form=flushed cpu=$((i % 8)) ways=global,queue events=3 repeat=166"
		echo "consumer pid=$((1000 + i * 4))"
	done
	for ((i = 0; i < 40; i++)); do echo "provider guid=1c95126e-7eea-49a9-a3fe-a378b03d$((1000 + i)) pid=1008 sessions=3,6,9 level=4 any=0x10"; done
} >large.recipe
"$TOOLS/mkdump" large.recipe large.img || exit 1
for i in hostile damage large; do
	"$ETLIFT_SAN" recover -q $i.img -o $i --carve || bad "$i: status $?"
	"$ETLIFT" recover -q $i.img -o $i.2 --carve || bad "$i: status $?"
	cmp $i/report.html $i.2/report.html || bad "$i: other bytes the second time"
done
/usr/bin/python3 - <<'PY' || fail=1
import html.parser, json, re, sys
VOID = {"meta", "br"}
SHAPELESS = "[\0-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.problems, self.text, self.tags, self.ids, self.hrefs, self.titles, self.levels = [], [], [], [], set(), [], 0, []
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.tags.append(tag)
        if tag == "script" or any(k.startswith("on") or k in ("src", "srcset") for k in a):
            self.problems.append("active content: %s %s" % (tag, a))
        if tag == "th" and a.get("scope") not in ("row", "col"):
            self.problems.append("a th without scope")
        if tag in ("svg", "g") and "role" in a and not a.get("aria-label"):
            self.problems.append("a picture without a name")
        if "id" in a:
            if a["id"] in self.ids:
                self.problems.append("id twice: " + a["id"])
            self.ids.add(a["id"])
        if "href" in a:
            self.hrefs.append(a["href"])
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self.stack.append(tag)
    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()
    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.problems.append("not balanced at </%s>" % tag)
    def handle_data(self, data):
        self.text.append(data)
bad = 0
for name in ("hostile", "damage", "large"):
    raw = open(name + "/report.html", encoding="utf-8").read()
    p = Page()
    p.feed(raw)
    p.close()
    text = "".join(p.text)
    r = json.load(open(name + "/report.json"))
    problems = p.problems + (["left open: %s" % p.stack] if p.stack else [])
    for s in r["sessions"]:
        want = re.sub(SHAPELESS, "\ufffd", s["name"] or "(name unreadable)")
        if want not in text:
            problems.append("no session %r" % want)
        for c in s["consumers"]:
            if c["process"] and c["process"] not in text:
                problems.append("no consumer " + c["process"])
    for l in r["losses"]:
        if l["detail"] not in text:
            problems.append("no loss " + l["detail"])
    total = sum(s["etl"]["events"] for s in r["sessions"] if s["etl"])
    for n, what in ((total, "event"), (len(r["sessions"]), "session"), (sum(len(s["buffers"]) for s in r["sessions"]), "buffer"), (len(r["losses"]), "losse")):
        if not re.search("<b>%d</b>%s" % (n, what), raw) and n != 1:
            problems.append("other sums: %d %s" % (n, what))
    for s in r["sessions"]:
        for x in s["buffers"][:50]:
            if x["va"] not in text or (x["pa"] and x["pa"] not in text):
                problems.append("no buffer " + x["va"])
        for m in s["mode_flags"]:
            if m not in text:
                problems.append("no mode " + m)
        for x in (s["etl"], s["residual"]):
            if x and (x["sha256"] not in text or x["path"] not in p.hrefs):
                problems.append("no file " + x["path"])
        for v in s["providers"]:
            if v["guid"] not in text:
                problems.append("no provider " + v["guid"])
    for o in r.get("orphans", []):
        if o["etl"] and o["etl"]["path"] not in p.hrefs:
            problems.append("no orphan " + o["etl"]["path"])
    bars = sum(int(n) for n in re.findall("<title>([0-9]+) from ", raw.split("The last hour")[0]))
    outside = sum(int(n) for n in re.findall("([0-9]+) events lie before or after", raw.split("The last hour")[0]))
    drawn = sum(x["etl"]["events"] for x in r["sessions"] + r.get("orphans", []) if x["etl"])
    if bars + outside != drawn:
        problems.append("%d events drawn and %d outside of %d" % (bars, outside, drawn))
    if len(raw) > 8 << 20:
        problems.append("%d bytes are too many to read" % len(raw))
    for h in p.hrefs:
        if h.startswith("#") and h[1:] not in p.ids or re.match("[a-z]+:", h):
            problems.append("a link to nowhere: " + h)
    if p.tags.count("h1") != 1 or any(b - a > 1 for a, b in zip(p.levels, p.levels[1:])) or "lang=\"en\"" not in raw or p.tags.count("main") != 1:
        problems.append("outline")
    if re.search("https?://", raw) or "@import" in raw or "url(" in raw:
        problems.append("something from elsewhere")
    for q in problems[:10]:
        print(name, q)
    bad += len(problems)
    print(name, len(raw), "bytes,", len(problems), "problems")
sys.exit(bad != 0)
PY
mkdir -p "$TOP/build/check"
pages=(hostile/report.html damage/report.html large/report.html)
if [ -n "$DATA" ]; then
	"$ETLIFT" recover -q "$DATA/triage/triage_arm64.dmp" -o arm64 >/dev/null || bad "arm64: status $?"
	pages+=(arm64/report.html)
fi
timeout 300 /usr/bin/python3 "$TOP/tests/browse.py" "$TOP/build/check" "${pages[@]}"
status=$?
grep -q '<script>alert(1)</script>' "$TOP/build/check/report-hostile.txt" || [ $status = 77 ] || bad "the hostile name is not on paper as it is written"
[ $status = 77 ] && [ $fail = 0 ] && exit 77
[ $status = 0 ] || bad "the browser's findings stand above"
exit $fail
