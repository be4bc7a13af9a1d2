"""The starts of a worker: those that fail, take too long, or stand in a strange place."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from harnessed import MakeWorker, gone, until

from app.core.errors import BadRequest, NotReady, OndolError, WorkerDied
from app.core.workers.parent import State, Worker


@pytest.mark.parametrize(("start", "kind", "words"), [("refuse", BadRequest, "model file is broken"), ("stumble", OndolError, "gave up")])
async def test_an_error_reported_during_the_start_is_raised_and_repeated_without_another_start(
    make_worker: MakeWorker, tmp_path: Path, start: str, kind: type[OndolError], words: str
) -> None:
    now = 1000.0
    worker = make_worker(start=start, tally=str(tmp_path / "tally"), clock=lambda: now)
    for _ in range(3):
        with pytest.raises(kind, match=words):
            await worker.call("echo", 1)
    assert worker.state is State.FAILED
    assert words in worker.reason
    assert len((tmp_path / "tally").read_text().split()) == 1
    now += 30.0
    worker.settings.pop("start")
    assert await worker.call("echo", 1) == 1


async def test_a_worker_that_crashes_during_its_start_is_worker_died_with_the_signal(make_worker: MakeWorker) -> None:
    worker = make_worker(start="crash")
    with pytest.raises(WorkerDied, match="while it started"):
        await worker.start()
    assert worker.state is State.STOPPED


async def test_a_worker_that_ends_right_after_its_hello_is_not_taken_for_ready(make_worker: MakeWorker) -> None:
    worker = make_worker(start="farewell")
    for _ in range(3):
        with pytest.raises(WorkerDied):
            await worker.call("echo", 1)
    worker.settings.pop("start")
    assert await worker.call("echo", 1) == 1


async def test_a_start_that_takes_too_long_is_not_ready_and_leaves_no_process(make_worker: MakeWorker) -> None:
    worker = make_worker(start="hang", start_timeout=1.0)
    starting = asyncio.create_task(worker.start())
    await until(lambda: worker.pid is not None)
    pid = worker.pid
    with pytest.raises(NotReady):
        await starting
    assert worker.state is State.FAILED
    assert pid is not None
    assert await gone(pid)


async def test_a_module_that_does_not_exist_is_worker_died(make_worker: MakeWorker) -> None:
    with pytest.raises(WorkerDied, match="while it started"):
        await make_worker(module="no_such_worker_program").start()


async def test_the_current_folder_can_not_shadow_our_modules_in_the_child(
    make_worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise ImportError('the wrong app')")
    monkeypatch.chdir(tmp_path)
    assert await make_worker().call("echo", 1) == 1


async def test_a_log_folder_that_can_not_be_made_does_not_keep_a_worker_from_starting(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    worker = Worker("echo", "worker_program", {}, logs=tmp_path / "logs")
    try:
        assert await worker.call("echo", 1) == 1
    finally:
        await worker.stop()


def test_a_worker_program_started_by_hand_says_what_it_is() -> None:
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("worker_program.py"))], input=b"", capture_output=True, check=False)
    assert done.returncode != 0
    assert b"started by the server" in done.stderr
