"""Health and metrics: live says that the process answers, ready that it serves, with a state per part."""

from __future__ import annotations

import os
import time
from typing import Any

from litestar import Response, get
from litestar.datastructures import State

from app.api.parts import Parts


@get("/health/live", tags=["Health"])
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get(["/health", "/health/ready"], tags=["Health"])
async def ready(state: State) -> dict[str, Any]:
    """The server serves: also without a chat model. `instance` tells this run of the server from any other."""
    parts: Parts = state.parts
    return {
        "status": "ok",
        "instance": parts.instance,
        "pid": os.getpid(),
        "version": parts.version,
        "uptime_seconds": round(time.time() - parts.started, 1),
        "parts": await parts.health(),
    }


@get("/metrics", tags=["Health"])
async def metrics(state: State) -> Response[bytes]:
    """Prometheus's text format."""
    parts: Parts = state.parts
    for name, part in (await parts.health()).items():
        parts.metrics.part.labels(name).set(1 if part["state"] in ("ready", "idle") else 0)
        if "running" in part:
            parts.metrics.running.set(part["running"])
            parts.metrics.waiting.set(part["waiting"])
        for store, waiting in part.get("pending", {}).items():
            parts.metrics.pending.labels(store).set(waiting)
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
