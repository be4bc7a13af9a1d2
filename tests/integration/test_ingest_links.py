"""Links in a folder: what leads out of it is left out unless asked for, what stays inside is read once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ingest_world import World

from ingest.report import Notice

pytestmark = pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A named folder with one file, beside another that nobody names."""
    folder = tmp_path / "자료"
    folder.mkdir()
    (folder / "own.txt").write_text("our own words")
    private = tmp_path / "private"
    private.mkdir()
    (private / "diary.txt").write_text("dear diary")
    return folder


def names(world: World, folder: Path) -> set[str]:
    return {Path(id).relative_to(folder).as_posix() for id in world.documents()}


def told(world: World) -> list[str]:
    return [event.text for event in world.events if isinstance(event, Notice)]


def test_links_that_lead_out_of_the_folder_are_left_out_and_told(world: World, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "elsewhere").symlink_to(folder.parent / "private")
    (folder / "diary.txt").symlink_to("../private/diary.txt")
    (folder / "up").symlink_to("..")
    (folder / "program").symlink_to("/bin/sh")
    report = world.files(folder)
    assert (report.added, report.failed) == (1, ())
    (notice,) = told(world)
    assert "3 links lead out" in notice
    assert all(f"{folder.as_posix()}/{name}" in notice for name in ("sub/elsewhere", "diary.txt", "up"))
    assert "--follow-links" in notice


def test_links_out_of_the_folder_are_read_when_asked_for_and_by_each_sync_after_that(world: World, folder: Path) -> None:
    (folder / "elsewhere").symlink_to(folder.parent / "private")
    (folder / "elsewhere" / "back").symlink_to(folder)
    assert world.files(folder, follow_links=True).added == 2
    assert names(world, folder) == {"own.txt", "elsewhere/diary.txt"}
    (folder.parent / "private" / "more.txt").write_text("more of it")
    assert (world.sync().added, told(world)) == (1, [])


def test_a_folder_that_is_named_again_without_them_is_read_without_the_links_out_of_it(world: World, folder: Path) -> None:
    (folder / "diary.txt").symlink_to(folder.parent / "private" / "diary.txt")
    world.files(folder, follow_links=True)
    assert world.files(folder).deleted == 1
    assert names(world, folder) == {"own.txt"}


def test_the_named_folder_and_the_named_file_may_be_links_themselves(world: World, folder: Path) -> None:
    (folder.parent / "door").symlink_to(folder)
    (folder.parent / "note.txt").symlink_to(folder.parent / "private" / "diary.txt")
    (folder / "again.txt").symlink_to(folder.parent / "door" / "own.txt")
    report = world.files(folder.parent / "door", folder.parent / "note.txt")
    assert (report.added, report.failed, told(world)) == (2, (), [])


def test_a_file_is_read_once_at_its_own_place_however_many_links_lead_to_it(world: World, folder: Path) -> None:
    (folder / "z").mkdir()
    (folder / "z" / "real.txt").write_text("the real one")
    (folder / "a.txt").symlink_to("z/real.txt")
    (folder / "b.txt").symlink_to("a.txt")
    (folder / "a").symlink_to("z")
    (folder / "z" / "loop").symlink_to("..")
    (folder / "self.txt").symlink_to("self.txt")
    report = world.files(folder)
    assert names(world, folder) == {"own.txt", "z/real.txt"}
    assert [Path(item.item).name for item in report.failed] == ["self.txt"]


def test_links_to_what_is_hidden_inside_are_read_under_their_own_names(world: World, folder: Path) -> None:
    (folder / "..data").symlink_to("..2026")
    (folder / "..2026").mkdir()
    (folder / "..2026" / "terms.txt").write_text("mounted as Kubernetes does it")
    (folder / "..2026" / "deep").mkdir()
    (folder / "..2026" / "deep" / "x.txt").write_text("deep")
    (folder / "terms.txt").symlink_to("..data/terms.txt")
    (folder / "same.txt").symlink_to("..data/terms.txt")
    (folder / "deep").symlink_to("..data/deep")
    assert world.files(folder).failed == ()
    assert names(world, folder) == {"own.txt", "same.txt", "deep/x.txt"}


def test_a_chain_of_links_counts_by_its_end(world: World, folder: Path) -> None:
    private = folder.parent / "private"
    (private / "home").symlink_to(folder / ".kept")
    (folder / ".kept").mkdir()
    (folder / ".kept" / "k.txt").write_text("kept")
    (folder / "in").symlink_to(private / "home")
    (folder / "out").symlink_to(folder / ".step")
    (folder / ".step").symlink_to(private)
    world.files(folder)
    assert names(world, folder) == {"own.txt", "in/k.txt"}
    assert ["/out" in text for text in told(world)] == [True]


def test_a_folder_of_nothing_but_links_out_of_it_is_no_drive_that_has_gone(world: World, folder: Path) -> None:
    world.files(folder)
    (folder / "own.txt").unlink()
    (folder / "diary.txt").symlink_to(folder.parent / "private" / "diary.txt")
    report = world.sync()
    assert (report.deleted, report.error) == (1, "")


def test_a_folder_that_becomes_a_link_out_of_it_takes_its_documents_along(world: World, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "s.txt").write_text("in the folder")
    world.files(folder)
    (folder / "sub").rename(folder.parent / "moved")
    (folder / "sub").symlink_to(folder.parent / "moved")
    assert world.sync().deleted == 1
    assert len(told(world)) == 1


def test_many_links_are_counted_and_some_are_named(world: World, folder: Path) -> None:
    for at in range(9):
        (folder / f"l{at}.txt").symlink_to(folder.parent / "private" / "diary.txt")
    world.files(folder)
    (notice,) = told(world)
    assert notice.startswith("9 links lead")
    assert notice.count(folder.as_posix()) == 5


def test_a_watched_source_keeps_following_links_by_its_spec_alone(world: World, folder: Path) -> None:
    world.files(folder, follow_links=True)
    spec: Any = world.sql("SELECT spec FROM sources")[0][0]
    assert '"links": true' in spec
