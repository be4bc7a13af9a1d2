"""Which projector (mmproj) belongs to a model, by the names of files: the eyes of a model that sees pictures. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from models import names

# A projector is small, and suffers of less: half precision first.
_QUANTS = ("F16", "FP16", "BF16", "Q8_0", "F32", "FP32")


def is_projector(name: str) -> bool:
    """Whether a file (path with `/`) is one, as they are called everywhere."""
    path = PurePosixPath(name)
    return path.suffix.lower() == ".gguf" and path.name.lower().startswith("mmproj")


def projector_of(model: str, files: Iterable[str]) -> str:
    """The projector that lies beside a model; "" where there is none, or it can't be told which.

    It is the one that bears the model's name, or the only one of a folder with one model, in however many quantisations.
    """
    beside = [name for name in files if PurePosixPath(name).parent == PurePosixPath(model).parent and name.lower().endswith(".gguf")]
    own = _title(model)
    found: dict[str, list[str]] = {}
    for name in filter(is_projector, beside):
        found.setdefault(_title(name), []).append(name)
    titles = [title for title in found if title == own] or [title for title in found if title and (title in own or own in title)]
    if not titles and len({_title(name) for name in beside if not is_projector(name)}) == 1:
        titles = list(found)
    return min(found[titles[0]], key=_order) if len(titles) == 1 else ""


def _title(name: str) -> str:
    """What a file is called, without its quantisation and the word for what it is."""
    stem = names.split_quant(PurePosixPath(name).stem)[0]
    title = names.slug(stem)
    if is_projector(name):
        title = title.removeprefix("mmproj").strip("-._").removeprefix("model").strip("-._")
    return title


def _order(name: str) -> tuple[int, str]:
    quant = names.split_quant(PurePosixPath(name).stem)[1]
    return _QUANTS.index(quant) if quant in _QUANTS else len(_QUANTS), name
