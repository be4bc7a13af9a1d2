"""The doorway to `state.db`: made when missing, for its owner's eyes, and brought to the newest form when older."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

from app.core.errors import Conflict

HEAD = "0001"
MIGRATIONS = Path(__file__).parent / "migrations"


def open_state(path: Path) -> Engine:
    """The database, ready to write. Conflict where a newer Ondol has written it; errors of SQLAlchemy and OSError as they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # Errors never carry values: they are a user's questions and answers.
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begun)
    try:
        with engine.begin() as connection:
            _upgrade(connection, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _connected(dbapi: Any, _record: Any) -> None:
    # Transactions begin where SQLAlchemy says so: the driver's own guess would leave DDL outside.
    dbapi.isolation_level = None
    # NORMAL: a power cut may cost the last answers' records, never the file.
    for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = NORMAL"):
        dbapi.execute(f"PRAGMA {pragma}")


def _begun(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection, path: Path) -> None:
    there = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None
    if version == HEAD:
        return
    known = {file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    if version is not None and version not in known:
        raise Conflict(
            f"{path} was written by a newer Ondol (form {version}, this one knows {HEAD}).",
            hint="Update Ondol, or move the file away.",
            code="newer_data",
        )
    # Imported here alone: a state of the newest form costs the server none of Alembic's start-up time and memory.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
