"""The process of one GGUF that embeds or reranks: `python -m models.engine.vector_worker`, started by `models.engine.vector_client`.

Requests: "embed" {texts} -> {"data": rows of little-endian float32, of length 1; "tokens"}; "rerank" {query, documents} ->
{"scores": 0..1, in the documents' order; "tokens"}. Requests take turns, a batch each; a cancel is seen between two batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from app.core.errors import BadRequest, ContextLengthExceeded, OndolError
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from models.engine import machine
from models.engine.fit import Wishes, fit
from models.engine.llama.vectors import Rows, VectorModel
from models.engine.vectors import LARGEST_TEXT, Marks, VectorInfo, VectorSettings, batches, pair
from models.gguf import read_header

Answering = Iterator[dict[str, Any] | None]


class Vectors:
    """What the process does, without the process. Each method gives None after each batch, and its answer at the end."""

    def __init__(self, model: VectorModel) -> None:
        self._model, self._marks = model, model.marks
        self.info = VectorInfo(model.dimensions, model.context)

    def embed(self, texts: list[str]) -> Answering:
        """Vectors of length 1. BadRequest for a reranker, ContextLengthExceeded for a text that is too long."""
        if self._model.ranks:
            raise BadRequest("This is a reranker: it gives no vectors.", hint="Choose an embedding model.", param="model")
        tokens = [self._fitting(self._model.tokenize(text, whole=True), "input") for text in texts]
        rows = yield from self._rows(tokens)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        yield {"data": (rows / np.where(lengths > 0, lengths, 1)).astype("<f4").tobytes(), "tokens": sum(map(len, tokens))}

    def rerank(self, query: str, documents: list[str]) -> Answering:
        """How well each document answers the question, 0..1. BadRequest for a model that gives vectors."""
        if not self._model.ranks:
            raise BadRequest("This model gives vectors: it doesn't rerank.", hint="Choose a reranker.", param="model")
        tokens = [self._fitting(one, "documents") for one in self._pairs(self._marks, query, documents)]
        rows = yield from self._rows(tokens)
        # Several outputs are chances already, the first one that of "yes"; a single one is a score without bounds.
        scores = rows[:, 0] if self._model.dimensions > 1 else 1 / (1 + np.exp(-rows[:, 0].astype(np.float64)))
        yield {"scores": [float(score) for score in scores], "tokens": sum(map(len, tokens))}

    def _pairs(self, marks: Marks, query: str, documents: list[str]) -> Iterator[list[int]]:
        if marks.template:
            # The control words are the template's own: in question and document they stay text.
            before, _, rest = marks.template.partition("{query}")
            middle, _, after = rest.partition("{document}")
            parts = [self._model.tokenize(part, whole=False, special=True) for part in (before, middle, after)]
            asked = self._model.tokenize(query, whole=False)
            for document in documents:
                yield [*parts[0], *asked, *parts[1], *self._model.tokenize(document, whole=False), *parts[2]]
            return
        asked = self._model.tokenize(query, whole=False)
        for document in documents:
            yield pair(marks, asked, self._model.tokenize(document, whole=False))

    def _fitting(self, tokens: list[int], param: str) -> list[int]:
        if len(tokens) > self._model.context:
            hint = "Cut it into shorter ones, or set a larger `models.context`."
            raise ContextLengthExceeded(prompt_tokens=len(tokens), context=self._model.context, hint=hint, param=param)
        if not tokens:
            raise BadRequest("A text has no token of this model.", hint="Leave empty texts out.", param=param)
        return tokens

    def _rows(self, tokens: list[list[int]]) -> Generator[None, None, Rows]:
        found: list[Rows] = []
        for places in batches([len(one) for one in tokens], self._model.context):
            found.append(self._model.compute([tokens[place] for place in places]))
            yield None
        return np.concatenate(found)


def serve(channel: Channel, vectors: Vectors) -> None:
    """Take requests in, do a batch of the one whose turn it is, look again; until the parent goes."""
    jobs: deque[tuple[int, Answering]] = deque()
    while True:
        call = channel.get(timeout=0 if jobs else None)
        if call is None and not jobs:
            continue
        if call is not None:
            if call.op == "cancel":
                jobs = deque(job for job in jobs if job[0] != call.body)
                channel.done(call.body)
            else:
                jobs.append((call.id, _begin(vectors, call)))
            continue
        id, job = jobs.popleft()
        try:
            answer = next(job)
        except OndolError as error:
            channel.error(id, error)
        # One request that makes no sense must not end the others.
        except Exception as error:  # noqa: BLE001
            channel.error(id, error)
        else:
            if answer is None:
                jobs.append((id, job))
            else:
                channel.done(id, answer)


def _begin(vectors: Vectors, call: Call) -> Answering:
    match call.op:
        case "embed":
            yield from vectors.embed(call.body["texts"])
        case "rerank":
            yield from vectors.rerank(call.body["query"], call.body["documents"])
        case other:
            raise BadRequest(f"This worker has no operation {other!r}.")


def opened(path: Path, settings: VectorSettings) -> Vectors:
    """The model in memory, laid out for this machine."""
    header = read_header(path)
    longest = min(settings.context or LARGEST_TEXT, header.context_length or LARGEST_TEXT)
    layout = fit(header, Wishes(longest, 1, settings.threads, settings.gpu_layers), machine.look())
    return Vectors(VectorModel(path, context=longest, threads=layout.threads, gpu_layers=layout.gpu_layers))


def main() -> None:
    """Load what the parent asks for, say hello, serve."""
    with Channel.open() as channel:
        settings = dict(channel.settings)
        path = Path(settings.pop("model"))
        vectors = opened(path, msgspec.convert(settings, VectorSettings))
        channel.hello(msgspec.to_builtins(vectors.info))
        serve(channel, vectors)


if __name__ == "__main__":
    main()
