"""What the embed worker does next: small batches, queries before passages. Pure, apart from its own state.

A question that arrives while a thousand passages wait is embedded after the batch that is running now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Tokens of one padded batch, for each core that computes it. On a CPU a token costs the same in a batch of 2 texts as of 32
# (all-MiniLM on 2 threads: 2, 8 and 32 texts of 250 tokens take 72, 328 and 1309 ms), so they are no more than a question may wait for.
BUDGET = 512
MOST = 64


class Kind(StrEnum):
    """What a text is to the search; also the prefix that it gets."""

    QUERY = "query"
    PASSAGE = "passage"


def batches(lengths: Sequence[int], *, budget: int = BUDGET, most: int = MOST) -> list[list[int]]:
    """The indices of all texts, cut into batches: near lengths together, count times longest within `budget` tokens.

    A text longer than the budget is a batch of its own. Shortest first, so that the first results are soon there.
    """
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if found and len(found[-1]) < most and (len(found[-1]) + 1) * lengths[index] <= budget:
            found[-1].append(index)
        else:
            found.append([index])
    return found


@dataclass(frozen=True)
class Prepared:
    """A text for the model. `length`: tokens that it takes of a batch; `ids`: its own, None where the model's code has to prepare it."""

    text: str
    length: int
    ids: Sequence[int] | None = None


@dataclass
class Job:
    """One request: its texts, the batches that nobody has begun yet, and how many are not made yet (one, without vectors, of no texts)."""

    id: int
    kind: Kind
    texts: Sequence[Prepared]
    left: deque[list[int]] = field(default_factory=deque)
    unmade: int = field(init=False)

    def __post_init__(self) -> None:
        self.unmade = len(self.left) or 1


class EmbedQueue:
    """The requests that wait. Not thread-safe: the worker locks it."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, id: int, kind: Kind, texts: Sequence[Prepared], *, budget: int = BUDGET) -> Job:
        """Take a request in."""
        job = Job(id, kind, texts, deque(batches([text.length for text in texts], budget=budget)))
        self._jobs.append(job)
        return job

    def drop(self, id: int) -> None:
        """Forget a request that was given up or has failed."""
        self._jobs = [job for job in self._jobs if job.id != id]

    def take(self) -> tuple[Job, list[int]] | None:
        """The next batch: of the oldest query, else of the oldest request for passages. A request leaves with its last batch."""
        job = next((job for job in self._jobs if job.kind is Kind.QUERY), None) or next(iter(self._jobs), None)
        if job is None:
            return None
        batch = job.left.popleft() if job.left else []
        if not job.left:
            self.drop(job.id)
        return job, batch
