"""The doorway to `book.db`: opened with the settings that keep it safe, and brought to the newest form.

WAL lets readers go on while a batch is written. `synchronous = FULL` makes a commit survive a power cut: what was
reported as done is done. Readers never change the file, not even its form.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from app.core.errors import Conflict, DiskFull, NotReady, OndolError, StoreNotFound, foreign
from app.core.locks import FileLock
from app.core.paths import Home

HEAD = "0002"
MIGRATIONS = Path(__file__).parent / "migrations"


class Book:
    """A book open for reading. One snapshot per `read`; any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = _engine(path, writes=False)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the book."""
        with translated(), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_book(path: Path) -> Book:
    """Open for reading; never makes or migrates the file. StoreNotFound, NotReady (older form), Conflict (newer form)."""
    if not path.exists():
        raise StoreNotFound("Nothing has been ingested yet.", hint="Run `ondol ingest files PATH --into STORE` first.")
    book = Book(path)
    try:
        with book.read() as connection:
            version = _version(connection)
    except BaseException:
        book.close()
        raise
    if version != HEAD:
        book.close()
        _refuse_newer(path, version)
        raise NotReady(
            "The book is new, or still in the form of an older Ondol.", hint="Run `ondol ingest sync` once: it brings the book up to date."
        )
    return book


def open_writable(path: Path, locks: Path) -> Engine:
    """Open for writing: made when missing, migrated when older, refused (Conflict) when newer. Two processes may come at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # All documents stand in it: its owner's alone, as are the files that SQLite puts beside it.
    path.touch(mode=0o600, exist_ok=True)
    engine = _engine(path, writes=True)
    try:
        with translated():
            with engine.connect() as connection:
                version = _version(connection)
            if version != HEAD:
                with FileLock(locks / "book-migration.lock", who="a migration of the book"):
                    _migrate(path, engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def writing(home: Home) -> Iterator[Engine]:
    """A home's book, open for writing until the block ends."""
    engine = open_writable(home.book, home.locks)
    try:
        yield engine
    finally:
        engine.dispose()


def update_book(path: Path, locks: Path) -> None:
    """Bring a book that is there to the newest form. One that isn't is not made."""
    if path.exists():
        open_writable(path, locks).dispose()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig or error
        ours = foreign(cause)
        if isinstance(ours, DiskFull):
            raise ours from None
        if any(word in str(cause) for word in ("malformed", "not a database")):
            raise OndolError(
                f"The book is damaged: {cause}.", hint="Move book.db away (or bring a backup back) and ingest again.", code="book_damaged"
            ) from None
        if isinstance(cause, sqlite3.OperationalError) and "locked" in str(cause):
            raise NotReady("The book is being written by another process.", hint="Try again in a moment.") from None
        raise OndolError(f"The book could not be read or written: {cause}") from error


def _migrate(path: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        version = _version(connection)
        if version == HEAD:
            return
        _refuse_newer(path, version)
        # Alembic is imported here alone: an unchanged book costs a run none of its start-up time.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(path: Path, version: str) -> None:
    known = {file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    if version and version not in known:
        raise Conflict(
            f"{path} was written by a newer Ondol (form {version}, this one knows {HEAD}).",
            hint="Update Ondol, or use another ONDOL_HOME.",
            code="newer_data",
        )


def _version(connection: Connection) -> str:
    """The form's number; empty for a new file."""
    found = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "") if found else ""


def _engine(path: Path, *, writes: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=4, max_overflow=16, connect_args={"timeout": 30, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def settings(dbapi: Any, _record: Any) -> None:
        # Transactions begin where SQLAlchemy says so, not at the driver's guess (which would leave DDL outside).
        dbapi.isolation_level = None
        pragmas = ["busy_timeout = 30000", "foreign_keys = ON", "synchronous = FULL", "cache_size = -32000"]
        pragmas += ["journal_mode = WAL"] if writes else ["query_only = ON"]
        for pragma in pragmas:
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: upgrading a read lock later can fail without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
