#!/usr/bin/env python3
"""The progress line of a command at a terminal: progress.py WHAT BYTES COMMAND...

Percentages that go on, a rate and a time left that fit together (left = what is not done / rate), and nothing of it left on the screen at the end.
"""
import os
import pty
import re
import sys

what, size, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
screen = b""
while True:
    try:
        got = os.read(fd, 65536)
    except OSError:  # the other end is gone
        break
    if not got:
        break
    screen += got
os.waitpid(pid, 0)
parts = screen.decode().split("\r\x1b[K")
lines = [p for p in parts if p.startswith(what + " [")]
form = re.compile(r"%s \[(#*) *\] +(\d+)%%(?:  (\d+) MiB/s, (\d+):(\d\d) left)?$" % what)
bad, last, rates = [], -1, 0
for line in lines:
    m = form.match(line)
    if not m:
        bad.append("odd: %r" % line)
        continue
    percent = int(m.group(2))
    if percent < last or percent > 100 or abs(len(m.group(1)) - percent * 30 // 100) > 1:
        bad.append("%r behind %d %%" % (line, last))
    last = percent
    if m.group(3):
        rates += 1
        left, rate = 60 * int(m.group(4)) + int(m.group(5)), int(m.group(3)) << 20
        want = size * (100 - percent) / 100 / rate
        if abs(left - want) > 1 + 0.05 * want:
            bad.append("%r: %.2f s are left" % (line, want))
if what + " [" in parts[-1]:
    bad.append("the line stays: %r" % parts[-1])
print("%s: %d lines, %d with a rate; %d wrong %s" % (what, len(lines), rates, len(bad), bad[:5]))
sys.exit(1 if bad or not rates else 0)
