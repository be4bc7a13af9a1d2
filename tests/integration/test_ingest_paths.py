"""Paths as people and scripts write them, and places that the system can't look into."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from ingest_world import World

from app.core.errors import NotFound
from ingest.report import Report
from ingest.sync import ingest_files, sync
from models.hash_embedder import WordCounter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "드라이브" / "자료"
    folder.mkdir(parents=True)
    (folder / "floor.txt").write_text("The floor is warm.")
    return folder


def typed(world: World, *paths: str) -> Report:
    """Paths as a command line has them."""
    return ingest_files(world.home, paths, "notes", world.embedder, WordCounter(), on_event=world.events.append)


def again(world: World) -> list[Report]:
    return sync(world.home, None, world.embedder, WordCounter())


def test_an_empty_path_is_not_the_current_folder(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    report = typed(world, "")
    assert (report.added, [item.reason for item in report.failed]) == (0, ["An empty path names nothing."])
    assert typed(world, ".").added == 1


@pytest.mark.skipif(os.name == "nt", reason="the home folder has another variable there")
def test_a_tilde_that_no_shell_has_read_is_the_home_folder(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert typed(world, "~/자료").added == 1
    assert again(world)[0].unchanged == 1
    assert world.forget("notes", source="~/자료").deleted == 1


@pytest.mark.parametrize("path", ["~nobody-here/x", "x" * 5_000, "/" + "x/" * 3_000, "a\0b", "\udcff", "*.txt", "-"])
def test_a_path_that_leads_nowhere_is_one_failure_that_can_be_told(world: World, folder: Path, path: str) -> None:
    report = typed(world, path, str(folder))
    assert report.added == 1
    (failed,) = report.failed
    assert failed.item.encode()
    assert failed.reason.endswith(".")


def test_a_source_that_nobody_has_is_said_so_however_it_is_written(world: World, folder: Path) -> None:
    world.files(folder)
    for name in ("~nobody-here/x", "x" * 5_000, unicodedata.normalize("NFD", "없다")):
        with pytest.raises(NotFound, match="no source"):
            world.forget("notes", source=name)


@pytest.mark.skipif(os.name == "nt", reason="a folder below a file is just missing there")
def test_a_place_that_can_not_be_looked_into_stops_its_own_source_alone(world: World, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("another source")
    world.files(folder, tmp_path / "b.txt")
    drive = folder.parent
    drive.rename(tmp_path / "away")
    drive.write_text("a file where the drive was")
    first, second = again(world)
    assert "Not a directory" in first.error
    assert "connected" in first.error
    assert (second.error, second.unchanged) == ("", 1)
    drive.unlink()
    drive.symlink_to(drive)
    assert "can't be looked into" in again(world)[0].error
    drive.unlink()
    drive.mkdir()
    assert "no file or folder" in again(world)[0].error, "it is known to be a folder still: its absence takes nothing along"
    assert len(world.documents()) == 2
    drive.rmdir()
    (tmp_path / "away").rename(drive)
    assert again(world)[0].unchanged == 1


def test_a_file_at_the_place_of_a_folder_takes_no_documents_along(world: World, folder: Path) -> None:
    world.files(folder)
    folder.rename(folder.parent / "away")
    folder.write_text("a file where the folder was")
    (report,) = again(world)
    assert (len(report.failed), report.deleted) == (1, 0)
    folder.unlink()
    (report,) = again(world)
    assert "no file or folder" in report.error
    assert len(world.documents()) == 1
