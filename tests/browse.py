#!/usr/bin/env python3
"""browse.py OUT PAGE...: opens report.html pages in headless Chromium over WebDriver and checks what a person would meet: no console message, nothing
fetched, nothing of the evidence alive, basic accessibility (names, headings, landmarks, tables, contrast in light and dark, focus, narrow windows), paper.
Screenshots and PDF go to OUT. Status 0: fine, 1: findings, 77: no browser starts here."""
import base64, json, os, re, shutil, signal, subprocess, sys, tempfile, time, urllib.error, urllib.request

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,1000"]

# Findings that need no keyboard: an array of texts.
STATIC = r"""
const bad = [], say = s => bad.length < 40 && bad.push(s), all = q => [...document.querySelectorAll(q)];
if (document.documentElement.lang !== 'en') say('no lang');
if (!document.title.trim()) say('no title');
if (all('script,iframe,object,embed,img,link,form,input,base,style:not(head > style)').length) say('elements that have no business here');
for (const e of all('*')) for (const a of e.attributes)
	if (/^on/.test(a.name) || /^(src|srcset|action|style)$/.test(a.name)) say('attribute ' + a.name + ' of ' + e.tagName);
const landmarks = {MAIN: 1, HEADER: 1, NAV: 1, FOOTER: 1};
for (const tag in landmarks) if (document.body.querySelectorAll(':scope > ' + tag).length !== 1) say('not one ' + tag);
for (const e of document.body.children) if (!landmarks[e.tagName] && !e.matches('a.skip')) say('outside of landmarks: ' + e.tagName);
let level = 0;
for (const h of all('h1,h2,h3,h4,h5,h6')) {
	const l = +h.tagName[1];
	if (l > level + 1) say('heading level jumps to ' + l + ': ' + h.textContent.slice(0, 40));
	level = l;
}
if (all('h1').length !== 1) say('not one h1');
for (const t of all('table')) {
	if (!t.caption || !t.caption.textContent.trim()) say('a table without caption');
	if (!t.tHead || [...t.tHead.rows[0].cells].some(c => c.tagName !== 'TH' || !c.textContent.trim())) say('a table without heads');
	const n = t.tHead ? t.tHead.rows[0].cells.length : 0;
	for (const r of t.tBodies[0].rows) if (r.cells.length !== n) { say('a row of ' + r.cells.length + ' cells under ' + n + ' heads'); break; }
	if (!t.closest('[tabindex="0"][role=region][aria-label]')) say('a table that does not scroll by keyboard');
}
for (const th of all('th')) if (!/^(row|col)$/.test(th.scope)) say('th without scope');
const ids = new Set();
for (const e of all('[id]')) { if (ids.has(e.id)) say('id twice: ' + e.id); ids.add(e.id); }
for (const a of all('a')) {
	const h = a.getAttribute('href');
	if (h === null || (h[0] === '#' ? !ids.has(h.slice(1)) : /^[a-z]+:|^\/|(^|\/)\.\.(\/|$)/.test(h))) say('a link to nowhere: ' + h);
	if (!a.textContent.trim()) say('a link without a name');
}
for (const e of all('[aria-labelledby]')) for (const i of e.getAttribute('aria-labelledby').split(' ')) if (!ids.has(i)) say('aria-labelledby ' + i);
for (const d of all('dl > div')) if (d.children.length !== 2 || d.children[0].tagName !== 'DT' || d.children[1].tagName !== 'DD') say('a dl group');
if (performance.getEntriesByType('resource').length) say('something was fetched');
return bad;
"""

# Contrast of every text that is shown, against the nearest background behind it; of bars against both backgrounds.
CONTRAST = r"""
const seen = new Set(), bad = [];
const rgb = s => (s.match(/[\d.]+/g) || []).map(Number);
const lum = c => { const v = c.slice(0, 3).map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
const back = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
const v = n => { const d = document.createElement('i'); d.style.color = getComputedStyle(document.documentElement).getPropertyValue(n); document.body.append(d); const c = rgb(getComputedStyle(d).color); d.remove(); return c; };
const check = (fg, bg, least, what) => { const k = fg + '/' + bg + '/' + least; if (seen.has(k)) return; seen.add(k); const r = ratio(fg, bg); if (r < least) bad.push(r.toFixed(2) + ' of ' + what); };
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
	const e = walk.currentNode.parentElement;
	if (!walk.currentNode.data.trim() || e.closest('title')) continue;
	const s = getComputedStyle(e);
	if (e.closest('svg')) for (const b of ['--bg', '--soft']) check(rgb(s.fill), v(b), 4.5, 'svg text ' + walk.currentNode.data.slice(0, 20));
	else check(rgb(s.color), back(e), 4.5, e.tagName + ' ' + walk.currentNode.data.slice(0, 20));
	if (s.opacity !== '1') bad.push('opacity of ' + e.tagName);
}
for (const b of ['--bg', '--soft']) { const bar = document.querySelector('.bar'); if (bar) check(rgb(getComputedStyle(bar).fill), v(b), 3, 'bars'); check(v('--link'), v(b), 3, 'focus ring'); }
return {bad, pairs: seen.size, dark: lum(back(document.body)) < .2};
"""

WIDER = r"""
const w = document.documentElement.clientWidth, e = [...document.querySelectorAll('body *')].find(e => !e.closest('.wide') && e.getBoundingClientRect().right > w + 1);
return [document.documentElement.scrollWidth - w, e ? e.outerHTML.slice(0, 80) : ''];
"""

FOCUS = r"""
const e = document.activeElement;
if (!e || e === document.body) return null;
const s = getComputedStyle(e), r = e.getBoundingClientRect(), x = Math.min(Math.max(r.left + 3, 1), innerWidth - 2);
const y = (Math.max(r.top, 0) + Math.min(r.bottom, innerHeight)) / 2, top = document.elementFromPoint(x, y);
window.order = window.order || [...document.querySelectorAll('a[href],summary,[tabindex="0"]')].filter(f => !f.closest('details:not([open]) > :not(summary)'));
return {index: window.order.indexOf(e), total: window.order.length, tag: e.tagName, ring: parseFloat(s.outlineWidth) >= 2 && s.outlineStyle !== 'none',
	svg: !!e.closest('svg'), bold: e.querySelector('text') ? getComputedStyle(e.querySelector('text')).fontWeight : '',
	seen: r.bottom > 0 && r.top < innerHeight && r.width > 0, covered: !(top && (e.contains(top) || top.contains(e)))};
"""


class Driver:
    def __init__(self):
        self.home = tempfile.mkdtemp()
        env = dict(os.environ, HOME=self.home)
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env,
                                        start_new_session=True)
        port = None
        for line in self.process.stdout:
            found = re.search(r"on port (\d+)", line)
            if found and "successfully" in line:
                port = found.group(1)
                break
        self.url = "http://127.0.0.1:%s" % port
        caps = {"browserName": "chrome", "goog:chromeOptions": {"args": FLAGS + ["--user-data-dir=" + self.home + "/profile"]},
                "goog:loggingPrefs": {"browser": "ALL"}}
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser:
            caps["goog:chromeOptions"]["binary"] = browser
        self.session = ""
        self.session = "/session/" + self.ask("POST", "/session", {"capabilities": {"alwaysMatch": caps}})["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + self.session + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=180) as answer:
            return json.load(answer)["value"]

    def run(self, script):
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def cdp(self, cmd, **params):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": cmd, "params": params})

    def close(self):
        try:
            self.ask("DELETE", "")
        except (OSError, ValueError):
            pass
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def scheme(d, dark):
    d.cdp("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])


def names(d):
    """Every node of the accessibility tree whose role needs a name has one."""
    need = {"link", "button", "heading", "image", "img", "table", "region", "navigation", "figure", "DisclosureTriangle"}
    for n in d.cdp("Accessibility.getFullAXTree")["nodes"]:
        role = n.get("role", {}).get("value")
        if not n.get("ignored") and role in need - {"figure"} and not n.get("name", {}).get("value", "").strip():
            yield "%s without an accessible name" % role


def keyboard(d, steps):
    """Tab from the top: every stop is in order, visible, ringed, not under the bar that stays on top."""
    tab = {"actions": [{"type": "key", "id": "k", "actions": [{"type": "keyDown", "value": "\ue004"}, {"type": "keyUp", "value": "\ue004"}]}]}
    last = -1
    for _ in range(steps):
        d.ask("POST", "/actions", tab)
        f = d.run(FOCUS)
        if f is None:
            break
        if f["index"] != last + 1:
            yield "Tab goes from stop %d to %d" % (last, f["index"])
        last = f["index"]
        if not f["seen"] or f["covered"]:
            yield "stop %d (%s) is not in sight: %s" % (last, f["tag"], f)
        if not f["ring"] and not (f["svg"] and f["bold"] == "700"):
            yield "stop %d (%s) shows no focus" % (last, f["tag"])
        if last + 1 == f["total"]:
            return
    if last < 0 or (last + 1 < steps and f is not None):
        yield "only %d stops" % (last + 1)


def width(d, pixels):
    d.cdp("Emulation.setDeviceMetricsOverride", width=pixels, height=900, deviceScaleFactor=1, mobile=False)
    over, widest = d.run(WIDER)
    d.cdp("Emulation.clearDeviceMetricsOverride")
    if over > 0:
        yield "the page is %d pixels wider than a window of %d: %s" % (over, pixels, widest)


def look(d, page, out, whole):
    name = os.path.basename(os.path.dirname(os.path.abspath(page)))
    d.ask("POST", "/url", {"url": "file://" + os.path.abspath(page)})
    yield from d.run(STATIC)
    for dark in (False, True):
        scheme(d, dark)
        c = d.run(CONTRAST)
        if c["dark"] != dark or c["pairs"] < 6:
            yield "the %s scheme was not taken: %s" % ("dark" if dark else "light", c)
        yield from ("%s: contrast %s" % ("dark" if dark else "light", b) for b in c["bad"])
        height = min(int(d.run("return document.documentElement.scrollHeight")), 8000)
        shot = d.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": 1280, "height": height, "scale": 1})
        with open("%s/report-%s-%s.png" % (out, name, "dark" if dark else "light"), "wb") as f:
            f.write(base64.b64decode(shot["data"]))
    scheme(d, False)
    yield from names(d)
    for pixels in (1280, 700, 400):
        yield from width(d, pixels)
    yield from keyboard(d, 400 if whole else 40)
    try:
        d.ask("GET", "/alert/text")
        yield "a dialogue is open"
    except urllib.error.HTTPError:
        pass
    scheme(d, True)
    pdf = base64.b64decode(d.ask("POST", "/print", {}))
    with open("%s/report-%s.pdf" % (out, name), "wb") as f:
        f.write(pdf)
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    for want in ("Image and kernel", "Timeline", "Sessions", "Losses"):
        if want not in text:
            yield "not on paper: " + want
    with open("%s/report-%s.txt" % (out, name), "w", encoding="utf-8") as f:
        f.write(text)
    for m in d.ask("POST", "/se/log", {"type": "browser"}):
        yield "console: %s" % m["message"]
    print(name, d.run("return document.querySelectorAll('*').length"), "elements,", text.count("\f"), "sheets of paper")


def main():
    out, pages = sys.argv[1], sys.argv[2:]
    if not shutil.which("chromedriver"):
        print("there is no chromedriver")
        return 77
    try:
        d = Driver()
    except (OSError, ValueError, KeyError) as e:
        print("Chromium does not start here: %s" % e)
        return 77
    findings = 0
    try:
        for page in pages:
            for finding in look(d, page, out, page == pages[0]):
                print("%s: %s" % (page, finding))
                findings += 1
    finally:
        d.close()
    return findings != 0


sys.exit(main())
