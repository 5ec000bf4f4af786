#!/usr/bin/env python3
"""validate_lines.py SCHEMA FILE...: each line of the files is a JSON document that the schema describes; all lines, at a speed that allows it.

The schema's top level is asked once for each set of keys (and whether `data` is null), a member's schema once for each value."""
import json
import sys

import jsonschema

schema = json.load(open(sys.argv[1], encoding="utf-8"))
jsonschema.Draft7Validator.check_schema(schema)
bare = dict(schema, properties={k: True for k in schema["properties"]})
top = jsonschema.Draft7Validator(bare)
member = {k: jsonschema.Draft7Validator(dict(s, definitions=schema["definitions"])) if "$ref" not in s else
          jsonschema.Draft7Validator({"allOf": [s], "definitions": schema["definitions"]}) for k, s in schema["properties"].items()}
assert {k for k in schema} <= {"$schema", "title", "type", "additionalProperties", "required", "definitions", "properties", "if", "then"}


def twice(pairs):
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError("a key stands twice: %r" % keys)
    return dict(pairs)


bad = lines = 0
known = set()
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as f:
        for line in f:
            lines += 1
            try:
                doc = json.loads(line, object_pairs_hook=twice)
                shape = (tuple(doc), doc["data"] is None)
                if shape not in known:
                    top.validate(doc)
                    known.add(shape)
                for k, v in doc.items():
                    if k == "data":
                        v = {} if v is not None else None
                    key = (k, json.dumps(v))
                    if key not in known:
                        member[k].validate(v)
                        if len(known) < 200000:
                            known.add(key)
            except (ValueError, KeyError, jsonschema.ValidationError) as e:
                bad += 1
                if bad < 10:
                    print("%s: %s: %s" % (name, str(e).splitlines()[0], line[:200]))
print("%d lines validated, %d bad" % (lines, bad))
sys.exit(bad != 0 or lines == 0)
