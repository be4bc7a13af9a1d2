"""`ondol bench ...`: how fast this machine is, beside what else could serve the same model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.cli.bench.beside import Wanted

command = typer.Typer(help="Measure this machine.", no_args_is_help=True)


@command.command()
def serve(
    model: Annotated[str, typer.Argument(help="A GGUF file, or a model's id as `ondol models list` shows it.")] = "default",
    streams: Annotated[str, typer.Option(help="Requests at once, one measurement each: 1,8,16.")] = "1,8,16",
    threads: Annotated[int, typer.Option(min=0, help="Threads of each server; 0: one per physical core.")] = 0,
    tokens: Annotated[int, typer.Option(min=8, help="Tokens of each answer.")] = 96,
    repeat: Annotated[int, typer.Option(min=1, help="Turns of all servers.")] = 5,
    llama_server: Annotated[str, typer.Option(metavar="PROGRAM", help="llama.cpp's llama-server; found on PATH by itself.")] = "",
    peer_python: Annotated[
        list[Path] | None,
        typer.Option(metavar="PROGRAM", help="Python of an environment that has xllamacpp or llama_cpp.server; may be given again."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the medians there.")] = None,
    json: Json = False,
) -> None:
    """Tokens per second of `ondol serve`, in turn with other servers over the same model, where they are installed.

    All speak HTTP, each at the same number of threads, with the same greedy requests. Quote the ratios, and only from a
    machine that does nothing else meanwhile; on one that does, those per second of processor time.
    """
    out = Output(json=json)

    def work() -> None:
        import asyncio
        import sys

        from app.cli.bench.beside import Wanted, compare
        from app.cli.bench.plot import svg

        wanted = Wanted(
            model=_file(model),
            streams=_counts(streams),
            threads=threads or _cores(),
            tokens=tokens,
            repeat=repeat,
            llama_server=llama_server,
            pythons=(Path(sys.executable), *(peer_python or ())),
        )
        said = asyncio.run(compare(wanted, out.note, lambda line: _show(out, line)))
        summaries = [line for line in said if "figure" in line]
        if plot is not None:
            plot.write_text(svg(summaries, _title(wanted)), encoding="utf-8")
            out.note(f"The picture is {plot}.")

    guarded(work, out)


@command.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="Rows to copy: a dump (FILE.sql), or postgresql://...; without it the histories alone.")
    ] = "",
    table: Annotated[str, typer.Option("--table", help="The table, where the source has several.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="COLUMN", help="What tells rows apart; else its primary key or first column.")] = "",
    rows: Annotated[int, typer.Option(min=100, help="Rows to copy.")] = 5000,
    model: Annotated[str, typer.Option(help="The embedding model's id, as `ondol models list` shows it.")] = "default",
    repeat: Annotated[int, typer.Option(min=1, help="Turns of all sides.")] = 2,
    peer_python: Annotated[
        list[Path] | None,
        typer.Option(metavar="PROGRAM", help="Python of an environment that has LangChain or LlamaIndex with Chroma; may be given again."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the medians there.")] = None,
    json: Json = False,
) -> None:
    """A table kept in an index, beside LangChain's `index()` and LlamaIndex's pipeline where they are installed; and what each misses.

    The rows are copied into a PostgreSQL of the bench's own. Quote the ratios, and only from a machine that does nothing else.
    """
    out = Output(json=json)

    def work() -> None:
        import sys

        from app.cli.bench.ingest import Wanted, compare
        from app.cli.bench.ingest_report import page, show, svg
        from app.cli.standalone import precisions
        from app.core.paths import Home
        from app.core.settings import IngestSettings
        from models.library import Library

        home, sizes = Home.find(), IngestSettings()
        found = Library(home.models).find("" if model == "default" else model, "embedding")
        wanted = Wanted(
            source=source,
            table=table,
            key=key,
            rows=rows,
            model=str(found.path),
            remember=str(precisions(home).folder),
            tokens=sizes.chunk_tokens,
            overlap=sizes.chunk_overlap,
            repeat=repeat,
            pythons=(Path(sys.executable), *(peer_python or ())),
        )
        said = compare(wanted, out.note, lambda line: show(out, line))
        out.text(page(said))
        if plot is not None:
            plot.write_text(svg(said, f"{rows} rows, {found.id}, medians of {repeat} turns"), encoding="utf-8")
            out.note(f"The picture is {plot}.")

    guarded(work, out)


def _show(out: Output, line: dict[str, Any]) -> None:
    out.data(line)
    if "side" in line:
        out.note(f"  {line['streams']:3} streams  {line['side']:24} {line['tokens_per_s']:8.1f} tokens/s")
        return
    name = {"tokens_per_s": "tokens/s", "tokens_per_cpu_s": "tokens per processor second"}[line["figure"]]
    if line["medians"]:
        streams = f"{line['streams']} stream{'' if line['streams'] == 1 else 's'}"
        out.text(f"{streams}, {name}: " + ", ".join(f"{side} {value:.1f}" for side, value in line["medians"].items()))
    for pair, (middle, least, most) in line["ratios"].items():
        out.text(f"  {pair}: {middle:.2f} ({least:.2f} to {most:.2f})")


def _title(wanted: Wanted) -> str:
    threads = f"{wanted.threads} thread{'' if wanted.threads == 1 else 's'} each"
    return f"{wanted.model.stem}, {threads}, {wanted.tokens} tokens, medians of {wanted.repeat} turns"


def _counts(text: str) -> tuple[int, ...]:
    from app.core.errors import BadRequest

    words = text.replace(",", " ").split()
    if not words or not all(word.isdigit() and 1 <= int(word) <= 256 for word in words):
        raise BadRequest(f"--streams is {text!r}.", hint="Give numbers from 1 to 256, such as 1,8,16.", param="streams")
    return tuple(int(word) for word in words)


def _cores() -> int:
    from models.engine import machine

    here = machine.look()
    return min(here.physical_cores, here.usable_cores)


def _file(model: str) -> Path:
    """The GGUF that is meant; ModelNotFound where it is neither a file nor an id."""
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf" and path.is_file():
        return path.resolve()
    from app.core.paths import Home
    from models.library import Library

    return Library(Home.find().models).find("" if model == "default" else model, "chat").path
