"""What the command line prints: for people on a terminal, or one JSON object a line with `--json`.

Exit statuses: 0 done; 1 some items failed; 2 wrong usage; 66 not found; 69 a configured service failed; 70 a bug of ours;
74 disk full; 75 try again later; 77 not allowed; 78 wrong configuration; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec
import typer

from app.core.errors import OndolError, foreign, to_openai


class Output:
    """Standard output for results, standard error for what goes wrong."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def data(self, body: Any) -> None:
        """One JSON line; nothing on a terminal."""
        if self.json:
            sys.stdout.write(msgspec.json.encode(body).decode() + "\n")
            sys.stdout.flush()

    def text(self, text: str = "", *, end: str = "\n") -> None:
        """A line for people; nothing with `--json`."""
        if not self.json:
            sys.stdout.write(text + end)
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """A remark beside the result, on standard error."""
        if not self.json:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def fail(self, error: BaseException) -> int:
        """Say what went wrong and what to do; returns the exit status."""
        found = error if isinstance(error, OndolError) else foreign(error)
        if self.json:
            self.data(to_openai(found))
        else:
            sys.stderr.write(f"ondol: {found}\n")
        return found.exit_status


def place(found: Mapping[str, Any]) -> str:
    """Where in its document a passage begins, behind the document's name: ", page 3", ", line 12"; "" where nobody knows."""
    return "".join(f", {what} {found[what]}" for what in ("page", "line") if found.get(what))


def guarded(work: Callable[[], int | None], out: Output) -> NoReturn:
    """Run a command's work and leave with its exit status; errors of ours are said in a line, others keep their trace in the log."""
    try:
        status = work() or 0
    except KeyboardInterrupt:
        out.note("interrupted")
        status = 130
    except BrokenPipeError:
        status = 0
        sys.stderr.close()
    except Exception as error:
        if foreign(error).code == "internal_error" and logging.getLogger().hasHandlers():
            logging.getLogger(__name__).error("the command failed", exc_info=error)
        status = out.fail(error)
    raise typer.Exit(status)
