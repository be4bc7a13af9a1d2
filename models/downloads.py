"""Pulls that a server runs beside its other work: asked for over its API, watched, ended, tried again.

    downloading -> finished            the model is on this disk
                -> failed | stopped    `start` goes on where it stopped, `discard` deletes what came

Each runs in a thread of its own (it may last for hours, and must keep nobody from leaving); the bytes come through the
library's child process. What is known of it lives as long as this process: after a restart the half downloads lie in
the library's `.partial`, and go on when somebody asks for them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.errors import Busy, Cancelled, NotFound, OndolError, foreign
from models.library import Library
from models.pull import reference
from models.pull.spec import Progress, Spec
from models.pull.stop import Stop

log = logging.getLogger(__name__)
AT_ONCE = 3
LEAVING_SECONDS = 3.0
_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Download:
    """One pull as it stands. `id` is its source without `hf:`; `run` is another number each time that it is started.

    `state`: downloading | finished | failed | stopped; `model` is the finished model's id, `error` why it failed.
    """

    id: str
    run: int
    state: str = "downloading"
    progress: Progress = field(default_factory=lambda: Progress("finding"))
    model: str = ""
    error: OndolError | None = None


class _Job:
    """What the event loop knows of a pull's thread."""

    def __init__(self, spec: Spec, seen: Download) -> None:
        self.spec, self.seen = spec, seen
        self.stop, self.under_way, self.ended = Stop(), asyncio.Event(), asyncio.Event()

    def tell(self, progress: Progress) -> None:
        self.seen = replace(self.seen, progress=progress)
        if progress.stage in ("downloading", "installing"):
            self.under_way.set()

    def end(self, model: str, error: OndolError | None) -> None:
        if isinstance(error, Cancelled):
            self.seen = replace(self.seen, state="stopped")
        else:
            self.seen = replace(self.seen, state="finished" if error is None else "failed", model=model, error=error)
        self.under_way.set()
        self.ended.set()


class Downloads:
    """All pulls of this process, one per source. Its methods are for the event loop, and none of them blocks it."""

    def __init__(self, library: Library, *, at_once: int = AT_ONCE) -> None:
        self._library, self._at_once = library, at_once
        self._jobs: dict[str, _Job] = {}
        self._runs = itertools.count(1)

    def all(self) -> list[Download]:
        """The last run of each source."""
        return [job.seen for job in self._jobs.values()]

    def find(self, name: str) -> Download | None:
        """By its id, or by any other way to write its source."""
        with contextlib.suppress(OndolError):
            name = reference.name(reference.read(name))
        job = self._jobs.get(name)
        return job.seen if job is not None else None

    def start(self, spec: Spec) -> Download:
        """Begin, or go on; one that runs is left alone. EgressRefused (offline), Busy."""
        id = reference.name(spec)
        if (job := self._jobs.get(id)) is not None and not job.ended.is_set():
            return job.seen
        self._library.check_network(spec)
        if sum(not job.ended.is_set() for job in self._jobs.values()) >= self._at_once:
            raise Busy(
                f"{self._at_once} models are being downloaded already.",
                hint="Wait for one of them, or stop it.",
                retry_after=_RETRY_SECONDS,
            )
        job = self._jobs[id] = _Job(spec, Download(id, next(self._runs)))
        # Not of the event loop's pool: a pull that lasts for hours would keep its thread from everybody else.
        thread = threading.Thread(target=self._pull, args=(job, asyncio.get_running_loop()), name=f"pull {id}", daemon=True)
        thread.start()
        return job.seen

    def _pull(self, job: _Job, loop: asyncio.AbstractEventLoop) -> None:
        def tell(call: Callable[..., None], *said: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(call, *said)

        log.info("pulling %s", job.spec.text)
        try:
            model = self._library.pull(job.spec.text, on_progress=lambda progress: tell(job.tell, progress), stop=job.stop)
        except OndolError as error:
            log.log(logging.INFO if isinstance(error, Cancelled) else logging.WARNING, "the pull of %s ended: %s", job.spec.text, error)
            tell(job.end, "", error)
        except Exception as error:
            log.exception("the pull of %s ended", job.spec.text)
            tell(job.end, "", foreign(error))
        else:
            log.info("%s is here: %s", job.spec.text, model.id)
            tell(job.end, model.id, None)

    async def begun(self, id: str, patience: float) -> Download:
        """As soon as bytes come, or after `patience` seconds. Raises why it failed before; it is forgotten then."""
        job = self._job(id)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(job.under_way.wait(), patience)
        if job.seen.state == "failed":
            if self._jobs.get(id) is job:
                del self._jobs[id]
            assert job.seen.error is not None, "it failed"
            raise job.seen.error
        return job.seen

    async def stop(self, id: str) -> Download:
        """End it; what came stays, for the next start."""
        job = self._job(id)
        job.stop.throw()
        await job.ended.wait()
        return job.seen

    async def discard(self, id: str) -> None:
        """End it, delete what came, and forget it. A finished model stays: that is the library's to remove."""
        job = self._job(id)
        await self.stop(id)
        if job.seen.state != "finished":
            await asyncio.to_thread(self._library.discard, job.spec.text)
        if self._jobs.get(id) is job:
            del self._jobs[id]

    def resume(self, id: str) -> Download:
        """Try a failed or stopped one again."""
        return self.start(self._job(id).spec)

    async def close(self) -> None:
        """End all; a thread that does not end in time is left to the end of the process."""
        running = [job for job in self._jobs.values() if not job.ended.is_set()]
        for job in running:
            job.stop.throw()
        if running:
            await asyncio.wait([asyncio.ensure_future(job.ended.wait()) for job in running], timeout=LEAVING_SECONDS)

    def _job(self, id: str) -> _Job:
        if id not in self._jobs:
            raise NotFound(f"Nothing called {id!r} is being downloaded.")
        return self._jobs[id]
