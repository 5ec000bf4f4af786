#!/usr/bin/env python3
"""Makes data/provider-names.txt: one line "GUID NAME" for each known ETW provider, sorted.

usage: make-provider-names.py MANIFEST-EVENTS.json[.xz] TRACELOGGING-PROVIDERS.json > data/provider-names.txt

The first file maps GUIDs to {"name": ...} (manifest providers), the second is a list of {"guid", "name"} (TraceLogging providers). Where both
name a GUID the manifest's name stands; where the second names one twice, the first name in the alphabet does, so that the result does not
hang on the order of the input. NOTICE says where the facts come from."""
import json
import lzma
import re
import sys


def load(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as f:
        return json.load(f)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    names = {}
    for p in load(sys.argv[2]):
        guid = p["guid"].strip("{}").lower()
        name = p["name"].strip()
        if name and (guid not in names or name < names[guid]):
            names[guid] = name
    for guid, p in load(sys.argv[1]).items():
        if p["name"].strip():
            names[guid.strip("{}").lower()] = p["name"].strip()
    for guid in sorted(names):
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", guid):
            sys.exit(f"not a GUID: {guid}")
        if not all(0x20 <= ord(c) < 0x7F for c in names[guid]):
            sys.exit(f"not a plain name: {guid}")
        print(guid, names[guid])


if __name__ == "__main__":
    main()
