"""Open WebUI's own database, as far as we touch it: the one place that knows its tables.

    config(key TEXT PRIMARY KEY, value JSON, updated_at BIGINT)     a row per setting, read at each use: no restart is needed
    user(..., email)                                                its accounts

All is read and written in one transaction, so that a running Open WebUI sees the old connection or the new one.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from app.chat_page.connection import ROWS, Change, Connection, plan
from app.core.errors import BadRequest, Conflict, Forbidden, NotFound, OndolError, foreign
from app.core.redaction import redact

NAME = "webui.db"
WAIT_SECONDS = 5.0
BY_HAND = "Or set it by hand: `ondol connect open-webui` says what to click."
NO_LOGIN_ACCOUNT = "admin@localhost"  # what Open WebUI makes for itself where WEBUI_AUTH is False


def locate(given: Path | None, environ: Mapping[str, str], own: Path) -> Path:
    """The database file: of the folder given, else of the environment, else of the folder that our own page keeps.

    NotFound where there is none; BadRequest where it is no SQLite file.
    """
    if given is not None:
        return _there(given if given.is_file() else given / NAME, "--data-dir")
    if url := environ.get("DATABASE_URL"):
        if not url.startswith("sqlite:///"):
            raise BadRequest(
                f"DATABASE_URL names {redact(url)}, and only SQLite can be written to.",
                hint=f"Give the folder of its {NAME} with --data-dir. {BY_HAND}",
            )
        return _there(Path(unquote(url.removeprefix("sqlite:///"))), "DATABASE_URL")
    if folder := environ.get("DATA_DIR"):
        return _there(Path(folder) / NAME, "DATA_DIR")
    return _there(own / NAME, "")


def _there(path: Path, named_by: str) -> Path:
    if path.is_file():
        return path.absolute()
    where = f"{named_by} leads to {path}, but there is no such file." if named_by else f"There is no Open WebUI database at {path}."
    raise NotFound(
        where,
        hint="Start Open WebUI once, and give its data folder with --data-dir "
        f"(where it was installed with pip and DATA_DIR is not set: .../site-packages/open_webui/data). {BY_HAND}",
    )


def connect(path: Path, wanted: Connection) -> Change:
    """Set the connection; what was changed. Nothing is written where all is right already."""
    with _opened(path) as database:
        database.execute("BEGIN IMMEDIATE")
        change = plan(_rows(database, path), wanted)
        for name, value in change.rows.items():
            database.execute(
                "INSERT INTO config (key, value, updated_at) VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                (name, json.dumps(value), int(time.time())),
            )
        database.execute("COMMIT")
        return change


def accounts(path: Path) -> tuple[int, bool]:
    """How many accounts there are, and whether the one that needs no login is among them."""
    with _opened(path, "ro") as database:
        found = [str(row[0]).lower() for row in database.execute("SELECT email FROM user")] if _has(database, "user") else []
        return len(found), NO_LOGIN_ACCOUNT in found


def is_current(path: Path) -> bool:
    """Whether the file has the table of settings by name; an older version's gets it when a newer Open WebUI starts."""
    with _opened(path, "ro") as database:
        return {"key", "value", "updated_at"} <= _columns(database)


def _columns(database: sqlite3.Connection) -> set[str]:
    return {str(row[1]) for row in database.execute("PRAGMA table_info(config)")}


def _has(database: sqlite3.Connection, table: str) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone() is not None


def _rows(database: sqlite3.Connection, path: Path) -> dict[str, Any]:
    if not {"key", "value", "updated_at"} <= _columns(database):
        raise BadRequest(
            f"{path} is of another version of Open WebUI: it keeps its settings differently.",
            hint=f"Open WebUI 0.12 or newer brings it up to date when it starts. {BY_HAND}",
        )
    marks = ", ".join("?" * len(ROWS))
    found = {}
    for key, value in database.execute(f"SELECT key, value FROM config WHERE key IN ({marks})", ROWS):  # noqa: S608  # marks alone
        try:
            found[str(key)] = json.loads(value)
        except (TypeError, ValueError):
            raise BadRequest(
                f"Open WebUI's setting {key} in {path} is not valid JSON, so its connections can't be kept.",
                hint="Save them once on its page: Admin Settings, Connections. Then try again.",
            ) from None
    return found


@contextlib.contextmanager
def _opened(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A connection whose failures are told in words; an unfinished transaction is rolled back."""
    try:
        database = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=WAIT_SECONDS, isolation_level=None)
        with contextlib.closing(database):
            yield database
    except sqlite3.DatabaseError as error:
        raise told(error, path) from error


def told(error: sqlite3.DatabaseError, path: Path) -> OndolError:
    """SQLite's failure by what its receiver does next."""
    said = str(error)
    if "locked" in said or "busy" in said:
        return Conflict(f"{path} is locked by another program.", hint=f"Try again in a moment. {BY_HAND}")
    if "readonly" in said or "unable to open" in said:
        return Forbidden(f"{path} can't be written to by this user.", hint=f"Run this as the user who runs Open WebUI. {BY_HAND}")
    if "not a database" in said or "malformed" in said:
        return BadRequest(f"{path} can't be read: it is encrypted, or damaged.", hint=BY_HAND)
    return foreign(error)
