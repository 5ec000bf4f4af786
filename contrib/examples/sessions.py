#!/usr/bin/env python3
"""sessions.py IMAGE [DIR]: an example of libetlift in Python, by ctypes alone: the ETW sessions of a memory image; with DIR also the rebuilt .etl files and
the reports, as `etlift recover` writes them. The library is the installed one, or $LIBETLIFT. Exit status: 0, 2 (usage), 3 (no image), 4 (no session)."""
import ctypes
import ctypes.util
import os
import sys

ERROR_MAX = 512


class Buffer(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int32) for n in ("has_va", "has_pa", "has_file_offset", "has_same_as")] + \
               [(n, ctypes.c_uint64) for n in ("va", "pa", "file_offset", "same_as")] + \
               [("from_", ctypes.c_uint32), ("cpu", ctypes.c_uint32), ("sequence", ctypes.c_uint64), ("events", ctypes.c_uint32),
                ("data_bytes", ctypes.c_uint32), ("data", ctypes.POINTER(ctypes.c_uint8)), ("first_event", ctypes.c_int64), ("last_event", ctypes.c_int64)]


class Session(ctypes.Structure):
    _fields_ = [("silo", ctypes.c_uint32), ("id", ctypes.c_uint32), ("has_va", ctypes.c_int32), ("has_guid", ctypes.c_int32), ("va", ctypes.c_uint64),
                ("name", ctypes.c_char_p), ("log_file", ctypes.c_char_p), ("guid", ctypes.c_uint8 * 16), ("mode", ctypes.c_uint32), ("clock", ctypes.c_uint32),
                ("start_time", ctypes.c_int64), ("buffer_size", ctypes.c_uint32), ("buffers_lost", ctypes.c_uint32), ("events_lost", ctypes.c_uint32),
                ("found_by", ctypes.c_uint32), ("n_buffers", ctypes.c_uint32), ("n_residual", ctypes.c_uint32), ("buffers", ctypes.POINTER(Buffer)),
                ("residual", ctypes.POINTER(Buffer))]


class Result(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("sessions", ctypes.c_uint32), ("files", ctypes.c_uint32), ("losses", ctypes.c_uint32), ("events", ctypes.c_uint64)]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Session))


def load():
    lib = ctypes.CDLL(os.environ.get("LIBETLIFT") or ctypes.util.find_library("etlift") or "libetlift.so.0")
    image, error = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_size_t)
    for name, result, arguments in (
            ("etlift_version", ctypes.c_char_p, ()),
            ("etlift_open", ctypes.c_int, (ctypes.POINTER(image), ctypes.c_char_p, ctypes.c_void_p) + error),
            ("etlift_close", None, (image,)),
            ("etlift_sessions", ctypes.c_int64, (image, ctypes.c_uint32, CALLBACK, ctypes.c_void_p) + error),
            ("etlift_losses", ctypes.c_size_t, (image,)),
            ("etlift_loss", ctypes.c_char_p, (image, ctypes.c_size_t)),
            ("etlift_recover", ctypes.c_int, (image, ctypes.c_char_p, ctypes.c_uint32, ctypes.POINTER(Result)) + error)):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def main():
    if len(sys.argv) not in (2, 3):
        print("usage: sessions.py IMAGE [DIR]", file=sys.stderr)
        return 2
    lib, image, error = load(), ctypes.c_void_p(), ctypes.create_string_buffer(ERROR_MAX)
    if lib.etlift_open(ctypes.byref(image), os.fsencode(sys.argv[1]), None, error, ERROR_MAX) < 0:
        print(error.value.decode(), file=sys.stderr)
        return 3
    events = []

    @CALLBACK
    def on_session(_, pointer):
        s = pointer.contents  # borrowed: gone when this returns
        here = sum(s.buffers[i].events for i in range(s.n_buffers))
        events.append(here)
        # !a: names come out of the evidence and may hold anything
        print("%2d %a: %d buffers, %d events" % (s.id, s.name.decode() if s.name else "(unreadable)", s.n_buffers, here))
        return 0

    n = lib.etlift_sessions(image, 0, on_session, None, error, ERROR_MAX)
    if n < 0:
        print(error.value.decode(), file=sys.stderr)
    else:
        print("%d sessions, %d events, %d losses" % (n, sum(events), lib.etlift_losses(image)))
    if n >= 0 and len(sys.argv) == 3:
        result = Result(size=ctypes.sizeof(Result))
        if lib.etlift_recover(image, os.fsencode(sys.argv[2]), 0, ctypes.byref(result), error, ERROR_MAX) < 0:
            print(error.value.decode(), file=sys.stderr)
            n = -1
        else:
            print("%d files written" % result.files)
    lib.etlift_close(image)
    return 4 if n < 0 else 0


sys.exit(main())
