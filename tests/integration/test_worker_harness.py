"""What passes between a worker and its callers: a real program answers, streams, and can be left."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from harnessed import MakeWorker, until

from app.core.errors import BadRequest, Deadline, OndolError
from app.core.workers.parent import State


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


async def test_an_event_reaches_the_listener_and_a_failing_listener_harms_nobody(make_worker: MakeWorker) -> None:
    heard = []

    def listen(body: Any) -> None:
        heard.append(body)
        raise ValueError("a mistake of the listener")

    worker = make_worker(on_event=listen)
    await worker.call("event", {"progress": 0.5})
    assert heard == [{"progress": 0.5}]
    assert await worker.call("echo", 1) == 1
