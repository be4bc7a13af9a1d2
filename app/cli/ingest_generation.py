"""`ondol ingest generation ...`: the ways in which a store was, is and will be embedded."""

from __future__ import annotations

import typer

from app.cli.options import Json, OneStore, TheStore
from app.cli.output import Output, guarded

command = typer.Typer(help="The embedding models that stores were and are filled with.", no_args_is_help=True)
_STATES = {
    "current": "answers",
    "building": "being embedded; `ondol ingest sync` goes on with it",
    "previous": "kept for one step back",
    "left": "stepped back from",
}


@command.command()
def show(store: OneStore = "", json: Json = False) -> None:
    """Show each store's generations: the one that answers, the one that is being embedded, the one before."""
    out = Output(json=json)

    def work() -> None:
        import msgspec

        from app.core.paths import Home
        from ingest.generations import statuses

        found = statuses(Home.find(), store or None)
        for one in found:
            out.data(msgspec.to_builtins(one))
            precision = one.fingerprint.removeprefix(f"{one.model}:").partition(":")[0]
            out.text(f"{one.store}: {one.model} ({precision}), {one.texts} of {one.total} texts: {_STATES[one.state]}")
        if not found:
            out.text("Nothing was ingested yet: `ondol ingest files PATH --into STORE`.")

    guarded(work, out)


@command.command()
def back(store: TheStore, json: Json = False) -> None:
    """Search a store as before its embedding model changed. Run it again to undo it."""
    out = Output(json=json)

    def work() -> None:
        from app.cli.progress import Shown
        from app.cli.standalone import embedders, embedding_model, prepared
        from app.core.paths import Home
        from ingest.embedders import Tools
        from ingest.generations import step_back
        from models.tokenizer import ModelTokenCounter

        home = Home.find()
        settings = prepared(home, "ingest")
        with Shown(out) as shown:
            tools = Tools(embedders(home, settings), lambda: ModelTokenCounter(embedding_model(home, settings)))
            now = step_back(home, store, tools, shown.event)
        out.text(f"{store} is searched with {now.model} again.")

    guarded(work, out)
