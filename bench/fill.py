#!/usr/bin/env python3
"""Fills the holes of a sparse image with noise, so that whoever reads it reads real pages: fill.py IMAGE"""
import os
import sys

f = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(f).st_size
noise = os.urandom(8 << 20)
at = 0
while at < size:
    try:
        hole = os.lseek(f, at, os.SEEK_HOLE)
    except OSError:
        break
    if hole >= size:
        break
    try:
        end = os.lseek(f, hole, os.SEEK_DATA)
    except OSError:
        end = size
    while hole < end:
        n = min(len(noise), end - hole)
        os.pwrite(f, noise[:n], hole)
        hole += n
    at = end
os.close(f)
