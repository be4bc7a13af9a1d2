"""A model on disk: the folder `models/<id>` with its `model.json`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from app.core.errors import BadRequest, ItemError
from models import names
from models.embedder import EmbedderInfo
from models.embedding_folder import EmbeddingFacts

RECORD = "model.json"
PROJECTOR = "clip"  # the architecture of a GGUF by which another model sees


class ModelRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """`model.json`. `files` are paths with `/` inside the folder and their bytes; `main` is the one that a GGUF loads by.

    `projector` is the one by which it sees pictures.
    """

    id: str
    kind: str
    source: str
    sha256: str
    pulled_at: float
    files: dict[str, int]
    main: str = ""
    projector: str = ""
    licence: str = ""
    quant: str = ""
    architecture: str = ""
    context: int | None = None
    parameters: int | None = None
    embedding: EmbeddingFacts | None = None


class InstalledModel(msgspec.Struct, frozen=True):
    """One model that can be loaded. `path` is the GGUF, or the folder of a sentence-transformers model.

    `sha256` is of the weights. `context` (tokens) and `parameters` (a count) are the GGUF header's; None where unknown.
    `projector` is the file by which it sees pictures: the one of its record, or an `mmproj*.gguf` that was put beside it.
    """

    id: str
    kind: str  # chat | embedding | rerank
    path: Path
    size_bytes: int
    source: str
    licence: str
    pulled_at: float
    sha256: str
    quant: str = ""
    architecture: str = ""
    context: int | None = None
    parameters: int | None = None
    embedding: EmbeddingFacts | None = None
    projector: Path | None = None


def embedder_info(model: InstalledModel, precision: str = "fp32") -> EmbedderInfo:
    """What an index must know of an embedding model, without loading it. BadRequest for a model of another kind."""
    facts = model.embedding
    if facts is None:
        gguf = "It answers /v1/embeddings; stores are filled by a sentence-transformers model."
        other = "Choose one of kind embedding: see `ondol models list`."
        raise BadRequest(f"{model.id} is no model that stores are filled with.", hint=gguf if model.kind == "embedding" else other)
    parts = (model.sha256, facts.digest, facts.query_prefix, facts.passage_prefix, str(facts.dimensions))
    # The id and the precision in front are for people who read the book.
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    return EmbedderInfo(model.id, f"{model.id}:{precision}:{digest}", facts.dimensions, facts.max_tokens)


def read_model(folder: Path) -> InstalledModel:
    """The model in this folder; ItemError where `model.json` is missing or damaged, or a file is missing or of another size."""
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=ModelRecord)
        names.check_id(record.id)
        for name, size in record.files.items():
            if _inside(folder, name).stat().st_size != size:
                raise ItemError(f"{record.id}: {name} is not {size} bytes long any more.", hint=_AGAIN)
    except OSError as error:
        raise ItemError(f"{folder.name}: {Path(error.filename or RECORD).name} can't be read: {error.strerror}.", hint=_AGAIN) from None
    except msgspec.DecodeError as error:
        raise ItemError(f"{folder.name}: {RECORD} is damaged ({error}).", hint=_AGAIN) from None
    return InstalledModel(
        id=record.id,
        kind=record.kind,
        path=_inside(folder, record.main) if record.main else folder,
        size_bytes=sum(record.files.values()),
        source=record.source,
        licence=record.licence,
        pulled_at=record.pulled_at,
        sha256=record.sha256,
        quant=record.quant,
        architecture=record.architecture,
        context=record.context,
        parameters=record.parameters,
        embedding=record.embedding,
        projector=_projector(folder, record),
    )


_AGAIN = "Remove the model and pull it again."


def _projector(folder: Path, record: ModelRecord) -> Path | None:
    if record.kind != "chat":
        return None
    return _inside(folder, record.projector) if record.projector else min(folder.glob("mmproj*.gguf"), default=None)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ItemError(f"{folder.name}: {RECORD} names a file outside the folder.", hint=_AGAIN)
    return path
