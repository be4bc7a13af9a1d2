"""A stranger's plug-in whose readers crash, hang, eat memory and never end; put on the path as an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MODULE = '''
import ctypes, os, re, time
from ingest.documents import Block, Document, Failed

def document(file, number, text="text"):
    return Document(f"{file.id}#{number}", "title", (Block(text),))

class Crash:
    def read(self, file):
        yield document(file, 1)
        ctypes.string_at(8)

class Once:
    """Crashes unless it is the first file of its process."""
    read_before = False
    def read(self, file):
        for number in range(1500):
            yield document(file, number)
            if Once.read_before and number == 1200:
                time.sleep(0.2)
                os._exit(3)

class Marks:
    def read(self, file):
        Once.read_before = True
        yield document(file, 1)

class Hang:
    def read(self, file):
        yield document(file, 1)
        time.sleep(600)

class Greedy:
    """Holds every lock of the interpreter: no thread of its process runs any more."""
    def read(self, file):
        re.match("(a+)+b", "a" * 60)
        yield document(file, 1)

class Eat:
    def read(self, file):
        held = []
        while True:
            held.append(b"x" * 5_000_000)

class Native:
    """Takes memory as a C library does that aborts when there is no more."""
    def read(self, file):
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        while True:
            got = libc.malloc(5_000_000)
            if not got:
                os.abort()
            libc.memset(got, 1, 5_000_000)

class Endless:
    def read(self, file):
        number = 0
        while True:
            number += 1
            yield document(file, number, "word " * 200)

class Odd:
    def read(self, file):
        deep = value = {}
        for _ in range(500):
            value["in"] = value = {}
        yield Document(file.id + "#deep", "t", (Block("x"),), attributes=deep)
        yield Document(file.id + "#surrogate", "\\ud800", (Block("x"),))
        yield Document(file.id + "#big", "t", (Block("x"),), attributes={"n": 10**40})
        yield Document(file.id + "#object", "t", (Block("x"),), attributes={"n": object()})
        yield Document(file.id + "#" + "x" * 5000, "t", (Block("x"),))
        yield Failed("odd \\ud800", "name \\ud800")
        yield Document(file.id + "#good", "t" * 10_000, (Block("x", ("h" * 10_000,)),))

class Online:
    def read(self, file):
        import socket
        socket.create_connection(("192.0.2.1", 80), timeout=1)
        yield document(file, 1)
'''
KINDS = ("Crash", "Once", "Marks", "Hang", "Greedy", "Eat", "Native", "Endless", "Odd", "Online")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its suffixes are the readers' names in lower case; child processes find it too."""
    (folder / "misbehaving.py").write_text(MODULE)
    about = folder / "misbehaving-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    points = "\n".join(f"{kind.lower()} = misbehaving:{kind}" for kind in KINDS)
    (about / "entry_points.txt").write_text(f"[ondol.readers]\n{points}\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
