"""The wire shapes of llama.cpp's router, by which chat pages manage models: the one file that knows them. Pure.

    {"id": ..., "status": {"value": "loaded"}}                                    a model; `failed` beside a value where its load failed
    {"id": ..., "status": {"value": "downloading", "progress": {FILE: {"done": 1, "total": 9}}}}
    {"model": ID, "event": "status_change", "data": {"status": "loading"}}       and download_progress, download_finished,
                                                                                  download_failed, model_remove

What llama.cpp has no word for: the values `failed` and `stopped` of a download, `error` beside them, and `display_name`,
which Open WebUI shows above the id: it shows nothing else of a download.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.api.parts import ManagedModel
from app.core.errors import to_openai
from app.pipeline.waiting import size


class ModelRequest(msgspec.Struct):
    """POST /models, /models/load and /models/unload."""

    model: str


def model_list(models: Sequence[ManagedModel], created: int) -> dict[str, Any]:
    """GET /models. A finished download is the model that it became, and has no line of its own."""
    return {"object": "list", "data": [_entry(model, created) for model in models if model.state != "finished"]}


def _entry(model: ManagedModel, created: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "ondol",
        "tags": [model.kind],
        "aliases": [],
        "source": "cache",
        "can_remove": True,
        "architecture": {"input_modalities": ["text", "image"] if model.vision else ["text"], "output_modalities": ["text"]},
        "status": _status(model),
    }
    if shown := _display_name(model) if model.run else model.name:
        entry["display_name"] = shown
    if not model.run:
        entry["meta"] = {"size": model.size_bytes, "n_params": model.parameters, "n_ctx_train": model.context}
    return entry


def _status(model: ManagedModel) -> dict[str, Any]:
    if not model.run:
        return {"value": "unloaded", "failed": True} if model.state == "failed" else {"value": model.state}
    status: dict[str, Any] = {"value": model.state}
    if model.state == "downloading":
        status["progress"] = _progress(model)
    if model.error is not None:
        status |= {"failed": True, **to_openai(model.error)}
    return status


def _progress(model: ManagedModel) -> dict[str, Any]:
    return {model.file or model.id: {"done": model.done, "total": model.total}} if model.done or model.total else {}


def _display_name(model: ManagedModel) -> str:
    """What it is at, first: long names are cut off on the page, and the id stands below. Of a failed one, why."""
    if model.error is not None:
        return str(model.error)
    if model.state == "stopped":
        return f"stopped, load it to go on: {model.id}"
    if model.stage == "waiting":
        return model.file
    if model.total:
        word = "checking, " if model.stage == "installing" else ""
        return f"{word}{100 * model.done // model.total} % of {size(model.total)}: {model.id}"
    return model.id


Seen = Mapping[str, ManagedModel]


def by_id(models: Sequence[ManagedModel]) -> Seen:
    """A listing as `changes` compares it."""
    return {model.id: model for model in models}


def changes(before: Seen, after: Seen) -> Iterator[dict[str, Any]]:
    """The events that tell a client who saw `before` what is so now."""
    # Downloads first: one has finished before its model is there.
    for id, now in sorted(after.items(), key=lambda one: not one[1].run):
        was = before.get(id)
        if now != was and (told := _change(was, now)) is not None:
            yield {"model": id, **told}
    for id, was in before.items():
        # A finished download was told to have become its model: that it is not listed any more is no news.
        if id not in after and was.state != "finished":
            yield {"model": id, "event": "model_remove"}


def _change(was: ManagedModel | None, now: ManagedModel) -> dict[str, Any] | None:
    if now.state == "downloading" and (progress := _progress(now)):
        return {"event": "download_progress", "data": {"progress": progress}}
    if was is not None and (was.run, was.state) == (now.run, now.state):
        return None
    if now.state == "finished":
        return {"event": "download_finished", "data": {"id": now.becomes}}
    if now.run and now.state in ("failed", "stopped"):
        return {"event": "download_failed", "data": to_openai(now.error) if now.error is not None else {}}
    status = _status(now)
    status.pop("progress", None)
    return {"event": "status_change", "data": {"status": status.pop("value"), **status}}
