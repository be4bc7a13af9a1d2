"""Tiny packages for the bootstrap: a project that pip can build without a network, real wheels, and an index of them over HTTP."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from boot import machine, setup
from boot.setup import Clone

TORCH, LLAMA = "2.13.0", "0.3.36"
# As much of llama.cpp as shows that it computes.
WORKS = """
import ctypes, leaf, types
llama_token = ctypes.c_int32
def llama_decode(context, batch): return 0
def __getattr__(name): return lambda *given: types.SimpleNamespace()
"""
CRASHES = WORKS.replace("return 0", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
# A build backend that needs nothing from anywhere: it writes an empty wheel.
BACKEND = """
import zipfile
NAME = "tinyondol-1.0-py3-none-any.whl"
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(folder + "/" + NAME, "w") as made:
        made.writestr("tinyondol.pth", "")
        made.writestr("tinyondol-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tinyondol\\nVersion: 1.0\\n%s")
        made.writestr("tinyondol-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        made.writestr("tinyondol-1.0.dist-info/RECORD", "")
    return NAME
def get_requires_for_build_editable(config_settings=None):
    return []
"""


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str], tag: str = "py3-none-any", needs: str = "") -> Path:
    """A real wheel with a true RECORD."""
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        **files,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        for path, text in files.items():
            made.writestr(path, text)
        made.writestr(f"{stem}.dist-info/RECORD", record + f"{stem}.dist-info/RECORD,,\n")
    return wheel


def site(folder: Path) -> Path:
    return next(iter([*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]))


def tiny_clone(root: Path, index: Path) -> Clone:
    """A clone whose packages are tiny: torch, llama.cpp and the project itself, the wheels of the others in that folder."""
    make_wheel(index, "torch", TORCH, {"torch/__init__.py": ""})
    make_wheel(index, "llama-cpp-python", LLAMA, {"llama_cpp/__init__.py": WORKS}, needs="leaf")
    make_wheel(index, "leaf", "1.0", {"leaf/__init__.py": ""})
    make_wheel(index, "twig", "1.0", {"twig/__init__.py": ""})
    make_wheel(index, "leaf", "2.0", {"leaf/__init__.py": "two = 2\n"})
    (root / "installer").mkdir()
    (root / "installer" / "constraints.txt").write_text(f"torch=={TORCH}\nllama_cpp_python=={LLAMA}\nleaf==1.0\n", encoding="utf-8")
    needed = "Requires-Dist: leaf; extra == '{0}'\\nRequires-Dist: twig; extra == '{0}'\\n"
    extras = "".join(f"Provides-Extra: {name}\\n" + needed.format(name) for name in setup.TEST_EXTRAS)
    (root / "tiny_backend.py").write_text(BACKEND % extras, encoding="utf-8")
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "tiny_backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tinyondol"\nversion = "1.0"\n',
        encoding="utf-8",
    )
    return Clone(root)


class Index(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: object) -> None:
        pass


@contextlib.contextmanager
def serving(root: Path) -> Iterator[str]:
    """The address of that folder over HTTP, in the shape of the llama.cpp wheel index."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(root)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def serve_wheel(root: Path, flavour: str, source: str) -> None:
    make_wheel(
        root / flavour / "llama-cpp-python",
        "llama-cpp-python",
        LLAMA,
        {"llama_cpp/__init__.py": source},
        f"py3-none-{machine.platform_tag()}",
        needs="leaf",
    )
