"""A drive that is not there, is full, or may not be written: nothing is lost, and it is said."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_world import World

from ingest.report import Report
from ingest.sync import sync
from models.hash_embedder import WordCounter

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts drives: Linux's root only")


@contextlib.contextmanager
def drive(at: Path, options: str = "size=20m") -> Iterator[None]:
    at.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def again(world: World) -> list[Report]:
    return sync(world.home, None, world.embedder, WordCounter())


def test_a_drive_that_is_not_connected_takes_no_documents_along_however_few_they_are(world, tmp_path):
    folder, file = tmp_path / "드라이브", tmp_path / "other"
    with drive(folder), drive(file):
        (folder / "note.txt").write_text("The pump was mended in March.")
        (file / "letter.txt").write_text("The letter came in May.")
        assert world.files(folder, file / "letter.txt").added == 2
    assert ["another drive" in report.error for report in again(world)] == [True, True]
    assert len(world.documents()) == 2
    with drive(folder), drive(file):
        (folder / "later.txt").write_text("Another drive, with other files.")
        (file / "letter.txt").write_text("The letter came in June.")
        first, second = again(world)
    assert (first.added, first.deleted, second.changed) == (1, 1, 1)


def test_a_folder_that_was_emptied_on_its_own_drive_is_empty(world, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "note.txt").write_text("The pump was mended in March.")
    world.files(folder)
    (folder / "note.txt").unlink()
    assert world.sync().deleted == 1
