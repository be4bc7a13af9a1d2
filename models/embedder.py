"""The embedder contract: texts become vectors, with the counts that chunking needs.

Vectors are float32, of length 1, shape (texts, dimensions); so a dot product is the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    # The server knows the contract without numpy's weight.
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"


class EmbedderInfo(msgspec.Struct, frozen=True):
    """What an index must know of the model that filled it.

    `fingerprint` changes with anything that changes vectors: model, weights' precision, prefixes, pooling.
    """

    model: str
    fingerprint: str
    dimensions: int
    max_tokens: int


class TokenCounter(Protocol):
    """Counts as the embedder would cut, without loading the model."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """(start, end) characters of each token, special tokens left out."""
        ...


class Embedder(Protocol):
    """Blocking; called from several threads at once, or in a process of its own. Errors: `OndolError`s."""

    @property
    def info(self) -> EmbedderInfo:
        """Known without loading the weights."""
        ...

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        ...

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions (some models want another prefix)."""
        ...
