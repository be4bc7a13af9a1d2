"""A worker is stopped, at any moment and whatever it does; and none outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from harnessed import MakeWorker, gone, posix_only, until

from app.core.errors import WorkerDied
from app.core.workers.parent import State


async def test_stop_ends_the_process_and_fails_what_was_under_way(make_worker: MakeWorker) -> None:
    worker = make_worker(ignore_sigterm=True)
    pid = (await worker.start())["pid"]
    waiting = asyncio.create_task(worker.call("hang"))
    await until(lambda: worker.busy == 1)
    await worker.stop()
    with pytest.raises(WorkerDied, match="stopped"):
        await waiting
    assert worker.state is State.STOPPED
    assert not psutil.pid_exists(pid)


async def test_stop_ends_a_worker_whose_main_thread_is_blocked(make_worker: MakeWorker) -> None:
    worker = make_worker()
    pid = (await worker.start())["pid"]
    waiting = asyncio.create_task(worker.call("block"))
    await until(lambda: worker.busy == 1)
    await worker.stop()
    with pytest.raises(WorkerDied):
        await waiting
    assert not psutil.pid_exists(pid)


@posix_only
async def test_stop_kills_a_worker_that_does_not_react(make_worker: MakeWorker) -> None:
    worker = make_worker()
    pid = (await worker.start())["pid"]
    os.kill(pid, signal.SIGSTOP)
    await worker.stop(grace=0.3)
    assert not psutil.pid_exists(pid)


async def test_stop_during_the_start_ends_it_for_everyone_who_waits(make_worker: MakeWorker) -> None:
    worker = make_worker(start="hang")
    waiting = asyncio.create_task(worker.call("echo", 1))
    await until(lambda: worker.pid is not None)
    pid = worker.pid
    await worker.stop()
    with pytest.raises(WorkerDied, match="stopped while it started"):
        await waiting
    assert pid is not None
    assert await gone(pid)


async def test_a_call_during_the_stop_waits_for_the_old_process_to_end_before_a_new_one_starts(make_worker: MakeWorker) -> None:
    worker = make_worker(environment={"WORKER_PROGRAM": "--linger"})
    old = (await worker.start())["pid"]
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    answer = await worker.call("who")
    await stopping
    assert answer["pid"] != old
    assert not psutil.pid_exists(old)


async def test_a_stopped_worker_starts_again_with_the_next_call_at_once(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.start()
    await worker.stop()
    assert worker._not_before == 0.0
    assert await worker.call("echo", 1) == 1


async def test_a_worker_that_lingers_finishes_its_step_when_it_is_stopped(make_worker: MakeWorker, tmp_path: Path) -> None:
    words = tmp_path / "last words"
    worker = make_worker(last_words=str(words), environment={"WORKER_PROGRAM": "--linger"})
    await worker.start()
    await worker.stop(grace=10.0)
    assert words.read_text(encoding="utf-8") == "finished"


@pytest.mark.parametrize("op", ["hang", "block"])
async def test_a_child_whose_parent_was_killed_ends_by_itself(tmp_path: Path, op: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("worker_owner.py")), str(tmp_path), op], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    assert await gone(pid)
