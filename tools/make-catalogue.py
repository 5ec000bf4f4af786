#!/usr/bin/env python3
"""Makes profiles/events/?.txt, the catalogue of manifest events, from sources given best first (see NOTICE for the origin and licence of each):

    tools/make-catalogue.py LIST.json.xz [MANIFEST.man | FOLDER-OF-MANIFESTS | FOLDER-OF-TSV | MORE.txt]...

LIST: plain fields, pointers noted as u64, booleans as u8; used where nothing else knows an event. A folder of manifests: what PerfView writes for
registered providers. A folder of TSV files: fields without lengths and counts, used where nothing but the list knows an event. MORE.txt: lines of the
form below, added to the others' events.
One file per first hex digit of the provider's GUID, sorted, so that a look-up unpacks a sixteenth of it. Lines:
    #...                              comment
    P<guid> <name>                    a provider; its events follow
    <id>.<version>\t<type> <field>\t...         an event by the list
    <id>.<version> <name>\t<type> <field>\t...  an event by a better source: types are exact; the name may be empty
An event may have several lines, best first: builds of Windows differ under one version number; what fits the payload is right.
Types: u8 u16 u32 u64 i8 i16 i32 i64 f32 f64 wstr str guid sid systemtime filetime bool ptr hex32 hex64 bytes cwstr cstr (counted), struct<members>;
then :<out> (hex ipv4 ipv6 port sockaddr), (<length>), [<count>]: numbers or the name of a field before. bytes[N] of the list is bytes(N).
A struct's members are the fields that follow it.
"""
import glob
import json
import lzma
import os
import re
import sys
import xml.etree.ElementTree as ET

IN = {"UnicodeString": "wstr", "AnsiString": "str", "Int8": "i8", "UInt8": "u8", "Int16": "i16", "UInt16": "u16", "Int32": "i32", "UInt32": "u32",
      "Int64": "i64", "UInt64": "u64", "Float": "f32", "Double": "f64", "Boolean": "bool", "Binary": "bytes", "GUID": "guid", "Pointer": "ptr",
      "FILETIME": "filetime", "SYSTEMTIME": "systemtime", "SID": "sid", "HexInt32": "hex32", "HexInt64": "hex64", "CountedUtf16String": "cwstr", "CountedMbcsString": "cstr"}
# The numbers of the in-types (tdh.h). In a folder of manifests, structures stand as a field whose type is the number of their first member.
NUMBER = {t: i + 1 for i, t in enumerate("wstr str i8 u8 i16 u16 i32 u32 i64 u64 f32 f64 bool bytes guid ptr filetime systemtime sid hex32 hex64 cwstr cstr".split())}
OUT = {"HexInt8": "hex", "HexInt16": "hex", "HexInt32": "hex", "HexInt64": "hex", "IPv4": "ipv4", "IPv6": "ipv6", "Port": "port",
       "SocketAddress": "sockaddr"}


def clean(s):
    return s.replace("\t", " ").replace("\n", " ").replace("\r", " ").strip()


def local(e):
    return e.tag.split("}")[-1]


def field(e):
    """One <data> or <struct> and its members as catalogue fields; ValueError: it can't be said."""
    def size(key, left, right):
        v = e.get(key)
        if v and any(c in v for c in " ()[]\t"):
            raise ValueError(v)
        return left + v + right if v else ""

    name = clean(e.get("name", "?"))
    if local(e) == "struct":
        members = [field(m) for m in e if local(m) == "data"]
        return ["struct%d%s %s" % (len(members), size("count", "[", "]"), name)] + [m[0] for m in members]
    t = IN[e.get("inType").split(":")[-1]]
    out = OUT.get(e.get("outType", "").split(":")[-1])
    if out and t not in ("hex32", "hex64", "ptr", "guid", "filetime"):
        t += ":" + out
    return ["%s%s%s %s" % (t, size("length", "(", ")"), size("count", "[", "]"), name)]


def strings_of(root):
    tables = [(r.get("culture", ""), {s.get("id"): s.get("value") for s in r.iter() if local(s) == "string"}) for r in root.iter() if local(r) == "resources"]
    tables.sort(key=lambda t: not t[0].startswith("en"))
    return tables[0][1] if tables else {}


def title(e, strings):
    if e is None:
        return None
    m = e.get("message", "")
    text = strings.get(m[9:-1]) if m.startswith("$(string.") else m
    text = (text or "").split("\n")[0].strip()
    while text.endswith(("%n", "%0")):
        text = text[:-2].strip()
    return text or e.get("name")


WIN = {"win:" + w: w for w in ("Start", "Stop", "DC_Start", "DC_Stop", "Extension", "Reply", "Resume", "Suspend", "Send", "Receive")}


def event_name(p, ev, strings, made):
    """As src/decode/manbuild.c names events."""
    tasks = {t.get("name"): t for t in p.iter() if local(t) == "task"}
    task = tasks.get(ev.get("task"))
    op = None
    for parent in ([task] if task is not None else []) + [c for c in p if local(c) == "opcodes"]:
        op = next((o for o in parent.iter() if local(o) == "opcode" and o.get("name") == ev.get("opcode")), None) if op is None else op
    t, o = title(task, strings), WIN.get(ev.get("opcode")) or title(op, strings)
    if made:
        t = "" if t == "None" or (t or "").startswith("task_") else t
        o = re.sub(r"(_\d+)+$", "", o or "")
        o = "" if o.startswith("opcode") else o
        return "%s/%s" % (t, o) if t and o else t or ""
    return "%s/%s" % (t, o) if t and o else ev.get("symbol") or t or o or ""


def read_xml(path):
    """PerfView escapes neither names nor texts."""
    def escaped(m):
        return m.group(1) + m.group(2).replace("<", "&lt;").replace('"', "&quot;") + m.group(3)

    with open(path, encoding="utf-8", errors="replace") as f:
        text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", f.read())
    try:
        return ET.fromstring(text)
    except ET.ParseError:
        text = re.sub(r"&(?!(amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)", "&amp;", text)
        text = re.sub(r'(message="\$\(string\.)(.*)(\)")', escaped, text)
        text = re.sub(r'(<string id=")(.*)(" value=)', escaped, text)
        text = re.sub(r'(<string id="[^"]*" value=")(.*?)("/>)', escaped, text, flags=re.S)
    try:
        return ET.fromstring(text)
    except ET.ParseError as e:
        print("%s: left out: %s" % (path, e), file=sys.stderr)
        return ET.Element("none")


def signature(fields):
    return [f.split(" ")[0] for f in fields]


def add(mine, key, name, fields):
    """A further reading of an event: unless one with the same types is there."""
    rows = mine.setdefault(key, [])
    if signature(fields) not in [signature(r[1]) for r in rows]:
        rows.append((name, fields))
    elif name:
        rows[:] = [(n or name, f) for n, f in rows]


def maybe_struct(fields):
    """Of a folder of manifests: a structure would be numbered behind the last field."""
    return any("[" in f.split(" ")[0] and NUMBER.get(re.split(r"[:(\[]", f)[0], 0) >= len(fields) for f in fields)


def sized(fields, listed):
    """PerfView leaves constant lengths out: the list has those of binary fields, and a MAC address has 6 bytes. None: nobody knows a length."""
    out = []
    for i, f in enumerate(fields):
        if re.match(r"bytes(:(?!ipv6)\w+)? ", f):
            m = re.fullmatch(r"bytes\[(\d+)\]", listed[i][0]) if listed and len(listed) == len(fields) else None
            mac = re.search(r"(?i)(mac|macaddress|macaddr|bssid| localaddr| peeraddr)$", f)
            if not m and not mac:
                return None
            f = f.replace(" ", "(%s) " % (m.group(1) if m else "6"), 1)
        out.append(f)
    return out


def manifest(path, events, names, made, known):
    """A manifest's events. `made`: PerfView wrote it, and its names are made up where Windows has none."""
    root = read_xml(path)
    strings = strings_of(root)
    for p in (c for g in root.iter() if local(g) == "events" for c in g if local(c) == "provider" and c.get("guid")):
        guid = p.get("guid").strip("{}").lower()
        names.setdefault(guid, p.get("name"))
        mine = events.setdefault(guid, {})
        templates = {t.get("tid"): t for t in p.iter() if local(t) == "template"}
        for ev in (e for g in p if local(g) == "events" for e in g if local(e) == "event"):
            t = templates.get(ev.get("template"))
            if ev.get("template") and t is None:
                continue
            try:
                fields = [f for e in (t if t is not None else []) if local(e) in ("data", "struct") for f in field(e)]
            except (ValueError, KeyError, AttributeError):
                continue
            key = "%d.%d" % (int(ev.get("value"), 0), int(ev.get("version", "0"), 0))
            listed = known.get(guid, {}).get(key)
            if made and not listed and maybe_struct(fields):
                continue
            fields = sized(fields, listed)
            if fields is None:
                continue
            add(mine, key, clean(event_name(p, ev, strings, made)), fields)


def tsv(path, events, names):
    guids = {n: g for g, n in names.items()}
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            cells = line.rstrip("\r\n").split("\t")
            m = re.fullmatch(r"[^()]*\((.*)\)", cells[3]) if len(cells) > 6 else None
            guid = guids.get(cells[0])
            if not m or not guid or not cells[1].isdigit() or not cells[2].isdigit():
                continue
            try:
                fields = ["%s %s" % (IN[w.split(" ", 1)[0]], clean(w.split(" ", 1)[1])) for w in m.group(1).split(", ") if w]
            except (KeyError, IndexError):
                continue
            key = "%s.%s" % (cells[1], cells[2])
            if key not in events.setdefault(guid, {}) and not any(f.startswith("bytes ") for f in fields):
                opcode = re.sub(r"(_\d+)+$", "", cells[4])
                add(events[guid], key, clean("%s/%s" % (cells[6], opcode)) if opcode and cells[6] and cells[6] != "None" and not cells[6].startswith("task_") else "", fields)


def more(path, events, names):
    guid = None
    with open(path, encoding="utf-8") as f:
        for line in (x.rstrip("\n") for x in f):
            if line.startswith("P"):
                guid = line[1:37]
                names[guid] = line[38:]
            elif line and not line.startswith("#"):
                head, *fields = line.split("\t")
                key, _, name = head.partition(" ")
                add(events.setdefault(guid, {}), key, name, fields)


def main():
    with lzma.open(sys.argv[1]) as f:
        known = {g.lower(): p for g, p in json.load(f).items()}
    names = {g: p["name"] for g, p in known.items() if p["name"]}
    known = {g: p["events"] for g, p in known.items()}
    events = {}
    for path in sys.argv[2:]:
        if path.endswith(".txt"):
            more(path, events, names)
        elif not os.path.isdir(path):
            manifest(path, events, names, False, known)
        for x in sorted(glob.glob(os.path.join(path, "*.xml"))):
            manifest(x, events, names, True, known)
        for x in sorted(glob.glob(os.path.join(path, "*.tsv"))):
            tsv(x, events, names)
    out = {d: [] for d in "0123456789abcdef"}
    for guid in sorted(set(events) | set(known)):
        mine, listed, lines = events.get(guid, {}), known.get(guid, {}), out[guid[0]]
        lines.append("P%s %s" % (guid, clean(names.get(guid) or "")))
        for key in sorted(set(mine) | set(listed), key=lambda k: tuple(int(x) for x in k.split("."))):
            for name, fields in mine.get(key, []):
                lines.append("\t".join(["%s %s" % (key, name)] + fields))
            if key not in mine:
                lines.append("\t".join([key] + ["%s %s" % (t, clean(n)) for n, t in listed[key]]))
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "profiles", "events")
    os.makedirs(folder, exist_ok=True)
    for digit, lines in out.items():
        with open(os.path.join(folder, digit + ".txt"), "w", encoding="utf-8") as f:
            f.write("# Manifest events by provider. Made by tools/make-catalogue.py; origin and licence: NOTICE.\n")
            f.write("\n".join(lines) + "\n")


main()
