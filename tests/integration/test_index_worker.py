"""The index worker as the server runs it: a real process over a real book and a real Chroma."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from shelf import generation, home_in, prune, question, same, shelf, some_texts, truth

from app.core.errors import BadRequest, Conflict, StoreNotFound
from app.core.paths import Home
from app.core.records import Principal
from ingest.index.client import IndexClient
from ingest.index.exact import ExactVectors
from ingest.index.files import taken_in
from ingest.search.visible import restriction
from ingest.sync import forget

ASKED = ("휴가 규정 number 77", "scale price 12", "회의 room budget")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


@pytest.fixture
async def index(home: Home) -> AsyncIterator[IndexClient]:
    client = IndexClient(home)
    yield client
    await client.stop()


async def until(index: IndexClient, met: Callable[[list[dict[str, Any]]], bool], seconds: float = 90.0) -> list[dict[str, Any]]:
    """The worker's state once it meets a condition."""
    give_up = time.monotonic() + seconds
    while not met(state := await index.state()):
        assert time.monotonic() < give_up, state
        await asyncio.sleep(0.1)
    return state


def follows(state: list[dict[str, Any]]) -> bool:
    return bool(state) and all(not store["rebuilding"] and store["pending"] == 0 for store in state)


async def answers_are_right(index: IndexClient, home: Home) -> bool:
    return all([same(await index.query("things", question(text), 10), truth(home, text, 10)) for text in ASKED])


async def test_answers_are_right_before_chroma_is_filled_and_after(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put(some_texts(600))
    assert await answers_are_right(index, home)
    state = await until(index, follows)
    assert (state[0]["entries"], state[0]["chunks"]) == (600, 600)
    assert await answers_are_right(index, home)


async def test_an_acknowledged_change_is_in_the_next_answer(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put(some_texts(200))
        await index.start()
        await until(index, follows)
        for n in range(20):
            books.put({"new": f"저울 반품 보증 {n}"})
            (nearest, score), *_ = await index.query("things", question(f"저울 반품 보증 {n}"), 3)
            assert score == pytest.approx(1.0, abs=1e-5)
            books.delete(["new"])
            assert nearest not in [pk for pk, _ in await index.query("things", question(f"저울 반품 보증 {n}"), 3)]


async def test_acknowledged_rows_are_found_while_another_process_writes(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put(some_texts(50))
    await until(index, follows)
    program = (
        "import sys; from pathlib import Path; from app.core.paths import Home; from shelf import shelf\n"
        "with shelf(Home(Path(sys.argv[1]))) as books:\n"
        "    for n in range(60):\n"
        "        books.put({f'w{n}': f'concurrent writing {n} {n * 7919}'}); print(n, flush=True)\n"
    )
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(home.root)), stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": folders}
    )
    assert writer.stdout is not None
    seen = 0
    async for line in writer.stdout:
        n = int(line)
        hits = await index.query("things", question(f"concurrent writing {n} {n * 7919}"), 1)
        assert hits[0][1] == pytest.approx(1.0, abs=1e-5)
        seen += 1
    assert seen == 60
    assert await writer.wait() == 0


async def test_answers_are_limited_to_documents_that_the_asker_may_see(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put({"open": "휴가 규정 모두"})
        books.put({"sales": "휴가 규정 영업"}, access=["sales"], attributes={"year": 2024})
        books.put({"hr": "휴가 규정 인사"}, access=["hr"], attributes={"year": 2025})
    await until(index, follows)
    of_all = await index.query("things", question("휴가 규정"), 10)
    guest = Principal(groups=("sales",), owner=False)
    of_guest = await index.query("things", question("휴가 규정"), 10, restriction({}, guest))
    of_year = await index.query("things", question("휴가 규정"), 1, restriction({"year": 2025}, Principal()))
    assert sorted(pk for pk, _ in of_all) == [1, 2, 3]
    assert sorted(pk for pk, _ in of_guest) == [1, 2]
    assert [pk for pk, _ in of_year] == [3]
    assert await index.query("things", question("휴가 규정"), 5, restriction({"year": 2025}, guest)) == []


async def test_a_label_that_changes_is_heeded_by_the_next_answer(home: Home, index: IndexClient) -> None:
    guest = restriction({}, Principal(groups=("sales",), owner=False))
    with shelf(home) as books:
        books.put({"plan": "예산 계획"}, access=["sales"])
        assert len(await index.query("things", question("예산"), 5, guest)) == 1
        books.put({"plan": "예산 계획"}, access=["hr"])
        assert await index.query("things", question("예산"), 5, guest) == []


async def test_rows_that_the_index_has_passed_can_be_pruned(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put(some_texts(120))
        await until(index, follows)
        of = generation(home)
        prune(home, of.id, taken_in(home.index, of.id))
        books.delete(["d3"])
        books.put({"d4": "price of a scale, changed"})
        assert await answers_are_right(index, home)
    await until(index, follows)
    await index.stop()
    prune(home, of.id, taken_in(home.index, of.id))
    assert await answers_are_right(index, home)
    state = await until(index, follows)
    assert state[0]["entries"] == 119


async def test_a_book_put_back_from_a_copy_is_searched_as_it_is_now(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put(some_texts(100))
    copy = home.root / "copy.db"
    copy.write_bytes(home.book.read_bytes())
    with shelf(home) as books:
        books.put(some_texts(60, start=100))
    await until(index, follows)
    await index.stop()
    for path in (home.book, Path(f"{home.book}-wal"), Path(f"{home.book}-shm")):
        path.unlink(missing_ok=True)
    copy.replace(home.book)
    with shelf(home) as books:
        books.put({f"other{n}": f"totally different text {n}" for n in range(80)})
    assert await answers_are_right(index, home)
    state = await until(index, follows)
    assert state[0]["entries"] == 180
    assert same(await index.query("things", question("totally different text 5"), 10), truth(home, "totally different text 5", 10))


async def test_stores_are_searched_apart_and_a_forgotten_one_leaves_no_directory(home: Home, index: IndexClient) -> None:
    with shelf(home, "하나") as books:
        books.put({"a": "scale price"})
    with shelf(home, "둘") as books:
        books.put({"b": "scale price"})
    await until(index, lambda state: len(state) == 2 and follows(state))
    one, two = await index.query("하나", question("scale price"), 5), await index.query("둘", question("scale price"), 5)
    assert (len(one), len(two)) == (1, 1)
    assert one[0][0] != two[0][0]
    forget(home, "둘")
    await until(index, lambda state: len(state) == 1)
    give_up = time.monotonic() + 20
    while len(list(home.index.glob("s*-g*-*"))) > 1 and time.monotonic() < give_up:
        await asyncio.sleep(0.1)
    assert len(list(home.index.glob("s*-g*-*"))) == 1


async def test_an_unknown_store_is_told_with_the_nearest_name(home: Home, index: IndexClient) -> None:
    with shelf(home, "handbook") as books:
        books.put({"a": "x"})
    with pytest.raises(StoreNotFound, match="handbook"):
        await index.query("handbok", question("x"), 5)


async def test_before_any_ingest_there_is_no_store_and_no_state(home: Home, index: IndexClient) -> None:
    assert await index.state() == []
    with pytest.raises(StoreNotFound, match="ingest"):
        await index.query("things", question("x"), 5)


async def test_a_vector_of_other_dimensions_is_refused(home: Home, index: IndexClient) -> None:
    with shelf(home) as books:
        books.put({"a": "x"})
    with pytest.raises(BadRequest, match="32 dimensions"):
        await index.query("things", bytes(4 * 32), 5)


async def test_a_second_owner_of_the_index_is_refused(home: Home, index: IndexClient) -> None:
    await index.start()
    second = IndexClient(home)
    with pytest.raises(Conflict, match="index"):
        await second.start()
    await second.stop()


async def test_the_command_line_finds_the_same_without_a_server(home: Home) -> None:
    exact = ExactVectors(home)
    with shelf(home) as books:
        books.put(some_texts(300))
        for text in ASKED:
            assert same(await exact.query("things", question(text), 10), truth(home, text, 10))
        books.delete(["d7", "d8"])
        books.put({"d9": "휴가 규정 number 77"})
    for text in ASKED:
        assert same(await exact.query("things", question(text), 10), truth(home, text, 10))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
async def test_kills_during_a_drain_leave_answers_as_after_a_rebuild(home: Home, kills: int) -> None:
    dice = random.Random(7)
    with shelf(home) as books:
        books.put(some_texts(1200))
        for round in range(kills):
            index = IndexClient(home)
            assert await answers_are_right(index, home)
            await until(index, lambda state: state[0]["phase"] != "opening")
            books.put(some_texts(150, start=1200 + 150 * round))
            books.delete([f"d{dice.randrange(1200)}" for _ in range(20)])
            await asyncio.sleep(dice.uniform(0.0, 0.8))
            assert index.pid is not None
            os.kill(index.pid, signal.SIGKILL)
            await index.stop()
    index = IndexClient(home)
    state = await until(index, follows)
    assert state[0]["entries"] == state[0]["chunks"] > 1200
    assert await answers_are_right(index, home)
    await index.stop()
