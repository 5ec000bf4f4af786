#!/usr/bin/env python3
"""Makes profiles/events/?.txt, the catalogue of manifest events, from manifest-events.json.xz and instrumentation manifests (see NOTICE for the
origin and licence of each).

    tools/make-catalogue.py manifest-events.json.xz [MANIFEST.man...]

One file per first hex digit of the provider's GUID, sorted, so that a look-up unpacks a sixteenth of it. Lines:
    #...                              comment
    P<guid> <name>                    a provider; its events follow
    <id>.<version>\\t<type> <field>\\t...         an event by the list: plain fields, pointers noted as u64
    <id>.<version> <name>\\t<type> <field>\\t...  an event by a manifest, which goes before the list: types are exact; the name may be empty
Types: u8 u16 u32 u64 i8 i16 i32 i64 f32 f64 wstr str guid sid systemtime filetime bool ptr hex32 hex64 bytes, struct<members>;
then :<out> (hex ipv4 ipv6 port sockaddr), (<length>), [<count>]: numbers or the name of a field before. bytes[N] of the list is bytes(N).
A struct's members are the fields that follow it.
"""
import json
import lzma
import os
import sys
import xml.etree.ElementTree as ET

IN = {"UnicodeString": "wstr", "AnsiString": "str", "Int8": "i8", "UInt8": "u8", "Int16": "i16", "UInt16": "u16", "Int32": "i32", "UInt32": "u32",
      "Int64": "i64", "UInt64": "u64", "Float": "f32", "Double": "f64", "Boolean": "bool", "Binary": "bytes", "GUID": "guid", "Pointer": "ptr",
      "FILETIME": "filetime", "SYSTEMTIME": "systemtime", "SID": "sid", "HexInt32": "hex32", "HexInt64": "hex64"}
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


def event_name(p, ev, strings):
    """As src/decode/manbuild.c names events."""
    tasks = {t.get("name"): t for t in p.iter() if local(t) == "task"}
    task = tasks.get(ev.get("task"))
    op = None
    for parent in ([task] if task is not None else []) + [c for c in p if local(c) == "opcodes"]:
        op = next((o for o in parent.iter() if local(o) == "opcode" and o.get("name") == ev.get("opcode")), None) if op is None else op
    t, o = title(task, strings), WIN.get(ev.get("opcode")) or title(op, strings)
    return "%s/%s" % (t, o) if t and o else ev.get("symbol") or t or o or ""


def manifest(path, providers):
    """Puts a manifest's events in place of the list's."""
    root = ET.parse(path).getroot()
    strings = strings_of(root)
    for p in (c for g in root.iter() if local(g) == "events" for c in g if local(c) == "provider" and c.get("guid")):
        guid = p.get("guid").strip("{}").lower()
        mine = providers.setdefault(guid, {"name": p.get("name"), "events": {}})
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
            mine["events"][key] = (clean(event_name(p, ev, strings)), fields)


def line_of(key, event):
    if isinstance(event, tuple):
        return "\t".join(["%s %s" % (key, event[0])] + event[1])
    return "\t".join([key] + ["%s %s" % (t, clean(n)) for n, t in event])


def main():
    with lzma.open(sys.argv[1]) as f:
        providers = json.load(f)
    for path in sys.argv[2:]:
        manifest(path, providers)
    out = {d: [] for d in "0123456789abcdef"}
    for guid in sorted(providers):
        lines = out[guid[0].lower()]
        lines.append("P%s %s" % (guid.lower(), clean(providers[guid]["name"])))
        events = providers[guid]["events"]
        for key in sorted(events, key=lambda k: tuple(int(x) for x in k.split("."))):
            lines.append(line_of(key, events[key]))
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "profiles", "events")
    os.makedirs(folder, exist_ok=True)
    for digit, lines in out.items():
        with open(os.path.join(folder, digit + ".txt"), "w", encoding="utf-8") as f:
            f.write("# Manifest events by provider. Made by tools/make-catalogue.py; origin and licence: NOTICE.\n")
            f.write("\n".join(lines) + "\n")


main()
