"""Logs: one rotating file per process, one line per record, with the request's id, without secrets.

    2026-05-04T09:30:00.125+09:00 INFO server 1f0c22ab app.pipeline.answer: answered in 812 ms

Authors: never log a document's or a question's text above debug. Libraries speak from WARNING up, our own packages from
the configured level. A folder that can't be written or a full disk sends the lines to standard error and ends nobody.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import os
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

import msgspec

from app.core.redaction import redact

request_id: ContextVar[str] = ContextVar("request_id", default="-")
OURS = ("app", "models", "ingest", "tray", "__main__")

_hidden: tuple[str, ...] = ()  # longest first: one may be part of another


class LogOptions(msgspec.Struct, frozen=True):
    """How much is written and kept: `level` is debug, info, warning or error; `files` old files of `megabytes` each."""

    level: str = "info"
    megabytes: float = 10
    files: int = 5


_options = LogOptions()


def setup(folder: Path, process: str, options: LogOptions | None = None, *, stderr: bool = False) -> None:
    """Log this process to `folder`/`process`.log, and to standard error as well where asked. Replaces an earlier set-up."""
    global _options  # the process's own: workers that it starts log alike
    options = _options = options or LogOptions()
    handlers: list[logging.Handler] = [_File(folder, process, options)]
    if stderr and sys.stderr is not None:
        handlers.append(logging.StreamHandler())
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if getattr(handler, "ondol", False)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(_Line(process))
        handler.ondol = True  # type: ignore[attr-defined]  # tells ours from a test runner's or an embedding program's
        root.addHandler(handler)
    level = logging.getLevelNamesMapping()[options.level.upper()]
    root.setLevel(max(level, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_a_thread


def options() -> LogOptions:
    """What this process was set up with."""
    return _options


@contextlib.contextmanager
def bind(id: str) -> Iterator[None]:
    """Within, every line carries this request id; tasks and threads of asyncio that begin within keep it."""
    token = request_id.set(id or "-")
    try:
        yield
    finally:
        request_id.reset(token)


def hide(secret: str) -> None:
    """Never write this text, nor its URL-encoded form (for secrets that no pattern would know; at least 4 characters)."""
    global _hidden
    if len(secret) >= 4:
        _hidden = tuple(sorted({*_hidden, secret, urllib.parse.quote(secret, safe="")}, key=len, reverse=True))


class _Line(logging.Formatter):
    """One line per record: what would begin a new one is escaped."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        record.asctime = datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        head = f"{record.asctime} {record.levelname} {self._process} {request_id.get()} {record.name}: "
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + self.formatException(record.exc_info)
        if record.stack_info:
            text += "\n" + record.stack_info
        text = redact(text, _hidden)
        return head + text.replace("\n", "\\n").replace("\r", "\\r")


class _File(RotatingFileHandler):
    """A rotating file that never fails its caller."""

    def __init__(self, folder: Path, process: str, options: LogOptions) -> None:
        self._folder = folder
        self._failed = False
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in process)
        super().__init__(
            folder / f"{name}.log",
            maxBytes=int(options.megabytes * 1_000_000),
            backupCount=options.files,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )

    def _open(self) -> io.TextIOWrapper:
        self._folder.mkdir(parents=True, exist_ok=True)
        # For the owner's eyes from the first byte on.
        return open(self.baseFilename, "a", encoding="utf-8", errors=self.errors, opener=_private)

    def doRollover(self) -> None:  # noqa: N802  # the standard library's name
        try:
            super().doRollover()
        except OSError:  # Windows: somebody has the file open. It grows until the next chance.
            if self.stream is None:
                self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the standard library's name
        """The line goes to standard error; the reason once."""
        error = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            if not self._failed:
                self._failed = True
                print(f"Ondol's log {self.baseFilename} can't be written: {error}", file=sys.stderr)  # noqa: T201
            print(self.format(record), file=sys.stderr)  # noqa: T201


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("app").critical("the process ends", exc_info=(kind, error, trace))
    sys.__excepthook__(kind, error, trace)


def _log_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "?"
        logging.getLogger("app").error("thread %s ends", name, exc_info=args.exc_value)
    threading.__excepthook__(args)
