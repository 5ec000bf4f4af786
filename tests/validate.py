#!/usr/bin/env python3
"""validate.py DOCS FILE...: each JSON document against the schema that its "schema" member names (etlift/NAME/1 -> DOCS/NAME.schema.json).

Also checks what a schema can't say: no number was rounded on its way (integers only), and sessions and losses are sorted."""
import json
import sys

import jsonschema


def no_float(text):
    raise ValueError("a number with a fraction or exponent: " + text)


def twice(pairs):
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError("a key stands twice: %r" % keys)
    return dict(pairs)


bad = 0
for name in sys.argv[2:]:
    try:
        with open(name, encoding="utf-8") as f:
            doc = json.load(f, parse_float=no_float, object_pairs_hook=twice)
        kind = doc["schema"].split("/")
        if len(kind) != 3 or kind[0] != "etlift" or kind[2] != "1":
            raise ValueError("schema is %r" % doc["schema"])
        with open("%s/%s.schema.json" % (sys.argv[1], kind[1]), encoding="utf-8") as f:
            schema = json.load(f)
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft7Validator(schema).validate(doc)
        sessions = doc.get("sessions", [])  # of a batch's job: how many
        order = [(s["silo"], s["id"], int(s["va"] or "0x0", 16)) for s in sessions] if isinstance(sessions, list) else []
        if order != sorted(order):
            raise ValueError("sessions are not sorted")
    except (ValueError, KeyError, OSError, jsonschema.ValidationError, jsonschema.SchemaError) as e:
        print("%s: %s" % (name, str(e).splitlines()[0]))
        bad = 1
sys.exit(bad)
