"""`bootstrap.py run`: models, a PostgreSQL with rows, a handbook, a server, two answers with their sources.

What the demo consists of stands in `installer/demo`; no line here knows its contents.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from boot import process
from boot.console import Console, Failed, tail
from boot.environment import Environment
from boot.ondol import Ondol, summary
from boot.server import Server, free_port
from boot.setup import Clone
from boot.stamps import Busy, Lock, Stamps, key_of

PORT = 11500
START_SECONDS = 120.0
LEAVING_SECONDS = 20.0
LINES = 96
SEARCH_PARTS = ("index", "embedder")


def variables(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What the demo's programs see: their own home, and none of the user's own settings of Ondol."""
    kept = {name: value for name, value in environment.items() if not name.startswith("ONDOL_")}
    return {**kept, "ONDOL_HOME": str(home)}


def wanted_port(environment: Mapping[str, str]) -> int:
    """`ONDOL_PORT`, else 11500. `Failed` where it is no port."""
    named = environment.get("ONDOL_PORT", "")
    if not named:
        return PORT
    if not named.isdecimal() or not 0 < int(named) < 65536:
        raise Failed(f"ONDOL_PORT is {named!r}; it has to be a number from 1 to 65535.")
    return int(named)


def run_demo(clone: Clone, environment: Environment, console: Console, *, once: bool) -> None:
    """All of it; returns when it is done (`once`) or the server has ended. `Failed` where an answer has no source."""
    try:
        with Lock(clone.state / "demo.lock", None):
            _Demo(clone, environment, console).run(once=once)
    except Busy:
        raise Failed("the demo of this clone is already running in another terminal.") from None


class _Demo:
    def __init__(self, clone: Clone, environment: Environment, console: Console) -> None:
        self._clone, self._environment, self._console = clone, environment, console
        self._folder = clone.root / "installer" / "demo"
        self._about = json.loads((self._folder / "demo.json").read_text(encoding="utf-8"))
        self._variables = variables(environment.variables, clone.demo_home)
        program = environment.command("ondol")
        self._ondol = Ondol(program, variables=self._variables, cwd=clone.root, log=self._log, status=console.status)

    def run(self, *, once: bool) -> None:
        wanted = wanted_port(os.environ)
        self._clone.demo_home.mkdir(exist_ok=True)
        self._models()
        with ExitStack() as running:
            dsn = running.enter_context(self._postgres())
            # Before the ingest, which then embeds through the server's worker: one load of the embedding model, not one a source.
            server, child = running.enter_context(self._serve(wanted))
            self._ingest(dsn)
            self._warm(server)
            self._ask()
            self._write(server)
            self._tell(server, dsn)
            if not once:
                self._console.say("\nServing until Ctrl-C.")
                with suppress(KeyboardInterrupt):
                    child.wait()
                    raise Failed("the server has ended.", log=self._log("serve"))
        self._console.say("Everything is stopped again" + ("; start without --once to keep it." if once else "."))

    def _log(self, name: str) -> Path:
        return self._clone.logs / f"{name}.log"

    def _models(self) -> None:
        here = {str(model.get("source")): str(model.get("id")) for model in self._ondol.run("models", "models", "list")}
        for source in self._about["models"]:
            if source not in here:
                with self._console.step(f"Model {source}") as step:
                    step.note = str(self._ondol.run("models", "models", "pull", source)[-1].get("id"))

    @contextmanager
    def _postgres(self) -> Iterator[str]:
        """A PostgreSQL with the demo's rows; yields its DSN and ends the server."""
        log = self._log("postgres")
        log.unlink(missing_ok=True)
        with self._console.step("PostgreSQL (embedded)") as step:
            command = [
                self._environment.python,
                self._folder / "postgres.py",
                self._clone.demo_home / "postgres",
                self._folder / "company.sql",
            ]
            child = process.start(command, log=log, environment=self._variables, cwd=self._clone.root, talks=True)
            # Blocks until the first line, or until the child has ended; the child has time-outs of its own.
            told = child.stdout.readline() if child.stdout else b""
            if not told:
                process.stop(child)
                raise Failed(f"it did not start. If it never does, remove {self._clone.demo_home / 'postgres'}.", log=log)
            dsn = str(json.loads(told)["dsn"])
            step.note = dsn
        try:
            yield dsn
        finally:
            process.stop(child)

    def _ingest(self, dsn: str) -> None:
        """The demo's files and tables; where the store knows them all from an earlier run, one command reads what changed."""
        store, paths = self._about["store"], [str(self._folder / name) for name in self._about["files"]]
        stamps, key = Stamps(self._clone.demo_home), key_of(self._about, dsn, paths)
        if stamps.done("ingested", key):
            with self._console.step("What changed in pages and rows") as step:
                step.note = summary(self._ondol.run("ingest", "ingest", "sync", "--in", store))
            return
        with self._console.step("Handbook pages") as step:
            step.note = summary(self._ondol.run("ingest", "ingest", "files", *paths, "--into", store))
        for table in self._about["tables"]:
            with self._console.step(f"PostgreSQL table {table['table']}") as step:
                words = ("--table", table["table"], "--title", table["title"], "--into", store)
                step.note = summary(self._ondol.run("ingest", "ingest", "postgres", dsn, *words))
        stamps.mark("ingested", key)

    @contextmanager
    def _serve(self, wanted: int) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
        log = self._log("serve")
        log.unlink(missing_ok=True)
        with self._console.step("Server") as step:
            self._wait_for_the_last_one()
            port = free_port(wanted)
            command: list[str | Path] = [self._ondol.program, "serve", "--port", str(port), "--until-stdin-closes", "--json"]
            child = process.start(command, log=log, environment=self._variables, cwd=self._clone.root)
            try:
                server = Server(port, self._ondol.key())
                self._wait_ready(server, child, log)
            except BaseException:
                process.stop(child)
                raise
            step.note = server.address + (f" (port {wanted} is taken)" if port != wanted else "")
        try:
            yield server, child
        finally:
            with self._console.step("Stopping"):
                process.stop(child)

    def _wait_for_the_last_one(self) -> None:
        """A server whose bootstrap was killed ends by itself, after the requests that it was at."""
        try:
            record = json.loads((self._clone.demo_home / "server.json").read_text(encoding="utf-8"))
            last = Server(int(record["port"]))
        except (OSError, ValueError, KeyError, TypeError):
            return
        end = time.monotonic() + LEAVING_SECONDS
        while last.answers("/health/live"):
            if time.monotonic() > end:
                raise Failed(f"a server over the demo's data already runs at {last.address}. Stop it first.")
            time.sleep(0.3)

    def _wait_ready(self, server: Server, child: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + START_SECONDS
        while not server.answers():
            if child.poll() is not None:
                raise Failed(f"it ended at once: {' '.join(tail(log, 1)) or f'status {child.returncode}'}", log=log)
            if time.monotonic() > end:
                raise Failed(f"it was not ready after {START_SECONDS:.0f} s.", log=log)
            time.sleep(0.1)

    def _warm(self, server: Server) -> None:
        """Wait for the workers that a question needs. One that fails is left to the question, which says why."""
        with self._console.step("Search") as step:
            end = time.monotonic() + START_SECONDS
            while time.monotonic() < end:
                parts = server.parts()
                states = {name: str(parts.get(name, {}).get("state")) for name in SEARCH_PARTS}
                if not set(states.values()) & {"idle", "starting", "waiting"}:
                    break
                time.sleep(0.1)
            step.note = ", ".join(f"{name} {state}" for name, state in states.items())

    def _ask(self) -> None:
        asked = json.loads((self._folder / "questions.json").read_text(encoding="utf-8"))["run"]
        for one in asked:
            with self._console.step(f"Question: {one['question']}") as step:
                answer = self._ondol.run("ask", "ask", one["question"], "--model", self._about["store"])[-1]
                sources = answer.get("sources") or []
                for line in _answer_lines(str(answer.get("answer", "")), sources):
                    self._console.say(f"    {line}")
                if not sources:
                    raise Failed("the answer names no source.", log=self._log("ask"))
                step.note = "answered"

    def _write(self, server: Server) -> None:
        """Some lines of the chat model itself, with its speed."""
        with self._console.step(f"The model writes: {self._about['prompt']}") as step:
            body = {
                "model": "default",
                "messages": [{"role": "user", "content": self._about["prompt"]}],
                "max_tokens": LINES,
                "temperature": 0.3,
            }
            tokens, first, last = 0, 0.0, 0.0
            self._console.write("    ")
            try:
                for event in server.stream(body):
                    for choice in event.get("choices", ()):
                        if piece := choice.get("delta", {}).get("content"):
                            last = time.monotonic()
                            first = first or last
                            self._console.write(piece.replace("\n", "\n    "))
                    if error := event.get("error"):
                        raise Failed(str(error.get("message")), log=self._log("serve"))
                    tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            except urllib.error.HTTPError as error:
                raise Failed(error.read().decode("utf-8", "replace"), log=self._log("serve")) from None
            except OSError as error:
                raise Failed(f"the stream broke off: {error}", log=self._log("serve")) from None
            self._console.say()
            if tokens < 2 or last <= first:
                raise Failed("the model wrote nothing.", log=self._log("serve"))
            # The first token's time is the prompt's; the rest is the writing.
            step.note = f"{tokens} tokens, {(tokens - 1) / (last - first):.0f} tokens/s"

    def _tell(self, server: Server, dsn: str) -> None:
        say = self._console.say
        say("\nFor Open WebUI (Settings > Connections > OpenAI API) or any OpenAI client:")
        say(f"    address  {server.address}/v1")
        say(f"    key      {server.key}")
        say(f"    model    {self._about['store']}  (answers from the demo's data; the raw models are in the same list)")
        say(f"Its database: {dsn}")
        say(f"Its data: {self._clone.demo_home} (remove the folder to begin anew)")


def _answer_lines(answer: str, sources: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"| {line}" for line in answer.strip().splitlines()]
    for number, source in enumerate(sources, 1):
        lines.append(f"  [{number}] {source.get('title') or ''}  ({source.get('document_id') or ''})")
    return lines
