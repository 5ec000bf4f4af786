#!/usr/bin/env python3
"""Makes profiles/events/?.txt, the catalogue of manifest events, from manifest-events.json.xz (see NOTICE for its origin and licence).

    tools/make-catalogue.py manifest-events.json.xz

One file per first hex digit of the provider's GUID, sorted, so that a look-up unpacks a sixteenth of it. Lines:
    #...                         comment
    P<guid> <name>               a provider; its events follow
    <id>.<version>\\t<type> <field>\\t...
Types: u8 u16 u32 u64 i8 i16 i32 i64 f32 f64 wstr str guid sid systemtime bytes[N] bytes[FIELD].
"""
import json
import lzma
import os
import sys


def clean(s):
    return s.replace("\t", " ").replace("\n", " ").replace("\r", " ").strip()


def main():
    with lzma.open(sys.argv[1]) as f:
        providers = json.load(f)
    out = {d: [] for d in "0123456789abcdef"}
    for guid in sorted(providers):
        lines = out[guid[0].lower()]
        lines.append("P%s %s" % (guid.lower(), clean(providers[guid]["name"])))
        events = providers[guid]["events"]
        for key in sorted(events, key=lambda k: tuple(int(x) for x in k.split("."))):
            lines.append("\t".join([key] + ["%s %s" % (t, clean(n)) for n, t in events[key]]))
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "profiles", "events")
    os.makedirs(folder, exist_ok=True)
    for digit, lines in out.items():
        with open(os.path.join(folder, digit + ".txt"), "w", encoding="utf-8") as f:
            f.write("# Manifest events by provider. Made by tools/make-catalogue.py; origin and licence: NOTICE.\n")
            f.write("\n".join(lines) + "\n")


main()
