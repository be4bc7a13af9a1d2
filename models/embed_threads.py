"""The threads that batches go through a model in: some side by side, each with a share of the cores, and one that has them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# More of them would wait for each other in Python.
MOST = 4


class EmbedThreads:
    """One thread at first; after `divide` there are `count` others beside it, each with `share` cores. Any thread may call."""

    def __init__(self) -> None:
        self._whole = ThreadPoolExecutor(1, "embedder")
        self._beside: ThreadPoolExecutor | None = None
        self._lock, self._under_way = threading.Lock(), 0
        self.count = self.share = 1

    def divide(self, cores: int, use: Callable[[int], None]) -> None:
        """Have the cores shared from now on. `use` is called in each new thread, with the number of cores that are its own."""
        self.count = min(MOST, cores)
        self.share = cores // self.count
        if self.count > 1:
            self._beside = ThreadPoolExecutor(self.count, "embedder-beside", use, (self.share,))

    def whole(self, work: Callable[[], Result]) -> Result:
        """What `work` gives in the thread that has all cores."""
        return self._whole.submit(work).result()

    def begin(self, work: Callable[[], Result], *, heavy: bool, more: bool) -> Future[Result]:
        """What `work` will give. It has all cores where it is `heavy`, nothing else is under way, and no `more` comes at once."""
        with self._lock:
            alone = not more and not self._under_way
            self._under_way += 1
        pool = self._whole if self._beside is None or (heavy and alone) else self._beside
        future = pool.submit(work)
        future.add_done_callback(self._ended)
        return future

    def in_turn(self, works: Iterable[Callable[[], Result]]) -> Iterator[Result]:
        """What several works give, in their order. No more of them are begun than keep all threads busy: others' get in between."""
        begun: deque[Future[Result]] = deque()
        try:
            for work in works:
                if len(begun) > self.count:
                    yield begun.popleft().result()
                begun.append(self.begin(work, heavy=False, more=True))
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

    def _ended(self, _future: object) -> None:
        with self._lock:
            self._under_way -= 1
