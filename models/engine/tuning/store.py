"""What was measured, kept for the next load: one small file per model, library, machine and settings."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from models.engine.tuning.layout import Tuned

_CPUINFO = Path("/proc/cpuinfo")
_HEAD = 1 << 20  # bytes of the model file that its fingerprint is made of, beside its size


class Kept(Tuned, frozen=True):
    """What was found, and where that is not all: how often it was tried, and when last, in seconds since 1970."""

    tries: int = 0
    tried_at: float = 0.0


class Store:
    """A folder of such files. A file that can't be read counts as none; one that can't be written is told in the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> Kept | None:
        """What was found before; None where nothing was."""
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, key: str, tuned: Kept) -> None:
        """Keep it; a kill in the middle leaves what was there. OSError where the disk refuses."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(tuned)))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._folder / f"{key}.json")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def key(model: Path, *, library: str, cores: tuple[int, int], gpus: Sequence[str], settings: Sequence[int]) -> str:
    """A name for this model, as it runs here: anything of it that changes asks for a new measurement."""
    with model.open("rb") as file:
        head = hashlib.sha256(file.read(_HEAD)).hexdigest()
    about = (head, model.stat().st_size, library, processor(), cores, tuple(gpus), tuple(settings))
    return hashlib.sha256(repr(about).encode()).hexdigest()[:32]


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.machine()} {named or platform.processor()}"
