#!/usr/bin/env bash
# report.html: well-formed, complete, self-contained, with everything from memory escaped; the same bytes twice; in Chromium no console message, in light
# and dark. Screenshots stay in build/check (report-light.png, report-dark.png).
set -u
cd "$SCRATCH" || exit 1
fail=0
bad() { echo "$*"; fail=1; }

sed 's/^session id=6 name=EdrFlightRecorder/session id=6 name=%003cscript%003ealert(1)%003c\/script%003e%0026%0022%0027%0001%202e%d800/' \
	"$TOP/testdata/recipes/demo.recipe" >hostile.recipe
"$TOOLS/mkdump" hostile.recipe hostile.img || exit 1
"$TOOLS/mkdump" "$TOP/testdata/recipes/damage.recipe" damage.img || exit 1
for i in hostile damage; do
	"$ETLIFT_SAN" recover -q $i.img -o $i --carve || bad "$i: status $?"
	"$ETLIFT" recover -q $i.img -o $i.2 --carve || bad "$i: status $?"
	cmp $i/report.html $i.2/report.html || bad "$i: other bytes the second time"
done
/usr/bin/python3 - <<'PY' || fail=1
import html.parser, json, re, sys
VOID = {"meta", "br", "rect", "line"}
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
        if tag == "svg" and "role" in a and a.get("aria-labelledby") is None:
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
def contrast(a, b):
    def lum(c):
        c = c.lstrip("#")
        c = "".join(x * 2 for x in c) if len(c) == 3 else c
        v = [int(c[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        v = [x / 12.92 if x <= .03928 else ((x + .055) / 1.055) ** 2.4 for x in v]
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]
    a, b = sorted((lum(a), lum(b)), reverse=True)
    return (a + .05) / (b + .05)
bad = 0
for name in ("hostile", "damage"):
    raw = open(name + "/report.html", encoding="utf-8").read()
    p = Page()
    p.feed(raw)
    p.close()
    text = "".join(p.text)
    r = json.load(open(name + "/report.json"))
    problems = p.problems + (["left open: %s" % p.stack] if p.stack else [])
    for s in r["sessions"]:
        want = re.sub("[\0-\x1f\x7f-\x9f\u2028-\u202e]", "\ufffd", s["name"] or "(name unreadable)")
        if want not in text:
            problems.append("no session %r" % want)
        for c in s["consumers"]:
            if c["process"] and c["process"] not in text:
                problems.append("no consumer " + c["process"])
    for l in r["losses"]:
        if l["detail"] not in text:
            problems.append("no loss " + l["detail"])
    total = sum(s["etl"]["events"] for s in r["sessions"] if s["etl"])
    if "<b>%d</b>events" % total not in raw or "<b>%d</b>sessions" % len(r["sessions"]) not in raw or "<b>%d</b>losses" % len(r["losses"]) not in raw:
        problems.append("other sums")
    for h in p.hrefs:
        if h.startswith("#") and h[1:] not in p.ids or re.match("[a-z]+:", h):
            problems.append("a link to nowhere: " + h)
    if p.tags.count("h1") != 1 or any(b - a > 2 for a, b in zip(p.levels, p.levels[1:])) or "lang=\"en\"" not in raw or p.tags.count("main") != 1:
        problems.append("outline")
    if re.search("https?://", raw) or "@import" in raw or "url(" in raw:
        problems.append("something from elsewhere")
    for block in re.findall(r":root\{[^}]*\}", raw):
        v = dict(re.findall(r"--(\w+):(#\w+)", block))
        for fg, bg, least in (("fg", "bg", 7), ("fg", "soft", 7), ("link", "bg", 4.5), ("warn", "bg", 4.5), ("bar", "bg", 3), ("bar", "soft", 3)):
            if contrast(v[fg], v[bg]) < least:
                problems.append("contrast of %s on %s: %.1f" % (fg, bg, contrast(v[fg], v[bg])))
    for q in problems[:10]:
        print(name, q)
    bad += len(problems)
    print(name, len(raw), "bytes,", len(problems), "problems")
sys.exit(bad != 0)
PY
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
[ -n "$browser" ] || { echo "the page was not opened: there is no Chromium"; exit $fail; }
mkdir -p "$TOP/build/check"
for mode in light dark; do
	args=(--headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$SCRATCH/profile-$mode" --window-size=1000,1600 --enable-logging=stderr --v=0
		--screenshot="$TOP/build/check/report-$mode.png")
	[ $mode = light ] || args+=(--force-dark-mode --enable-features=WebContentsForceDark:inversion_method/none)
	HOME=$SCRATCH timeout 120 "$browser" "${args[@]}" "file://$SCRATCH/hostile/report.html" >browser.out 2>browser.err || { echo "Chromium fails here: $(tail -n 1 browser.err)"; exit $fail; }
	grep 'CONSOLE' browser.err && bad "$mode: console messages"
	[ -s "$TOP/build/check/report-$mode.png" ] || bad "$mode: no screenshot"
done
exit $fail
