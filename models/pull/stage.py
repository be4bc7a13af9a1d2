"""From what a source delivered (a file, a folder, a wheel) to a complete model folder that only has to be renamed.

Archives are read as zips and never unpacked as a whole, installed or run: the chosen files alone are written, under
names of ours. Nothing here needs the network.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from app.core.errors import BadRequest, ItemError
from models import disk, names
from models.embedding_folder import card, read_facts
from models.engine.vectors import RANK
from models.gguf import Header, read_header
from models.installed import PROJECTOR, ModelRecord
from models.pull.choose import Choice, choose
from models.pull.projector import is_projector
from models.pull.spec import Progress, Told

ARCHIVES = {".zip", ".whl"}
# Encoders: they load in llama.cpp, but don't write.
_ENCODERS = {
    "bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "modern-bert",
    "neo-bert",
    "eurobert",
}
# What is a part of another model, or read by its own programs alone.
_PARTS = {PROJECTOR, "t5encoder"}


class Delivered(msgspec.Struct, frozen=True):
    """What a source left on this disk. `path` is a GGUF, a folder or an archive; `container` what the model came in.

    `ours` says that the files were downloaded for this pull and may be moved; a user's own are linked or copied.
    `hashes` are the SHA-256 that the source promised, by path in the folder (or the GGUF's name).
    """

    path: str
    container: str
    wanted: str = ""
    licence: str = ""
    packaged: bool = False
    ours: bool = False
    hashes: dict[str, str] = {}


def stage(delivered: Delivered, target: Path, source: str, told: Told) -> ModelRecord:
    """Fill the empty folder `target`; returns its record, whose id is the model's own (not yet made unique).

    NotFound where nothing in it is a model; ItemError where the model is damaged or not what was promised; DiskFull.
    """
    path = Path(delivered.path)
    if path.suffix.lower() in ARCHIVES and path.is_file():
        listing, put = _archive(path)
    else:
        listing, put = _files(path, ours=delivered.ours)
    wanted = delivered.wanted or (path.name if path.suffix.lower() == ".gguf" and path.is_file() else "")
    choice = choose(listing, wanted, where=delivered.container)
    total = sum(listing[name] for name in choice.files)
    disk.need_space(target, total)
    hashes, done = {}, 0
    for name in choice.files:
        inside = choice.target(name)
        hashes[inside] = put(name, target / _safe(inside), partial(_tell, told, done, total))
        done += listing[name]
        promised = delivered.hashes.get(name)
        if promised and promised != hashes[inside]:
            raise ItemError(
                f"{inside} is damaged: its SHA-256 is {hashes[inside]}, not the promised {promised}.",
                hint="It was thrown away: pull the model again.",
            )
    files = {choice.target(name): listing[name] for name in choice.files}
    for folder in {(target / name).parent for name in files}:
        disk.sync_folder(folder)
    return _describe(delivered, choice, target, files, hashes, source)


def _tell(told: Told, before: int, total: int, size: int) -> None:
    told(Progress("installing", before + size, total))


def _describe(
    delivered: Delivered, choice: Choice, target: Path, files: Mapping[str, int], hashes: Mapping[str, str], source: str
) -> ModelRecord:
    eyes = choice.target(choice.projector) if choice.projector else ""
    weights = [hashes[name] for name in sorted(files) if name.endswith((".gguf", ".safetensors")) and name != eyes]
    digest = weights[0] if len(weights) == 1 else hashlib.sha256("".join(weights).encode()).hexdigest()
    record = ModelRecord(
        id="",
        kind=choice.kind,
        source=source,
        sha256=digest,
        pulled_at=time.time(),
        files=dict(files),
        quant=choice.quant,
        licence=delivered.licence,
    )
    if choice.kind == "embedding":
        title, licence = card(target)
        id = names.folder_id(title, delivered.container, packaged=delivered.packaged)
        return msgspec.structs.replace(record, id=_named(id), licence=licence or record.licence, embedding=read_facts(target, id))
    main = choice.target(choice.files[0])
    header = read_header(target / main)
    if header.architecture in _PARTS:
        raise BadRequest(f"{main} is no model of its own ({header.architecture}).", hint="Give the GGUF of a whole model.")
    return msgspec.structs.replace(
        record,
        kind=_kind(header),
        id=_named(names.gguf_id(PurePosixPath(main).stem, delivered.container)),
        main=main,
        quant=record.quant or header.quantisation,
        architecture=header.architecture,
        context=header.context_length or None,
        # A split model's first part counts its own tensors alone.
        parameters=header.parameters if len(weights) == 1 else None,
        projector=eyes if eyes and read_header(target / eyes).architecture == PROJECTOR else "",
    )


def _kind(header: Header) -> str:
    """What a GGUF is for: only models that write say nothing of how their tokens become one vector."""
    if header.pooling == RANK:
        return "rerank"
    return "embedding" if header.pooling or header.architecture in _ENCODERS else "chat"


def _named(id: str) -> str:
    if not id:
        raise BadRequest("Nothing in the model's file name can be its id.", hint="Rename the file, with letters or digits in it.")
    return id


_Put = Callable[[str, Path, Callable[[int], None]], str]


def _archive(path: Path) -> tuple[dict[str, int], _Put]:
    try:
        with zipfile.ZipFile(path) as archive:
            listing = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, OSError) as error:
        raise ItemError(f"{path.name} can't be opened as a zip: {error}.", hint="Download it again.") from None

    def put(name: str, target: Path, told: Callable[[int], None]) -> str:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as source:
                return disk.copy_stream(source, target, listing[name], told)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            # RuntimeError: an encrypted member; NotImplementedError: a compression that zipfile does not know.
            raise ItemError(f"{name} in {path.name} can't be read: {error}.", hint="Download it again.") from None

    return listing, put


def _files(path: Path, *, ours: bool) -> tuple[dict[str, int], _Put]:
    if path.is_dir():
        root = path
        found = [child for child in sorted(path.rglob("*")) if child.is_file()]
    else:
        root = path.parent
        # The other parts of a split GGUF lie beside the first, and so does the projector of one that sees.
        beside = sorted(root.glob(f"*{path.suffix}"))
        found = beside if names.shard(path.stem)[1] > 1 or any(is_projector(one.name) for one in beside) else [path]
    listing = {child.relative_to(root).as_posix(): child.stat().st_size for child in found}

    def put(name: str, target: Path, told: Callable[[int], None]) -> str:
        source = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A link costs no space, and keeps the download whole until the model is in place.
            os.link(source.resolve(), target)
        except OSError:
            if not ours:
                with source.open("rb") as stream:
                    return disk.copy_stream(stream, target, listing[name], told)
            source.replace(target)
        return disk.sha256(target, told)

    return listing, put


def _safe(name: str) -> PurePosixPath:
    """A path that stays inside the model's folder on every system."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or any(part == ".." or set(part) & set('\\:*?"<>|\0') for part in path.parts):
        raise ItemError(f"The model names a file {name!r}, which would lie outside its folder.", hint="Don't trust this model.")
    return path
