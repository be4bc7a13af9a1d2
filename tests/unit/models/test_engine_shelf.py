from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from models.engine.shelf import Shelf, fingerprint

MIB = 1 << 20


def shelf(folder: Path | None, *, model: str = "m", memory: int = 64 * MIB, disk: int = 64 * MIB) -> Shelf:
    return Shelf(model, memory=memory, folder=folder, disk=disk)


def put(on: Shelf, first: int, size: int = 1000, group: object = ()) -> list[int]:
    tokens = list(range(first, first + 200))
    assert on.put(tokens, repr(group), lambda: bytes([first % 251]) * size)
    return tokens


def state(on: Shelf, tokens: list[int], group: object = ()) -> bytes | None:
    found = on.find([*tokens, 9], repr(group), cuts=True)
    return on.read(found.name) if found is not None and found.length == len(tokens) else None


def save(on: Shelf) -> None:
    while on.save():
        pass


def test_the_state_that_begins_with_most_tokens_is_found() -> None:
    on = shelf(None)
    on.put([1, 2, 3], "", lambda: b"a")
    on.put([1, 2, 3, 4, 5], "", lambda: b"b")
    on.put([1, 2, 3, 4, 7, 8], "", lambda: b"c")
    found = on.find([1, 2, 3, 4, 5, 6], "", cuts=True)
    assert found is not None
    assert (on.read(found.name), found.length) == (b"b", 5)
    whole = on.find([1, 2, 3, 4, 7], "", cuts=False)
    assert whole is not None
    assert on.read(whole.name) == b"a"


def test_a_new_run_finds_what_the_one_before_wrote(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1, 40 * MIB)
    save(on)
    assert state(shelf(tmp_path), tokens) == b"\x01" * 40 * MIB


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are the folder's there")
def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    on = shelf(tmp_path / "cache")
    put(on, 1)
    save(on)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "cache").iterdir()} == {0o600}
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_state_of_another_model_or_other_adapters_is_never_given(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1, group=(0.5,))
    save(on)
    assert state(shelf(tmp_path, model="other"), tokens, (0.5,)) is None
    assert state(shelf(tmp_path), tokens) is None
    assert state(shelf(tmp_path), tokens, (0.5,)) is not None


@pytest.mark.parametrize("at", [0, 9, 40, 500, -1])
def test_a_file_with_a_changed_byte_gives_nothing(tmp_path: Path, at: int) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1)
    save(on)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    fresh = shelf(tmp_path)
    found = fresh.find([*tokens, 9], repr(()), cuts=True)
    assert found is None or fresh.read(found.name) is None
    assert fresh.find([*tokens, 9], repr(()), cuts=True) is None


def test_a_file_that_was_found_damaged_is_removed(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1)
    save(on)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert state(shelf(tmp_path), tokens) is None
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 10, 60, 900])
def test_a_file_that_was_cut_off_is_removed_at_the_start(tmp_path: Path, size: int) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1)
    save(on)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    assert state(shelf(tmp_path), tokens) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_costs_nothing_but_its_state(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1)
    save(on)
    fresh = shelf(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    assert state(fresh, tokens) is None
    assert fresh.find([*tokens, 9], repr(()), cuts=True) is None


def test_what_was_being_written_when_the_process_died_is_no_file_and_leaves_within_the_day(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    tokens = put(on, 1, 40 * MIB)
    on.save()
    on.save()
    (part,) = tmp_path.iterdir()
    fresh = shelf(tmp_path)
    assert state(fresh, tokens) is None
    os.utime(part, (time.time() - 86_400,) * 2)
    shelf(tmp_path)
    assert not part.exists()


def test_the_memory_keeps_the_newest_within_its_budget() -> None:
    on = shelf(None, memory=2500)
    all = [put(on, first) for first in (1, 1001, 2001)]
    assert [state(on, tokens) is not None for tokens in all] == [False, True, True]
    assert on.sizes[0] <= 2500
    assert not on.put([5] * 20, "", lambda: bytes(3000))


def test_what_leaves_the_memory_is_read_from_the_disk(tmp_path: Path) -> None:
    on = shelf(tmp_path, memory=2500)
    first = put(on, 1)
    save(on)
    for other in (1001, 2001, 3001):
        put(on, other)
    assert state(on, first) == b"\x01" * 1000


def test_the_disk_keeps_the_newest_of_all_models_within_its_budget(tmp_path: Path) -> None:
    old = shelf(tmp_path, model="old")
    put(old, 1)
    save(old)
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    on = shelf(tmp_path, disk=4000)
    for first in (1001, 2001, 3001):
        put(on, first)
        save(on)
    files = list(tmp_path.iterdir())
    assert sum(path.stat().st_size for path in files) <= 4000
    assert len(files) == 2
    assert all(path.name.startswith("m-") for path in files)


def test_a_disk_that_takes_nothing_leaves_the_memory_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("a file where the folder should be")
    on = shelf(place)
    tokens = put(on, 1)
    assert not on.save()
    assert state(on, tokens) is not None


def test_without_budgets_nothing_is_taken_in(tmp_path: Path) -> None:
    assert not shelf(None, memory=0).put([1] * 20, "", lambda: b"x")
    on = shelf(tmp_path, disk=0)
    put(on, 1)
    assert not on.save()
    assert list(tmp_path.iterdir()) == []


def test_a_models_fingerprint_is_of_its_content_and_of_what_reads_it(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one", tmp_path / "같은", tmp_path / "other"
    content = os.urandom(3 * MIB)
    one.write_bytes(content)
    same.write_bytes(content)
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fingerprint(one, "0.3") == fingerprint(same, "0.3")
    assert fingerprint(one, "0.3") != fingerprint(one, "0.4")
    assert fingerprint(one, "0.3") != fingerprint(other, "0.3")
