"""The sources of this machine's stores, as their owner manages them: how they stand, run now, run when."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get, post, put
from litestar.datastructures import State
from litestar.params import JSONBody


class SourceRequest(msgspec.Struct):
    """POST /ingest/sync: all sources of a store, or one."""

    store: str
    source: str | None = None


class ScheduleRequest(msgspec.Struct):
    """PUT /ingest/schedule: `every` ("15m") or `cron` ("0 3 * * *") or `on_change`; none of them: never by itself."""

    store: str
    source: str | None = None
    every: str = ""
    cron: str = ""
    on_change: bool = False


@get("/ingest/sources", tags=["Ingest"])
async def list_sources(state: State) -> dict[str, Any]:
    """Every source: what is in, its last run and the next, what failed; `running` are the runs that this server has begun."""
    return await state.parts.keeping.sources()  # type: ignore[no-any-return]


@post("/ingest/sync", status_code=202, tags=["Ingest"])
async def sync_sources(state: State, data: JSONBody[SourceRequest]) -> dict[str, Any]:
    """Read sources again as soon as their store is free; answers at once."""
    return {"accepted": await state.parts.keeping.ask(data.store, data.source)}


@put("/ingest/schedule", tags=["Ingest"])
async def schedule_sources(state: State, data: JSONBody[ScheduleRequest]) -> dict[str, Any]:
    """When sources are read again by themselves."""
    return {"sources": await state.parts.keeping.schedule(data.store, data.source, data.every, data.cron, on_change=data.on_change)}
