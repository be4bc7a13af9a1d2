"""A Chroma directory that is lost or damaged: answers go on, and it is rebuilt from the book."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from shelf import home_in, shelf, some_texts
from test_index_worker import answers_are_right, follows, until

from app.core.paths import Home
from ingest.index.client import IndexClient

Damage = Callable[[Path], None]


def removed(path: Path) -> None:
    shutil.rmtree(path)


def truncated(pattern: str) -> Damage:
    def damage(path: Path) -> None:
        for file in path.rglob(pattern):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def zeroed(pattern: str) -> Damage:
    def damage(path: Path) -> None:
        for file in path.rglob(pattern):
            file.write_bytes(bytes(file.stat().st_size))

    return damage


DAMAGES = {
    "removed": removed,
    "position torn": truncated("position.json"),
    "database zeroed": zeroed("chroma.sqlite3"),
    "rows zeroed": zeroed("data_level0.bin"),
    "metadata truncated": truncated("index_metadata.pickle"),
}
FURTHER_DAMAGES = {
    "position lost": lambda path: (path / "position.json").unlink(),
    "database truncated": truncated("chroma.sqlite3"),
    "rows truncated": truncated("data_level0.bin"),
    "links zeroed": zeroed("link_lists.bin"),
    "header zeroed": zeroed("header.bin"),
    "everything zeroed": zeroed("*.*"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_in(tmp_path)
    with shelf(home) as books:
        books.put(some_texts(1300))
    return home


@pytest.mark.parametrize("damages", [pytest.param(DAMAGES, id="some"), pytest.param(FURTHER_DAMAGES, marks=pytest.mark.slow, id="further")])
async def test_whatever_was_damaged_answers_stay_right_and_the_index_comes_back(home: Home, damages: dict[str, Damage]) -> None:
    index = IndexClient(home)
    await until(index, follows)
    for name, damage in damages.items():
        await index.stop()
        (directory,) = home.index.glob("s*-g*-*")
        damage(directory)
        assert await answers_are_right(index, home), name
        state = await until(index, follows)
        assert state[0]["entries"] == 1300, name
        assert await answers_are_right(index, home), name
        # A directory that was given up goes with the worker's next look at the book.
        await index.refresh()
        await until(index, lambda _: len(list(home.index.glob("s*-g*-*"))) == 1)
    await index.stop()


async def test_a_directory_that_vanishes_under_the_running_worker_is_rebuilt_under_another_name(home: Home) -> None:
    index = IndexClient(home)
    await until(index, follows)
    (before,) = home.index.glob("s*-g*-*")
    shutil.rmtree(before)
    await until(index, lambda _: any(path != before for path in home.index.glob("s*-g*-*/position.json")))
    assert await answers_are_right(index, home)
    await until(index, follows)
    (after,) = home.index.glob("s*-g*-*")
    assert after != before
    assert await answers_are_right(index, home)
    await index.stop()


@pytest.mark.parametrize("suffix", ["keys", "rows", "json"])
@pytest.mark.parametrize("how", [zeroed, truncated])
async def test_a_damaged_matrix_is_built_anew(home: Home, suffix: str, how: Callable[[str], Damage]) -> None:
    index = IndexClient(home)
    assert await answers_are_right(index, home)
    await index.stop()
    how(f"exact-*.{suffix}")(home.index)
    assert await answers_are_right(index, home)
    await index.stop()


async def test_a_sound_directory_is_used_again_at_each_start_of_the_worker(home: Home) -> None:
    index = IndexClient(home)
    await until(index, follows)
    (before,) = home.index.glob("s*-g*-*")
    for _ in range(2):
        await index.stop()
        await until(index, follows)
    assert list(home.index.glob("s*-g*-*")) == [before]
    await index.stop()


async def test_a_directory_whose_first_batch_keeps_ending_the_process_is_rebuilt(home: Home) -> None:
    index = IndexClient(home)
    await until(index, follows)
    await index.stop()
    (before,) = home.index.glob("s*-g*-*")
    (before / "trial.json").write_text('{"count": 3}', encoding="utf-8")
    await until(index, follows)
    assert max(home.index.glob("s*-g*-*")) > before
    assert await answers_are_right(index, home)
    await index.stop()
