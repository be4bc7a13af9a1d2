"""`python -m ingest.index.worker`: the process that alone owns the index folder.

Requests: `query` {store, vector, limit, allowed, generation} -> [[pk, cosine]] · `state` -> a list, one entry per store · `refresh`.
Between requests it follows the book, in batches short enough that a query never waits long.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from app.core import logs
from app.core.errors import BadRequest
from app.core.locks import FileLock
from app.core.paths import Home
from app.core.workers.child import Channel
from app.core.workers.frames import Call
from ingest.index.service import POLL_SECONDS, IndexService
from ingest.search.visible import Restriction

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.2
"""The longest time without a batch while requests keep coming."""
LOCK_SECONDS = 5.0
"""A former server's worker ends within this time once its server is gone."""


def main() -> None:
    """Serve one parent until it goes."""
    with Channel.open() as channel:
        home = Home(Path(channel.settings["home"]))
        logs.setup(home.logs, "index")
        with FileLock(home.locks / "index.lock", wait=LOCK_SECONDS, who="another server's index worker"):
            service = IndexService(home)
            channel.hello()
            more, worked = False, time.monotonic()
            while True:
                call = channel.get(timeout=0 if more else POLL_SECONDS)
                if call is not None:
                    _serve(channel, service, call)
                # Requests go first, but a stream of them without a pause must not keep the index from following.
                if call is None or time.monotonic() - worked > FOLLOW_SECONDS:
                    more, worked = _work(service), time.monotonic()


def _work(service: IndexService) -> bool:
    try:
        return service.tick()
    except (OSError, sqlite3.Error) as error:
        # The book may be busy or its disk full: queries say so themselves, and the next tick tries again.
        log.warning("the index can't follow the book now: %s", error)
        return False


def _serve(channel: Channel, service: IndexService, call: Call) -> None:
    if call.op == "cancel":
        return
    with logs.bind(call.request_id):
        try:
            channel.done(call.id, _answer(service, call))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is this request's answer, translated
            channel.error(call.id, error)


def _answer(service: IndexService, call: Call) -> Any:
    match call.op:
        case "query":
            body = call.body
            allowed = Restriction(body["allowed"]["sql"], tuple(body["allowed"]["values"])) if body["allowed"] else None
            return service.query(body["store"], body["vector"], body["limit"], allowed, body.get("generation", ""))
        case "state":
            return service.state()
        case "refresh":
            return service.refresh()
        case _:
            raise BadRequest(f"The index worker knows no request '{call.op}'.")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
