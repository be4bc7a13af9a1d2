"""A worker that crashes, hangs or writes nonsense: who hears of it, and when it is started anew."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest
from harnessed import MakeWorker, gone, posix_only, until

from app.core.errors import Deadline, WorkerDied
from app.core.workers.parent import State


@pytest.mark.parametrize("how", ["segfault", "abort", "exit"])
async def test_a_crash_fails_every_pending_request_and_the_next_call_restarts_the_worker(make_worker: MakeWorker, how: str) -> None:
    worker = make_worker()
    first = await worker.start()
    waiting = [asyncio.create_task(worker.call("hang")) for _ in range(8)]
    await until(lambda: worker.busy == 8)
    results = await asyncio.gather(*waiting, worker.call("crash", how), return_exceptions=True)
    assert len(results) == 9
    assert all(isinstance(result, WorkerDied) for result in results)
    assert worker.state is State.STOPPED
    assert worker.pid is None
    assert (await worker.call("who"))["pid"] != first["pid"]


async def test_a_stream_that_was_running_when_the_worker_died_ends_with_worker_died(make_worker: MakeWorker) -> None:
    worker = make_worker()
    seen = []
    with pytest.raises(WorkerDied):  # noqa: PT012  # the kill is part of the stream's life
        async for item in worker.stream("stream", {"count": 1_000_000, "pause": 0.001}):
            seen.append(item)
            if len(seen) == 5:
                psutil.Process(worker.pid).kill()
    assert len(seen) >= 5


async def test_deaths_in_a_row_make_the_back_off_grow_and_good_work_forgets_them(make_worker: MakeWorker) -> None:
    now = 1000.0
    worker = make_worker(clock=lambda: now)

    async def die() -> float:
        with contextlib.suppress(WorkerDied):
            await worker.call("crash", "exit")
        await until(lambda: worker.state is State.STOPPED)
        return worker._not_before - now

    waits = []
    for _ in range(4):
        waits.append(await die())
        now += 20.0
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8])
    await worker.start()
    now += 61.0
    assert await die() == pytest.approx(0.1)
    now += 100.0
    worker.settings["start"] = "crash"
    for expected in (0.2, 0.4):  # an old hour of good work does not excuse deaths after it
        with pytest.raises(WorkerDied):
            await worker.start()
        assert worker._not_before - now == pytest.approx(expected)
        now += 100.0


async def test_a_worker_in_its_back_off_says_that_it_waits_and_then_starts(make_worker: MakeWorker) -> None:
    worker = make_worker()
    for _ in range(2):
        with contextlib.suppress(WorkerDied):
            await worker.call("crash", "exit")
    starting = asyncio.create_task(worker.start())
    await until(lambda: worker.state is State.WAITING)
    assert (await starting)["pid"] == worker.pid


async def test_a_worker_that_lives_but_no_longer_listens_is_ended_and_started_anew_for_the_next_call(make_worker: MakeWorker) -> None:
    worker = make_worker()
    old = (await worker.start())["pid"]
    assert await worker.call("deafen") == "what?"
    with pytest.raises(Deadline):
        await worker.call("who", timeout=0.5)
    await until(lambda: not worker._listens())
    assert (await worker.call("who"))["pid"] != old
    assert await gone(old)


@posix_only
async def test_what_the_child_prints_goes_to_its_native_log_and_never_into_the_frames(make_worker: MakeWorker, tmp_path: Path) -> None:
    worker = make_worker()
    assert await worker.call("noise") == "quiet here"
    assert await worker.call("echo", 1) == 1
    native = (tmp_path / "로그" / "echo-일꾼.native.log").read_text(encoding="utf-8")
    assert {"from Python", "from a system call", "from C"} <= set(native.splitlines())


async def test_a_worker_whose_answers_are_out_of_step_is_killed_and_started_anew(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(WorkerDied, match="out of step"):
        await worker.call("babble")
    assert await worker.call("echo", 1) == 1


async def test_a_worker_that_closes_its_pipe_but_lives_on_is_killed_and_its_requests_fail(make_worker: MakeWorker) -> None:
    worker = make_worker()
    pid = (await worker.start())["pid"]
    with pytest.raises(WorkerDied):
        await worker.call("close")
    assert await gone(pid)
