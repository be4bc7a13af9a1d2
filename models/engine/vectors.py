"""GGUF models that write nothing: texts become vectors, or a question and documents become scores. Records and pure decisions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

# How a model makes one vector of many tokens, by llama.cpp's numbers.
NO_POOLING, MEAN, CLS, LAST, RANK = range(5)
LARGEST_TEXT = 2048  # tokens of one text, where the settings don't say: the room for attention grows with its square
MOST_TEXTS = 64  # in one batch


class VectorSettings(msgspec.Struct, frozen=True):
    """How to run such a model. 0 (context: the longest text in tokens, threads) and -1 (gpu_layers) mean: chosen."""

    context: int = 0
    threads: int = 0
    gpu_layers: int = -1


class VectorInfo(msgspec.Struct, frozen=True):
    """A loaded model: its vectors' dimensions (of a reranker: how many scores it gives), and the longest text in tokens."""

    dimensions: int
    context: int


def batches(lengths: Sequence[int], room: int, most: int = MOST_TEXTS) -> list[list[int]]:
    """Which texts are computed together: places, in order, at most `room` tokens and `most` texts at once. None is longer than `room`."""
    found: list[list[int]] = []
    used = room
    for place, length in enumerate(lengths):
        if used + length > room or len(found[-1]) == most:
            found.append([])
            used = 0
        found[-1].append(place)
        used += length
    return found


class Marks(msgspec.Struct, frozen=True):
    """A reranker's own tokens around question and document; None where it puts none. `template`: text with {query} and {document}."""

    first: int | None = None
    end: int | None = None
    between: int | None = None
    template: str = ""


def pair(marks: Marks, query: Sequence[int], document: Sequence[int]) -> list[int]:
    """A question and a document as a cross-encoder reads them."""
    end = [] if marks.end is None else [marks.end]
    first = [] if marks.first is None else [marks.first]
    between = [] if marks.between is None else [marks.between]
    return [*first, *query, *end, *between, *document, *end]
