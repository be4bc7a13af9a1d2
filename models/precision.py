"""How exactly an embedding model calculates on this machine: in fp32, or in bf16 where that is faster and exact enough.

It is measured once, over a small sample, when the model is first loaded, and remembered per model, machine and library. The
precision is part of an index's fingerprint, so what was found must be known without loading anything. No torch here.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import msgspec

from models.embedder import EmbedderInfo
from models.engine.tuning.store import processor
from models.installed import InstalledModel, embedder_info

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16)

EXACT_ENOUGH = 0.9999
"""The least cosine between a text's vectors in both precisions."""
FASTER = 1.2
"""How much faster the coarser one has to be: a choice must not turn on the noise of a busy machine."""

_LONG = "The floor of an old house is warmed by smoke that passes under stone slabs on its way from the kitchen to the chimney. "
_NUMBERS = "Order 20391 of 4 March 2024: 12 boxes at 18.50, paid by transfer; delivery to Suwon within three working days. "
_KOREAN = "온돌은 방바닥 밑으로 더운 연기를 보내 방 전체를 데우는 난방 방식으로, 바닥이 오래도록 식지 않는다. "
SAMPLE: tuple[str, ...] = (
    "ready",
    "How many days of leave are left?",
    "연차 휴가는 며칠 남았나요?",
    *(_LONG * count for count in (1, 3, 5)),
    *(_NUMBERS * count for count in (1, 3)),
    *(_KOREAN * count for count in (1, 2)),
    "def total(rows):\n    return sum(row['price'] * row['count'] for row in rows)\n" * 3,
)
"""What both precisions are tried on: short and long, prose, numbers, code, and a script that some models cut into crumbs."""


class Found(msgspec.Struct, frozen=True):
    """A measurement on one device: seconds for the sample in each precision, and the least cosine between the two."""

    device: str
    precision: str
    fp32_seconds: float = 0.0
    bf16_seconds: float = 0.0
    cosine: float = 1.0


def choose(fp32_seconds: float, bf16_seconds: float, cosines: Sequence[float]) -> str:
    """The precision that these figures speak for."""
    return BF16 if min(cosines) >= EXACT_ENOUGH and bf16_seconds * FASTER <= fp32_seconds else FP32


def by_fingerprint(models: Iterable[InstalledModel], fingerprint: str) -> tuple[InstalledModel, str] | None:
    """The installed model that gives the vectors of this fingerprint, and its precision; None where it is no longer here."""
    for model in models:
        for precision in PRECISIONS:
            if model.embedding is not None and embedder_info(model, precision).fingerprint == fingerprint:
                return model, precision
    return None


class Precisions:
    """What was found on this machine: one small file per model in `folder`. One that can't be read counts as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._folder

    def read(self, model: InstalledModel) -> Found | None:
        """What was found for this model; None where it was not measured yet."""
        try:
            return msgspec.json.decode(self._path(model).read_bytes(), type=Found)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, model: InstalledModel, found: Found) -> None:
        """Keep it; a kill in the middle leaves what was there. OSError where the disk refuses."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(found)))
            Path(name).replace(self._path(model))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def info(self, model: InstalledModel) -> EmbedderInfo | None:
        """What an index must know of the model as it calculates here; None where that was not measured yet."""
        found = self.read(model)
        return embedder_info(model, found.precision) if found else None

    def fingerprints(self, model: InstalledModel) -> frozenset[str]:
        """The fingerprint that the model has here; before it was measured, all that it may have."""
        info = self.info(model)
        return frozenset([info.fingerprint] if info else [embedder_info(model, precision).fingerprint for precision in PRECISIONS])

    def _path(self, model: InstalledModel) -> Path:
        about = (model.sha256, model.embedding and model.embedding.digest, _version("torch"), processor())
        return self._folder / f"embedding-{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}.json"


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
