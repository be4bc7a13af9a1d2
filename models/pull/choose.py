"""Which files of a listing are the model: one GGUF (with its parts) or one sentence-transformers folder. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from app.core.errors import BadRequest, NotFound
from models import names
from models.installed import RECORD
from models.pull.projector import is_projector, projector_of

# What a sentence-transformers model is made of. Never code, never pickled weights: loading those would run them.
_KEPT = {".json", ".txt", ".model", ".safetensors", ".md", ".jinja"}
_LARGEST_SMALL = 64 * 1024 * 1024


class Choice(msgspec.Struct, frozen=True):
    """The files to take, as paths in the listing; `root` is cut off an embedding model's names when it is put in place.

    `projector` is the one among them by which a chat model sees pictures.
    """

    kind: str  # chat | embedding
    files: tuple[str, ...]
    root: str = ""
    quant: str = ""
    projector: str = ""

    def target(self, name: str) -> str:
        """The file's path inside the model's own folder."""
        return name[len(self.root) :].lstrip("/") if self.kind == "embedding" else PurePosixPath(name).name


def choose(listing: Mapping[str, int], wanted: str = "", *, where: str) -> Choice:
    """The model among these files (path with `/` -> bytes). `wanted` is a quantisation or a file.

    NotFound, with what there is, when none fits. A GGUF goes before a folder where both are there; `where` is for the message.
    """
    ggufs = [name for name in listing if name.lower().endswith(".gguf") and not is_projector(name)]
    if ggufs:
        found = _gguf(ggufs, wanted, where)
        eyes = projector_of(found.files[0], listing)
        return msgspec.structs.replace(found, files=(*found.files, eyes), projector=eyes) if eyes else found
    folder = _folder(listing)
    if folder is None:
        raise NotFound(
            f"There is no model in {where}.",
            hint="Looked for a .gguf file, and for a sentence-transformers folder (modules.json with .safetensors weights).",
        )
    if wanted:
        raise BadRequest(f"{where} is an embedding model: it has no {wanted!r}.", hint="Leave out what stands after the colon.")
    return folder


def _gguf(ggufs: list[str], wanted: str, where: str) -> Choice:
    firsts = [name for name in ggufs if names.shard(PurePosixPath(name).stem)[0] == 1]
    if wanted.lower().endswith(".gguf"):
        fitting = [name for name in firsts if wanted in (name, PurePosixPath(name).name)]
    else:
        fitting = [name for name in firsts if not wanted or _quant(name) == wanted.upper()]
    if not fitting:
        there = ", ".join(sorted({_quant(name) or PurePosixPath(name).name for name in firsts}))
        raise NotFound(f"{where} has no {wanted or 'whole GGUF'}.", hint=f"It has: {there or 'only parts'}.")
    best = min(fitting, key=lambda name: (names.quant_rank(_quant(name), wanted), len(name), name))
    return Choice("chat", tuple(_parts(best, ggufs, where)), quant=_quant(best))


def _quant(name: str) -> str:
    return names.split_quant(PurePosixPath(name).stem)[1]


def _parts(first: str, ggufs: Iterable[str], where: str) -> list[str]:
    _, count = names.shard(PurePosixPath(first).stem)
    if count == 1:
        return [first]
    parts = [first.replace(f"-00001-of-{count:05d}", f"-{number:05d}-of-{count:05d}") for number in range(1, count + 1)]
    if missing := sorted(set(parts) - set(ggufs)):
        raise NotFound(f"{where} lacks the part {missing[0]}.", hint="A split GGUF needs all of its parts.")
    return parts


def _folder(listing: Mapping[str, int]) -> Choice | None:
    roots = sorted((name[: -len("modules.json")] for name in listing if PurePosixPath(name).name == "modules.json"), key=len)
    for root in roots:
        inside = [name for name in listing if name.startswith(root)]
        kept = [name for name in inside if _is_kept(name[len(root) :], listing[name])]
        if any(name.endswith(".safetensors") for name in kept) and f"{root}config.json" in listing:
            return Choice("embedding", tuple(sorted(kept)), root=root)
    return None


def _is_kept(name: str, size: int) -> bool:
    path = PurePosixPath(name)
    # A folder of another library of ours has a record of its own.
    if name == RECORD or any(part.startswith(".") or part in ("onnx", "openvino") for part in path.parts):
        return False
    return path.suffix in _KEPT and (path.suffix == ".safetensors" or size <= _LARGEST_SMALL)
