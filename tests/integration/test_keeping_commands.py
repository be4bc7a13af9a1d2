"""What `ondol ingest status`, `schedule`, `retry`, `watch` and `postgres --dry-run` say and do, over a real book."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from ingest_world import World
from typer.testing import CliRunner

from app.cli import ingest_preview, standalone
from app.cli.main import command
from app.core.settings import Settings
from ingest.book.writer import open_writer
from ingest.keeping.progress import EVERY_SECONDS, ProgressKept
from ingest.readers.contract import TESSERACT
from ingest.report import Committed, Started
from models import tokenizer
from models.hash_embedder import WordCounter

Ondol = Callable[..., Result]


@pytest.fixture
def ondol(world: World, monkeypatch: pytest.MonkeyPatch) -> Ondol:
    """Runs a command in this process: all of it but what belongs to a process as a whole (its log, the egress guard)."""
    monkeypatch.setenv("ONDOL_HOME", str(world.home.root))
    monkeypatch.setenv(TESSERACT, "")
    for module in (standalone, ingest_preview):
        monkeypatch.setattr(module, "prepared", lambda home, process: Settings())
    monkeypatch.setattr(standalone, "embedders", lambda home, settings: world.embedder)
    monkeypatch.setattr(standalone, "embedding_model", lambda home, settings: None)
    monkeypatch.setattr(tokenizer, "ModelTokenCounter", lambda model: WordCounter())
    return lambda *words: CliRunner().invoke(command, ["ingest", *words])


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """One file that can be read and one that can't, in the store `notes`."""
    folder = tmp_path / "자료"
    folder.mkdir()
    (folder / "온돌.txt").write_text("따뜻한 바닥 위에서 고양이가 잔다.", encoding="utf-8")
    (folder / "빈.txt").write_text("", encoding="utf-8")
    world.files(folder)
    return folder


def aged(world: World, seconds: float) -> None:
    """As if the last run had ended so much longer ago."""
    with open_writer(world.home, "notes") as writer, writer.engine.begin() as book:
        book.exec_driver_sql("UPDATE sources SET last_good = last_good - ?", (seconds,))


def test_status_says_how_old_what_is_in_may_be_with_a_schedule_and_without(world: World, folder: Path, ondol: Ondol) -> None:
    aged(world, 3 * 3600 + 5)
    said = ondol("status")
    assert said.exit_code == 1, said.output
    assert f"notes: files {folder.as_posix()}\n    1 documents, 1 chunks" in said.output
    assert "as the source was 3 h ago" in said.output
    assert "not read again by itself: `ondol ingest schedule`" in said.output
    assert "빈.txt" in said.output.partition("failed 1x: ")[2]
    ondol("schedule", "--in", "notes", "--every", "1h")
    said = ondol("status")
    assert "as the source was 3 h ago" in said.output
    assert "every 1 hour, next " in said.output
    assert "2 h behind" in said.output


def test_status_says_how_far_a_run_is_and_when_it_has_told_nothing_yet(world: World, folder: Path, ondol: Ondol) -> None:
    now = [0.0]
    heard: list[object] = []
    kept = ProgressKept(world.home, heard.append, lambda: now[0])
    with open_writer(world.home, "notes") as writer:
        writer.source("files", folder.as_posix(), {"path": str(folder)})
        kept.event(Started("notes", folder.as_posix(), 400))
        kept.event(Committed("notes", folder.as_posix(), 100, 100, 100, 100))
        assert "    running for 0 s\n" in ondol("status").output
        now[0] = EVERY_SECONDS
        kept.event(Committed("notes", folder.as_posix(), 300, 300, 300, 300))
        assert ": 300 of 400 (75%)\n" in ondol("status").output
        now[0] = 1.5 * EVERY_SECONDS
        kept.event(Committed("notes", folder.as_posix(), 301, 301, 301, 301))
        assert json.loads(ondol("status", "--json").output.splitlines()[0])["progress"] == {"items": 300, "total": 400}
    assert len(heard) == 4
    world.sync("notes")
    assert "running" not in ondol("status").output


def test_progress_is_not_told_of_a_source_that_nobody_runs(world: World, folder: Path, ondol: Ondol) -> None:
    now = [0.0]
    kept = ProgressKept(world.home, lambda event: None, lambda: now[0])
    now[0] = EVERY_SECONDS
    kept.event(Committed("notes", folder.as_posix(), 5, 5, 5, 5))
    assert world.sql("SELECT runner FROM sources") == [(None,)]


def test_a_schedule_is_chosen_shown_and_taken_back(folder: Path, ondol: Ondol) -> None:
    name = folder.as_posix()
    assert ondol("schedule", "--in", "notes").output == f"notes: {name}: never by itself\n"
    assert ondol("schedule", "--in", "notes", "--every", "15m", "--on-change").output == f"notes: {name}: on change and every 15 minutes\n"
    assert json.loads(ondol("schedule", "--in", "notes", "--json").output)["schedule"] == "on change and every 15 minutes"
    assert ondol("schedule", "--in", "notes", "--never").output == f"notes: {name}: never by itself\n"
    wrong = ondol("schedule", "--in", "notes", "--never", "--every", "15m")
    assert wrong.exit_code == 2
    assert "--never goes with no other time" in wrong.output


def test_retry_reads_what_waits_for_its_next_try_and_says_what_to_do_where_nothing_is_meant(
    world: World, folder: Path, ondol: Ondol
) -> None:
    assert world.sync().waiting == 1
    again = ondol("retry")
    assert again.exit_code == 1
    assert "failed: " in again.output
    assert [failed.attempts for failed in world.status()[0].failures] == [2]
    wrong = ondol("retry", "nothing")
    assert wrong.exit_code == 66
    assert 'No item that failed is called "nothing". `ondol ingest status` lists what failed; ' in wrong.output
    (folder / "빈.txt").write_text("이제 글이 있다.", encoding="utf-8")
    mended = ondol("retry", str(folder / "빈.txt"))
    assert mended.exit_code == 0, mended.output
    assert len(world.documents()) == 2
    assert ondol("retry").output == "Nothing failed.\n"


def test_a_dry_run_shows_a_table_and_an_example_and_writes_nothing(world: World, things: str, ondol: Ondol) -> None:
    said = ondol("postgres", things, "--table", "things", "--into", "shop", "--dry-run")
    assert said.exit_code == 0, said.output
    assert "    rows        30 (0 are in the store)" in said.output
    assert "    example     " in said.output
    assert "Nothing was written: 1 tables, 30 rows." in said.output
    assert not world.home.book.exists()


@pytest.fixture
def watching(world: World, folder: Path, ondol: Ondol) -> Iterator[subprocess.Popen[str]]:
    """`ondol ingest watch`, a real process, over a folder that the server would read every 15 minutes."""
    ondol("schedule", "--in", "notes", "--every", "15m")
    line = [sys.executable, "-P", "-X", "utf8", "-m", "app.cli", "ingest", "watch", "--json"]
    with subprocess.Popen(line, env=dict(os.environ), stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone there")
def test_a_watched_folder_is_read_when_it_changes_whatever_its_schedule_until_ctrl_c(watching: subprocess.Popen[str], folder: Path) -> None:
    assert watching.stdout is not None
    begun = json.loads(watching.stdout.readline())
    assert begun == {"event": "watching", "sources": [{"store": "notes", "source": folder.as_posix()}]}
    time.sleep(1.0)  # the system's watch of the folder begins beside that line
    # What fails needs no model to be told of.
    (folder / "새로.txt").write_text("", encoding="utf-8")
    report = next(said for said in map(json.loads, watching.stdout) if said.get("event") == "report")
    assert any("새로.txt" in failed["item"] for failed in report["failed"])
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0
