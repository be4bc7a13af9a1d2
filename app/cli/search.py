"""`ondol search`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.options import Json, store_option
from app.cli.output import Output, guarded, place


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def search(
        query: Annotated[str, typer.Argument(help="What to look for.")],
        store: Annotated[str, store_option("--in", "The store to search.")],
        limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages.")] = 10,
        json: Json = False,
    ) -> None:
        """Show the passages of a store that fit, best first. Works with and without a running server."""
        out = Output(json=json)

        def work() -> None:
            from app.core.paths import Home
            from app.core.server_record import running

            home = Home.find()
            found = running(home)
            if found is not None:
                from app.cli.client import ServerClient
                from app.core.credentials import api_key

                client = ServerClient(found.address, api_key(home))
                hits = client.post(f"/v1/vector_stores/{_quoted(store)}/search", {"query": query, "max_num_results": limit})["data"]
            else:
                from app.cli.standalone import search as search_here

                hits = search_here(home, store, query, limit)
            for number, hit in enumerate(hits, 1):
                _show(out, number, hit)
            if not hits:
                out.text("Nothing found.")

        guarded(work, out)


def _quoted(store: str) -> str:
    from urllib.parse import quote

    return quote(store, safe="")


def _show(out: Output, number: int, hit: dict[str, Any]) -> None:
    out.data(hit)
    text = " ".join(hit["content"][0]["text"].split())
    out.text(f"{number:2}. {hit['filename']}{place(hit['attributes'])}  ({hit['file_id']}, {hit['score']:.3f})")
    out.text(f"    {text[:300]}{'…' if len(text) > 300 else ''}\n")
