"""What each request cost, for the metrics: wrapped around its steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from app.api.choices import Numbered
from app.api.metrics import Metrics
from app.core.errors import ModelNotFound, OndolError
from app.pipeline.steps import Done, Text


@dataclass
class Cost:
    """A request that gives no text: what is known of it by its end. `model` is one that there is, or stays unknown."""

    model: str = "unknown"


@contextmanager
def counted(metrics: Metrics, endpoint: str) -> Iterator[Cost]:
    """Count and time what the block does."""
    began, status, cost = time.perf_counter(), "ok", Cost()
    metrics.active.inc()
    try:
        yield cost
    except BaseException as error:
        gone = isinstance(error, asyncio.CancelledError)
        status = "cancelled" if gone else error.code if isinstance(error, OndolError) else "internal_error"
        metrics.errors.labels(endpoint, status).inc()
        raise
    finally:
        metrics.active.dec()
        metrics.requests.labels(endpoint, cost.model, status).inc()
        metrics.seconds.labels(endpoint, cost.model).observe(time.perf_counter() - began)


class Measured:
    """One request's measurements."""

    def __init__(self, metrics: Metrics, endpoint: str, model: str) -> None:
        self._metrics, self._endpoint, self._model = metrics, endpoint, model
        self._code = ""

    def failed(self, code: str) -> None:
        """The request failed with this error code."""
        self._code = self._code or code

    async def watch(self, steps: AsyncGenerator[Numbered, None]) -> AsyncGenerator[Numbered, None]:
        """The same steps; counted, timed, and their tokens added up."""
        metrics, began, first = self._metrics, time.perf_counter(), True
        metrics.active.inc()
        try:
            async with aclosing(steps) as running:
                async for one in running:
                    step = one.step
                    if first and isinstance(step, Text):
                        first = False
                        metrics.first.labels(self._model).observe(time.perf_counter() - began)
                    if isinstance(step, Done):
                        metrics.tokens.labels(self._model, "prompt").inc(step.usage.prompt_tokens)
                        metrics.tokens.labels(self._model, "completion").inc(step.usage.completion_tokens)
                    yield one
        except (GeneratorExit, asyncio.CancelledError):
            self.failed("cancelled")
            raise
        except Exception as error:
            self.failed(error.code if isinstance(error, OndolError) else "internal_error")
            if isinstance(error, ModelNotFound):
                # A name that somebody made up must not become a label for ever.
                self._model = "unknown"
            raise
        finally:
            metrics.active.dec()
            metrics.requests.labels(self._endpoint, self._model, self._code or "ok").inc()
            metrics.seconds.labels(self._endpoint, self._model).observe(time.perf_counter() - began)
            if self._code:
                metrics.errors.labels(self._endpoint, self._code).inc()
