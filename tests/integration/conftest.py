"""What the tests of several files stand on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import openai
    from api_server import Running
    from engine_bench import Bench
    from follow_world import Followed
    from harnessed import MakeWorker
    from ingest_world import World
    from kept_server import Keep, Kept
    from page_run import Start
    from postgres_history import Paths

    from app.core.paths import Home
    from app.core.workers.parent import Worker


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty home whose book can be looked into."""
    from ingest_world import World

    (tmp_path / "home").mkdir()
    return World(tmp_path / "home")


@pytest.fixture
def shop(database: str) -> str:
    """A database with tables, a view and types as a shop has them (`postgres_tables.SHOP`)."""
    from postgres_tables import SHOP, run

    run(database, SHOP)
    return database


@pytest.fixture
def things(database: str) -> str:
    """A database with one table of 30 rows (`postgres_tables.THINGS`)."""
    from postgres_tables import THINGS, run

    run(database, THINGS)
    return database


@pytest.fixture
def paths() -> Iterator[Paths]:
    """Counts which way runs go from now on: every row looked at, or the changed ones alone."""
    from postgres_history import Paths

    counted = Paths()
    with counted.watched():
        yield counted


@pytest.fixture
def followed(database: str, tmp_path: Path) -> Followed:
    """A table `t` of 30 rows, to be followed through a slot."""
    from follow_world import Followed

    made = Followed(tmp_path, database, text=("a",))
    if made.rows("SHOW wal_level") != [("logical",)]:
        pytest.skip("this server's WAL tells no changes (wal_level)")
    made.run("CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 30) n")
    return made


@pytest.fixture(scope="module")
def bench(smollm2: Path) -> Iterator[Bench]:
    """The engine in this process over SmolLM2, loaded once for a file."""
    from engine_bench import Bench

    bench = Bench(smollm2)
    yield bench
    bench.close()


@pytest.fixture
def tray_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home as a person has it: its path has blanks and Korean in it."""
    from app.core.paths import Home

    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "내 문서" / "온돌 home"))
    return Home.find()


@pytest.fixture
def keep(tray_home: Home, tmp_path: Path) -> Iterator[Keep]:
    """Makes keepers; each is closed at the end, and leaves no process behind."""
    from kept_server import Kept, ours, wait_for

    made: list[Kept] = []

    def make(*starts: dict[str, Any], **given: Any) -> Kept:
        made.append(Kept(tray_home, tmp_path, *starts, **given))
        return made[-1]

    yield make
    for kept in made:
        kept.keeper.close()
    wait_for(lambda: not ours(tray_home))


@pytest.fixture
async def make_worker(tmp_path: Path) -> AsyncIterator[MakeWorker]:
    """Makes workers over `worker_program.py`, by its settings and the harness's; all are stopped at the end."""
    from app.core.workers.parent import Worker

    made: list[Worker] = []

    def make(**settings: Any) -> Worker:
        options = {name: settings.pop(name) for name in ("start_timeout", "on_event", "environment", "clock", "module") if name in settings}
        worker = Worker("echo-일꾼", options.pop("module", "worker_program"), settings, logs=tmp_path / "로그", **options)
        made.append(worker)
        return worker

    yield make
    await asyncio.gather(*(worker.stop() for worker in made))


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Our server with scripted parts, one for a file."""
    from api_server import serving

    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    """Of that server, and patient with nothing."""
    import openai
    from api_server import KEY

    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for Open WebUI in an environment of its own, one for a file."""
    import page_program

    return page_program.install(tmp_path_factory.mktemp("page") / "환경")


@pytest.fixture
def start_page(tmp_path: Path, page: Path) -> Iterator[Start]:
    """Starts `ondol open-webui` over it, each on a port of its own; all are ended at the end."""
    from page_run import Run, free_port

    runs: list[Run] = []
    home, server = tmp_path / "홈 folder", free_port()

    def begin(*words: str, port: int | None = None, **more: str) -> Run:
        at = ["--port", str(port or free_port()), "--no-browser", "--path", str(page)]
        environment = {**os.environ, "ONDOL_HOME": str(home), "ONDOL_PORT": str(server), "DATABASE_URL": "postgresql://shop", **more}
        runs.append(Run(home, [*at, *words], environment))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()
