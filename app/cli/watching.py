"""`ondol ingest watch`: a keeper in the foreground, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from app.cli.output import Output
from app.core.errors import NotFound
from app.core.paths import Home
from ingest.keeping.keeper import Keeper, Pace
from ingest.keeping.kept import Kept, Key, read_kept
from ingest.keeping.schedule import Schedule


async def watch(home: Home, out: Output, store: str | None, every: float, stuck: float) -> None:
    """Until interrupted. NotFound where there is nothing to watch."""

    def adopt(kept: Sequence[Kept]) -> list[Kept]:
        return [adopted(one, every) for one in kept if store in (None, one.key.store)]

    mine = adopt(await asyncio.to_thread(read_kept, home.book))
    if not mine:
        where = f'The store "{store}" has' if store else "There are"
        raise NotFound(f"{where} no sources to watch.", hint="`ondol ingest files PATH --into STORE` makes one.")
    keeper = Keeper(home, adopt=adopt, on_line=lambda key, said: _tell(out, key, said), pace=Pace(look=2.0, stuck=stuck))
    await keeper.start()
    out.data({"event": "watching", "sources": [{"store": one.key.store, "source": one.key.name} for one in mine]})
    for one in mine:
        out.text(f"{one.key.store}: {one.key.name}: {one.schedule.words if one.schedule else ''}")
    out.text("Ctrl-C ends it.")
    try:
        await _interrupted()
    finally:
        await keeper.stop()


def adopted(one: Kept, every: float) -> Kept:
    """A source as it is kept here: by its own schedule, else every so often; a folder on change too, whatever was chosen for the server."""
    chosen = one.schedule or Schedule(every=every)
    return msgspec.structs.replace(one, schedule=msgspec.structs.replace(chosen, on_change=one.kind == "files"))


async def _interrupted() -> None:
    """Ctrl-C, or a request to end."""
    ended = asyncio.Event()
    if sys.platform == "win32":
        await ended.wait()  # Ctrl-C cancels us
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    with contextlib.suppress(asyncio.CancelledError):
        await ended.wait()


def _tell(out: Output, key: Key, said: dict[str, Any]) -> None:
    """A run's lines: all of them for programs, its report for people, where it found something."""
    out.data({**said, "store": key.store, "source": key.name} if "error" in said else said)
    if isinstance(error := said.get("error"), dict):
        out.note(f"{key.store}: {key.name}: {error.get('message', '')}")
    if said.get("event") != "report":
        return
    counts = [f"{said[name]} {name}" for name in ("added", "changed", "deleted", "moved") if said.get(name)]
    if counts:
        out.text(f"{key.store} <- {key.name}: {', '.join(counts)}; {said.get('seconds', 0):.1f} s")
    for failed in said.get("failed", ()):
        out.note(f"failed: {failed.get('item')}: {failed.get('reason')}")
    if said.get("error"):
        out.note(f"stopped: {said['error']}")
