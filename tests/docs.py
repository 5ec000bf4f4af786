#!/usr/bin/env python3
"""docs.py FILE.md...: runs what the fenced blocks of these documents tell a reader to run, in the current folder, line by line, with bash.

```sh       commands
```console  a transcript: lines with "$ " are run; the others must be in their output, in this order; "..." stands for anything
Every other block names another language; one that names none is a finding: nobody could tell whether it is run. Commands that need a file of OPTIONAL which
is not here are counted as left out. Files and folders that a command makes stay for the next one of its document."""
import os
import re
import subprocess
import sys

OPTIONAL = ["triage_arm64.dmp", "powershell.etl", "amsi.etl", "ntkrnlmp.json.xz", "memory.raw"]
NOT_COMMANDS = {"text", "jsonc", "json", "c", "python"}
# what the output must hold, beside the status 0: a command that finds nothing is no example
MUST = [("DNS-Client", '"QueryName":"c2.evil.example"'), ("--match 'QueryName", "evil"), ("scan", "evil"), ("etlift sessions", "EventLog-System"),
        ("etlift consumers", "edr-agent.exe"), ("etlift providers", "Microsoft-Windows-DNS-Client"), ("-PowerShell ", "Host Application"),
        ("amsi.etl", '"Script":'), ("jq", '"')]


def blocks(path):
    language, lines, start = None, [], 0
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if line.startswith("```"):
            if language is None:
                language, lines, start = line[3:].strip(), [], number
            else:
                yield language, lines, start
                language = None
        elif language is not None:
            lines.append(line.rstrip("\n"))
    if language is not None:
        yield "not closed", lines, start


def run(command):
    missing = [f for f in OPTIONAL if re.search(r"(?<![\w/-])" + re.escape(f), command) and not os.path.exists(f)]
    if missing:
        return None, ""
    p = subprocess.run(["bash", "-o", "pipefail", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)
    out = p.stdout.decode("utf-8", "replace")
    if p.returncode:
        out += p.stderr.decode("utf-8", "replace")
    return p.returncode, out


def transcript(shown, out):
    """The first shown line that is not in the output where it should be, or None."""
    have, at = out.splitlines(), 0
    for line in shown:
        if line.strip() in ("...", ""):
            continue
        while at < len(have) and have[at].rstrip() != line.rstrip():
            at += 1
        if at == len(have):
            return line
        at += 1
    return None


def commands(language, lines):
    """(command, shown output) of a block."""
    if language == "console":
        found = []
        for line in lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found
    joined = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    return [(line, []) for line in joined if line.strip() and not line.startswith("#")]


def main():
    bad = ran = left_out = 0

    def say(text):
        nonlocal bad
        bad += 1
        print(text)

    for path in sys.argv[1:]:
        for language, lines, number in blocks(path):
            where = "%s:%d" % (os.path.basename(path), number)
            if language in NOT_COMMANDS:
                continue
            if language not in ("sh", "console"):
                say("%s: a block in %r: sh and console are run, others are %s" % (where, language, ", ".join(sorted(NOT_COMMANDS))))
                continue
            found = commands(language, lines)
            if not found:
                say("%s: nothing to run" % where)
            for command, shown in found:
                status, out = run(command)
                if status is None:
                    left_out += 1
                    continue
                ran += 1
                if status:
                    say("%s: status %d: %s\n%s" % (where, status, command, out[-800:]))
                    continue
                line = transcript(shown, out)
                if line is not None:
                    say("%s: %s does not print: %s" % (where, command, line))
                for word, want in MUST:
                    if word in command and " -o " not in command and want not in out:
                        say("%s: %s finds no %s" % (where, command, want))
    print("%d commands run, %d left out for want of their files" % (ran, left_out))
    return bad != 0


sys.exit(main())
