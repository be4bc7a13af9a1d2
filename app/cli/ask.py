"""`ondol ask`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded, place


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def ask(
        question: Annotated[str, typer.Argument(help="What you want to know.")],
        model: Annotated[str, typer.Option("--model", "-m", help="An assistant or model, as in `/v1/models`.")] = "",
        json: Json = False,
    ) -> None:
        """Ask, and get an answer with its sources. Starts a temporary server where none runs.

        Without --model the assistant over all stores answers; where there is no store yet, the chat model alone.
        """
        out = Output(json=json)

        def work() -> None:
            from app.cli.running import server
            from app.core.paths import Home

            with server(Home.find(), out) as client:
                name = model or _first(client.get("/v1/models")["data"])
                body = {
                    "model": name,
                    "messages": [{"role": "user", "content": question}],
                    "stream_options": {"include_events": True, "include_usage": True},
                }
                sources: list[dict[str, Any]] = []
                text = ""
                last: dict[str, Any] = {}
                for event in client.stream("/v1/chat/completions", body):
                    if (happened := event.get("event")) is not None:
                        if happened["type"] == "source":
                            sources.append(_source(happened["data"]))
                        elif not happened["data"].get("done"):
                            out.note(f"· {happened['data']['description']}")
                    for choice in event.get("choices", ()):
                        if piece := choice["delta"].get("content"):
                            text += piece
                            out.text(piece, end="")
                    last = {**last, **{key: event[key] for key in ("usage", "ondol") if event.get(key)}}
                out.text("\n")
                for number, source in enumerate(sources, 1):
                    out.text(f"  [{number}] {source['title']}{place(source)}  ({source['document_id']})")
                out.data({"model": name, "answer": text, "sources": sources, **last})

        guarded(work, out)


def _first(models: list[dict[str, Any]]) -> str:
    """The assistant over everything comes first in the list; without stores, the default model does."""
    shown = [entry["id"] for entry in models if not entry.get("info", {}).get("meta", {}).get("hidden")]
    return shown[0] if shown else "default"


def _source(data: dict[str, Any]) -> dict[str, Any]:
    about = data["metadata"][0]
    return {
        "title": about["name"],
        "document_id": about["document_id"],
        "page": about["page"] + 1 if "page" in about else None,
        "line": about.get("line"),
        "url": data["source"].get("url"),
        "text": data["document"][0],
    }
