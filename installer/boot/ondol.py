"""The `ondol` command as the bootstrap sees it: run with `--json`, its lines read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from boot import process
from boot.console import Failed


class Ondol:
    """Runs the installed command over one home. `log` gives a log's path by the step's name."""

    def __init__(
        self, program: Path, *, variables: Mapping[str, str], cwd: Path, log: Callable[[str], Path], status: Callable[[str], None]
    ) -> None:
        self.program, self._variables, self._cwd, self._log, self._status = program, variables, cwd, log, status

    def run(self, name: str, *words: str) -> list[dict[str, Any]]:
        """Run `ondol ... --json`; the objects that it printed. What it says of a failure becomes our message."""
        log = self._log(name)
        log.unlink(missing_ok=True)
        command: list[str | Path] = [self.program, *words, "--json"]

        def told() -> list[dict[str, Any]]:
            return objects(log.read_text(encoding="utf-8", errors="replace"))

        try:
            process.run(
                command,
                log=log,
                environment=self._variables,
                cwd=self._cwd,
                on_line=lambda line: self._status(progress(line)),
            )
        except Failed as failed:
            error: dict[str, Any] = next((found["error"] for found in reversed(told()) if isinstance(found.get("error"), dict)), {})
            raise Failed(str(error.get("message") or failed), log=log) from None
        return told()

    def key(self) -> str:
        """The server's API key. Not through a log: keys stay out of those."""
        printed = process.output([self.program, "key"], environment=self._variables, cwd=self._cwd)
        if not printed:
            raise Failed("`ondol key` gave no key.")
        return printed.strip()


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects among a program's lines."""
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def progress(line: str) -> str:
    """A line of `ondol ... --json` as a person reads it; any other line as it is."""
    for found in objects(line):
        return " ".join(str(found[name]) for name in ("event", "text", "stage", "items", "done", "total") if found.get(name))
    return line


def summary(printed: Sequence[Mapping[str, Any]]) -> str:
    """Counts over the reports of an ingest."""
    totals = dict.fromkeys(("added", "changed", "unchanged", "deleted"), 0)
    for report in printed:
        if report.get("event") == "report":
            for name in totals:
                totals[name] += int(report.get(name) or 0)
    return ", ".join(f"{count} {name}" for name, count in totals.items() if count) or "nothing to do"
