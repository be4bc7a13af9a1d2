"""The process that embeds for the server: `python -m models.embed_worker`, started by `models.embed_client`.

Settings: `folder` (of the installed model), `threads`, `precision` (fp32, bf16; empty: as this machine does best, kept in the
folder `remember`). Its hello is the model's `EmbedderInfo`.
Ops: "query" and "passage" with `{"texts": [...]}` -> `{"vectors": bytes, "dimensions": n}`; rows of little-endian float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from app.core.errors import BadRequest, NotReady, OndolError, foreign
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from models.embed_queue import EmbedQueue, Job, Kind
from models.embedder import Vectors
from models.installed import read_model
from models.precision import Precisions
from models.sentence import SentenceEmbedder


def main() -> None:
    """Load, say hello, embed until the parent goes."""
    with Channel.open() as channel:
        asked = channel.settings
        embedder = SentenceEmbedder(
            read_model(Path(asked["folder"])),
            threads=int(asked.get("threads", 0)),
            precision=asked.get("precision", ""),
            precisions=Precisions(Path(asked["remember"])) if asked.get("remember") else None,
        )
        embedder.load()
        # The first call of a fresh model is several times slower than the rest: nobody has to wait for it.
        embedder.batch(["ready"], Kind.QUERY)
        channel.hello(msgspec.to_builtins(embedder.info))
        Serving(channel, embedder).run()


class Answers(Protocol):
    """What the loop needs of a channel."""

    def get(self, timeout: float | None = None) -> Call | None:
        """The next request."""
        ...

    def done(self, id: int, body: Any = None) -> None:
        """An answer."""
        ...

    def error(self, id: int, error: BaseException) -> None:
        """A failure."""
        ...


class Serving:
    """The worker's loop: take in what has come, do one batch, look again."""

    def __init__(self, channel: Answers, embedder: SentenceEmbedder) -> None:
        self._channel, self._embedder = channel, embedder
        self._queue = EmbedQueue()
        self._rows: dict[int, Vectors] = {}

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self.step()

    def step(self) -> None:
        """Wait for something to do and do it: accept one call, or embed one batch."""
        call = self._channel.get(timeout=0 if len(self._queue) else None)
        if call is not None:
            self._accept(call)
        elif (taken := self._queue.take()) is not None:
            self._embed(*taken)

    def _accept(self, call: Call) -> None:
        if call.op == "cancel":
            self._queue.drop(call.body)
            self._rows.pop(call.body, None)
            self._channel.error(call.body, NotReady("This request was given up."))
            return
        texts = call.body.get("texts") if isinstance(call.body, dict) else None
        if call.op not in tuple(Kind) or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self._channel.error(call.id, BadRequest(f"The embed worker does not know {call.op!r} of that shape."))
            return
        self._queue.add(call.id, Kind(call.op), texts, self._embedder.lengths(texts), budget=self._embedder.budget)
        self._rows[call.id] = np.zeros((len(texts), self._embedder.info.dimensions), dtype=np.float32)

    def _embed(self, job: Job, indices: list[int]) -> None:
        rows = self._rows[job.id]
        try:
            if indices:
                rows[indices] = self._embedder.batch([job.texts[index] for index in indices], job.kind)
        except (OndolError, RuntimeError, ValueError, TypeError, OSError) as error:
            # One request's texts (or its share of the memory) are at fault: the others go on.
            self._queue.drop(job.id)
            del self._rows[job.id]
            self._channel.error(job.id, foreign(error))
            return
        if not job.left:
            del self._rows[job.id]
            self._channel.done(job.id, {"vectors": rows.astype("<f4", copy=False).tobytes(), "dimensions": rows.shape[1]})


if __name__ == "__main__":
    main()
