"""The worker harness against a real program that can answer, stream, hang, crash, make noise and refuse to start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.errors import BadRequest, Deadline, NotReady, OndolError, WorkerDied
from app.core.workers.parent import State, Worker

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="speaks of signals, or of the C library by its POSIX name")
MakeWorker = Callable[..., Worker]


@pytest.fixture
async def make_worker(tmp_path: Path) -> AsyncIterator[MakeWorker]:
    made: list[Worker] = []

    def make(**settings: Any) -> Worker:
        options = {name: settings.pop(name) for name in ("start_timeout", "on_event", "environment", "clock", "module") if name in settings}
        worker = Worker("echo-일꾼", options.pop("module", "worker_program"), settings, logs=tmp_path / "로그", **options)
        made.append(worker)
        return worker

    yield make
    await asyncio.gather(*(worker.stop() for worker in made))


async def gone(pid: int) -> bool:
    """Whether the process ends within ten seconds."""
    for _ in range(200):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.05)
                continue
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_hello_of_the_child_is_what_start_returns_and_settings_reach_it(make_worker: MakeWorker) -> None:
    worker = make_worker(argument="한글")
    hello = await worker.start()
    assert hello == {"pid": worker.pid, "argument": "한글"}
    assert worker.state is State.READY


async def test_a_call_starts_a_stopped_worker_and_carries_any_plain_value_both_ways(make_worker: MakeWorker) -> None:
    worker = make_worker()
    body = {"text": "온돌", "numbers": [1, 2.5, None, True], "bytes": b"\x00\xff"}
    assert await worker.call("echo", body) == body


async def test_the_request_id_travels_with_the_call(make_worker: MakeWorker) -> None:
    assert (await make_worker().call("who", request_id="req-7"))["request_id"] == "req-7"


async def test_many_callers_share_one_start(make_worker: MakeWorker, tmp_path: Path) -> None:
    worker = make_worker(start="slow", tally=str(tmp_path / "tally"))
    answers = await asyncio.gather(*(worker.call("who") for _ in range(20)))
    assert len({answer["pid"] for answer in answers}) == 1
    assert len((tmp_path / "tally").read_text().split()) == 1


async def test_a_caller_that_gives_up_during_the_start_does_not_end_it_for_the_others(make_worker: MakeWorker) -> None:
    worker = make_worker(start="slow")
    impatient, patient = asyncio.create_task(worker.call("who")), asyncio.create_task(worker.call("who"))
    await until(lambda: worker.state is State.STARTING)
    impatient.cancel()
    assert (await patient)["pid"] == worker.pid
    assert impatient.cancelled() or impatient.cancelling()


async def test_fifty_streams_at_once_each_arrive_whole_and_in_order(make_worker: MakeWorker) -> None:
    worker = make_worker()

    async def collect(name: int) -> list[dict[str, int]]:
        return [item async for item in worker.stream("stream", {"name": name, "count": 200})]

    for name, items in enumerate(await asyncio.gather(*(collect(name) for name in range(50)))):
        assert items == [{"of": name, "number": number} for number in range(200)]
    assert worker.busy == 0


async def test_frames_of_fifty_megabytes_pass_in_both_directions(make_worker: MakeWorker) -> None:
    worker = make_worker()
    big = os.urandom(1 << 20) * 50
    assert await worker.call("echo", big) == big


async def test_other_requests_are_answered_while_a_big_frame_is_under_way(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.start()
    big = asyncio.create_task(worker.call("bytes", 200_000_000))
    turns = 0
    while not big.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(big.result()) == 200_000_000
    assert turns > 100  # the loop went round while the pipe was read


async def test_leaving_a_stream_early_cancels_it_in_the_child(make_worker: MakeWorker) -> None:
    worker = make_worker()
    async with contextlib.aclosing(worker.stream("stream", {"count": 1_000_000, "pause": 0.001})) as items:
        async for item in items:
            if item["number"] == 3:
                break
    assert worker.busy == 0
    assert await worker.call("echo", "still here") == "still here"


async def test_cancelling_the_task_of_a_call_reaches_the_child(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.start()
    task = asyncio.create_task(worker.call("hang"))
    await until(lambda: worker.busy == 1)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while not await worker.call("cancels"):
            await asyncio.sleep(0.02)


async def test_a_cancel_is_heard_while_the_childs_main_thread_computes(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.start()
    with pytest.raises(Deadline):
        await worker.call("compute", timeout=0.2)
    assert await worker.call("echo", "free again", timeout=20) == "free again"


async def test_a_call_past_its_timeout_is_a_deadline_and_is_cancelled_in_the_child(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.start()
    with pytest.raises(Deadline):
        await worker.call("hang", timeout=0.2)
    async with asyncio.timeout(10):
        while not await worker.call("cancels"):
            await asyncio.sleep(0.02)


async def test_an_error_of_ours_arrives_as_itself_with_its_hint_and_parameter(make_worker: MakeWorker) -> None:
    with pytest.raises(BadRequest) as caught:
        await make_worker().call("refuse")
    assert (caught.value.message, caught.value.hint, caught.value.param) == ("That can't be done.", "Do it otherwise.", "body")


async def test_a_foreign_error_becomes_ours_and_the_worker_lives_on(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(OndolError, match="KeyError: 'something foreign'"):
        await worker.call("stumble")
    assert await worker.call("echo", 1) == 1


async def test_a_body_that_can_not_be_packed_fails_its_call_alone(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(TypeError):
        await worker.call("echo", object())
    assert await worker.call("echo", 1) == 1


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


async def test_a_worker_that_lives_but_no_longer_listens_is_ended_and_started_anew_for_the_next_call(make_worker: MakeWorker) -> None:
    worker = make_worker()
    old = (await worker.start())["pid"]
    assert await worker.call("deafen") == "what?"
    with pytest.raises(Deadline):
        await worker.call("who", timeout=0.5)
    await until(lambda: not worker._listens())
    assert (await worker.call("who"))["pid"] != old
    assert await gone(old)


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


async def test_an_event_reaches_the_listener_and_a_failing_listener_harms_nobody(make_worker: MakeWorker) -> None:
    heard = []

    def listen(body: Any) -> None:
        heard.append(body)
        raise ValueError("a mistake of the listener")

    worker = make_worker(on_event=listen)
    await worker.call("event", {"progress": 0.5})
    assert heard == [{"progress": 0.5}]
    assert await worker.call("echo", 1) == 1


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
