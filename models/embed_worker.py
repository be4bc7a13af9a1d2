"""The process that embeds for the server: `python -m models.embed_worker`, started by `models.embed_client`.

Settings: `folder` (of the installed model), `threads`, `precision` (fp32, bf16; empty: as this machine does best, kept in the
folder `remember`). Its hello is the model's `EmbedderInfo`.
Ops: "query" and "passage" with `{"texts": [...]}` -> `{"vectors": bytes, "dimensions": n}`; rows of little-endian float32.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from app.core.errors import BadRequest, NotReady, foreign
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
        embedder.queries(["ready"])
        channel.hello(msgspec.to_builtins(embedder.info))
        Serving(channel, embedder).run()


class Answers(Protocol):
    """What the loop needs of a channel."""

    def get(self, timeout: float | None = None) -> Call | None:
        """The next request."""
        ...

    def done(self, id: int, body: Any = None) -> None:
        """An answer; from any thread."""
        ...

    def error(self, id: int, error: BaseException) -> None:
        """A failure; from any thread."""
        ...


class Serving:
    """One thread takes in what has come; as many as the embedder has streams each do a batch and look again."""

    def __init__(self, channel: Answers, embedder: SentenceEmbedder) -> None:
        self._channel, self._embedder = channel, embedder
        self._queue = EmbedQueue()
        self._rows: dict[int, Vectors] = {}
        self._changed = threading.Condition()

    def run(self) -> None:
        """Until the process ends."""
        for _ in range(self._embedder.streams):
            threading.Thread(target=self._work, name="batches", daemon=True).start()
        while (call := self._channel.get()) is not None:
            self._accept(call)

    def _accept(self, call: Call) -> None:
        if call.op == "cancel":
            self._give_up(call.body, NotReady("This request was given up."))
            return
        texts = call.body.get("texts") if isinstance(call.body, dict) else None
        if call.op not in tuple(Kind) or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self._channel.error(call.id, BadRequest(f"The embed worker does not know {call.op!r} of that shape."))
            return
        prepared = self._embedder.prepared(texts, Kind(call.op))
        with self._changed:
            self._rows[call.id] = np.zeros((len(texts), self._embedder.info.dimensions), dtype=np.float32)
            self._queue.add(call.id, Kind(call.op), prepared, budget=self._embedder.budget)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (taken := self._queue.take()) is None:
                    self._changed.wait()
                more = len(self._queue) > 0
            self._embed(*taken, more=more)

    def _embed(self, job: Job, indices: list[int], *, more: bool) -> None:
        try:
            made = self._embedder.batch([job.texts[index] for index in indices], job.kind, more=more) if indices else None
        except Exception as error:  # noqa: BLE001 - this thread has to live for the next batch
            # One request's texts (or its share of the memory) are at fault: the others go on.
            self._give_up(job.id, foreign(error))
            return
        with self._changed:
            rows = self._rows.get(job.id)
            if rows is None:
                return  # given up meanwhile
            if made is not None:
                rows[indices] = made
            job.unmade -= 1
            if job.unmade:
                return
            del self._rows[job.id]
        self._channel.done(job.id, {"vectors": rows.astype("<f4", copy=False).tobytes(), "dimensions": rows.shape[1]})

    def _give_up(self, id: int, error: BaseException) -> None:
        with self._changed:
            self._queue.drop(id)
            known = self._rows.pop(id, None) is not None
        if known:
            self._channel.error(id, error)


if __name__ == "__main__":
    main()
