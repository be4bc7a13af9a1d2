"""The product at work where there is no network: `python -m app.cli.offline.trial`, started by `ondol doctor --offline --run`.

In a network of its own with loopback alone, over a temporary data folder with the installed models: a file is ingested, a server
answers a question from it and writes with the chat model, and its processes are looked at meanwhile. Reads one JSON object,
`{"models", "settings"}`, and prints one line of JSON per check.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.cli.client import ServerClient
from app.cli.offline import own_network, sockets, told
from app.cli.offline.report import Check
from app.core.credentials import api_key
from app.core.errors import NotReady, OndolError
from app.core.paths import Home
from app.core.server_record import running
from app.core.settings import dump
from models.library import Library

STORE, ASSISTANT, FACT = "doctor", "trial", "417"
TEXT = f"# The archive\n\nThe spare key of the archive lies with Ms. Bilby in room {FACT}.\n\nThe archive opens at nine.\n"
QUESTION = "Where does the spare key of the archive lie?"
SECONDS = 600.0


def trial(models: Path, settings: dict[str, Any]) -> Iterator[Check]:
    """Each step as a check; one that fails ends it."""
    devices = own_network.leave()
    yield Check("the network of this trial", devices == ["lo"], f"its devices: {', '.join(devices)}")
    with tempfile.TemporaryDirectory(prefix="ondol-offline-", ignore_cleanup_errors=True) as folder:
        home = _home(Path(folder), models, settings)
        page = Path(folder) / "archive.md"
        page.write_text(TEXT, encoding="utf-8")
        done = _ondol(home, "ingest", "files", str(page), "--into", STORE, "--json")
        yield Check("a file was ingested", done.returncode == 0, "one document, embedded here" if done.returncode == 0 else _said(done))
        if done.returncode:
            return
        with _serving(home) as server:
            yield from _asked(home, server)


def _asked(home: Home, server: ServerClient) -> Iterator[Check]:
    answer = _chat(server, ASSISTANT, QUESTION)
    yield Check("a question was answered from it", FACT in answer, f"“{QUESTION}” “{answer.strip()}”")
    chat = Library(home.models, offline=True).default_chat()
    if chat is not None:
        text = _chat(server, chat.id, "Say hello.", max_tokens=16)
        yield Check(f"the chat model `{chat.id}` wrote", bool(text.strip()), f"“{text.strip()}”")
    record = running(home)
    assert record is not None, "it has just answered"
    yield from told.family(record.pid)
    yield from sockets.checks(record, lambda _host, _port: False, "offline")


def _chat(server: ServerClient, model: str, question: str, **options: Any) -> str:
    asked = {"model": model, "messages": [{"role": "user", "content": question}], **options}
    return str(server.post("/v1/chat/completions", asked)["choices"][0]["message"]["content"] or "")


def _home(folder: Path, models: Path, settings: dict[str, Any]) -> Home:
    home = Home(folder / "home")
    home.root.mkdir()
    home.models.symlink_to(models, target_is_directory=True)
    # It quotes whatever is found: what this embedder takes for relevant in a store of one page is not the question here.
    assistants = {ASSISTANT: {"sources": [STORE], "style": "quote", "threshold": 0.0}}
    chosen = {"network": "offline", "models": settings, "assistants": assistants}
    (home.root / "config.yaml").write_text(dump(chosen), encoding="utf-8")
    return home


def _environment(home: Home) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONDOL_")}
    return {**kept, "ONDOL_HOME": str(home.root)}


def _line(*words: str) -> list[str]:
    return [sys.executable, "-P", "-X", "utf8", "-m", "app.cli", *words]


def _ondol(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _line(*words), env=_environment(home), capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, check=False
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with status {done.returncode}"


@contextlib.contextmanager
def _serving(home: Home) -> Iterator[ServerClient]:
    """A server that ends with this process, however that ends."""
    process = subprocess.Popen(
        _line("serve", "--port", "0", "--until-stdin-closes", "--json"),
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        if '"listening"' not in first:
            raise NotReady(f"The server did not start: {first.strip() or 'it said nothing'}")
        yield ServerClient(json.loads(first)["url"], api_key(home), timeout=SECONDS)
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """The trial, as JSON lines."""
    asked = json.load(sys.stdin)
    try:
        for check in trial(Path(asked["models"]), asked["settings"]):
            sys.stdout.write(msgspec.json.encode(check).decode() + "\n")
            sys.stdout.flush()
    except (OndolError, OSError, subprocess.TimeoutExpired) as error:
        hint = error.hint if isinstance(error, OndolError) else ""
        message = error.message if isinstance(error, OndolError) else str(error)
        sys.stdout.write(msgspec.json.encode(Check("the trial", False, message, hint)).decode() + "\n")


if __name__ == "__main__":
    main()
