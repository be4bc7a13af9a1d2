"""Token counts as the embedder would cut, from the model folder's `tokenizer.json`. The only importer of tokenizers; no torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import ItemError
from models.installed import InstalledModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class ModelTokenCounter:
    """The token counter of an embedding model. Loaded with the first text; any number of threads may count."""

    def __init__(self, model: InstalledModel) -> None:
        self._path = model.path / "tokenizer.json"
        self._lock = threading.Lock()
        self._tokenizer: Tokenizer | None = None

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """(start, end) characters of each token, special tokens left out. ItemError where the model has no tokenizer file."""
        # As a batch of one: the library gives up Python's lock for batches alone, and batches are being embedded meanwhile.
        (found,) = self._loaded().encode_batch([text], add_special_tokens=False)
        offsets: list[tuple[int, int]] = found.offsets
        return offsets

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""
        return [len(found) for found in self._loaded().encode_batch_fast(list(texts), add_special_tokens=False)]

    def _loaded(self) -> Tokenizer:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = _load(self._path)
            return self._tokenizer


def _load(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        # Read here: the library can't open every path on Windows.
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except OSError as error:
        raise ItemError(
            f"{path.parent.name} has no readable tokenizer.json ({error.strerror}).", hint="Pull the model again, or choose another."
        ) from None
    except Exception as error:  # noqa: BLE001  # what the library raises for a file that it can't parse
        raise ItemError(f"{path.parent.name}: tokenizer.json is damaged ({error}).", hint="Pull the model again.") from None
    # Saved by the model's training: all-MiniLM's file cuts at 128 tokens and pads up to them.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
