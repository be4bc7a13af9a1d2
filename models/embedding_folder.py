"""What a sentence-transformers folder says of itself in its small files. No torch: the server and the chunker read this."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import ItemError

# Models trained with prefixes that their own configuration does not name: (words of the id, query prefix, passage prefix).
_PREFIXES = (("multilingual-e5", "query: ", "passage: "), ("e5-small", "query: ", "passage: "), ("e5-base", "query: ", "passage: "))
_SPECIAL_TOKENS = 2


class EmbeddingFacts(msgspec.Struct, frozen=True):
    """`max_tokens` is the room for a text's own tokens: special tokens and the passage prefix are already taken off.

    `digest` changes with any setting that changes vectors (tokenizer, pooling, length), the weights apart.
    """

    dimensions: int
    max_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""
    digest: str = ""


def read_facts(folder: Path, id: str) -> EmbeddingFacts:
    """The facts of a model folder; ItemError where it is no model, or one that would run code of its own."""
    modules = _json(folder, "modules.json")
    if not isinstance(modules, list) or not modules:
        raise ItemError(f"{folder.name}: modules.json lists no modules.", hint="Pull the model again, or choose another.")
    for module in modules:
        kind = str(module.get("type", ""))
        if not kind.startswith("sentence_transformers."):
            raise ItemError(
                f"{folder.name} needs code of its own ({kind}), which Ondol does not run.", hint="Choose another embedding model."
            )
        if ".." in Path(str(module.get("path", ""))).parts or Path(str(module.get("path", ""))).is_absolute():
            raise ItemError(f"{folder.name}: a module lies outside the model's folder.", hint="Choose another embedding model.")
    config = _json(folder, "config.json")
    query, passage = _prefixes(folder, id)
    return EmbeddingFacts(
        dimensions=_dimensions(folder, modules, config),
        max_tokens=max(8, _length(folder, modules, config) - _SPECIAL_TOKENS - len(passage)),
        query_prefix=query,
        passage_prefix=passage,
        digest=_digest(folder, modules),
    )


def card(folder: Path) -> tuple[str, str]:
    """(title, licence) of the model card in README.md; empty where it has none."""
    path = folder / "README.md"
    return read_card(path.read_text("utf-8", errors="replace")) if path.is_file() else ("", "")


def read_card(text: str) -> tuple[str, str]:
    """(title, licence): the first heading, and `license:` of the front matter."""
    head, licence = text, ""
    if text.startswith("---"):
        front, _, head = text[3:].partition("\n---")
        licence = next((line.partition(":")[2].strip().strip("\"'") for line in front.splitlines() if line.startswith("license:")), "")
    title = next((line.lstrip("#").strip() for line in head.splitlines() if line.startswith("# ")), "")
    return title, licence


def _json(folder: Path, name: str, *, needed: bool = True) -> Any:
    try:
        return json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        if not needed:
            return {}
        raise ItemError(f"{folder.name} has no {name}.", hint="It is not a whole sentence-transformers model: pull it again.") from None
    except ValueError as error:
        raise ItemError(f"{folder.name}: {name} is not valid JSON ({error}).", hint="Pull the model again.") from None


def _dimensions(folder: Path, modules: list[Any], config: Any) -> int:
    found = int(config.get("hidden_size") or config.get("d_model") or config.get("dim") or 0)
    for module in modules:
        if module.get("path"):
            own = _json(folder, f"{module['path']}/config.json", needed=False)
            found = int(own.get("out_features") or own.get("word_embedding_dimension") or own.get("embedding_dimension") or found)
    if found <= 0:
        raise ItemError(f"{folder.name} does not say how long its vectors are.", hint="Choose another embedding model.")
    return found


def _length(folder: Path, modules: list[Any], config: Any) -> int:
    first = str(modules[0].get("path") or ".")
    said = _json(folder, f"{first}/sentence_bert_config.json", needed=False).get("max_seq_length")
    tokenizer = _json(folder, "tokenizer_config.json", needed=False).get("model_max_length")
    positions = config.get("max_position_embeddings")
    # Without a limit of its own the tokenizer carries a number like 1e30.
    return int(said or min(value for value in (positions, tokenizer, 8192) if value))


def _prefixes(folder: Path, id: str) -> tuple[str, str]:
    prompts = _json(folder, "config_sentence_transformers.json", needed=False).get("prompts") or {}
    query = str(prompts.get("query") or "")
    passage = str(prompts.get("passage") or prompts.get("document") or "")
    if not query and not passage:
        return next(((query, passage) for words, query, passage in _PREFIXES if words in id), ("", ""))
    return query, passage


def _digest(folder: Path, modules: list[Any]) -> str:
    wanted = ["tokenizer.json", "vocab.txt", "sentence_bert_config.json", "modules.json"]
    wanted += [f"{module['path']}/config.json" for module in modules if module.get("path")]
    digest = hashlib.sha256()
    for name in wanted:
        path = folder / name
        digest.update(f"{name}\0".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
