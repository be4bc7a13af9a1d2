"""Answers as they really arrive in `state.db`."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.core.errors import Conflict
from app.core.records import AnswerRecord
from app.state.answers import AnswerLog
from app.state.database import open_state
from app.state.schema import metadata


def answer(id: str, question: str = "휴가는 며칠인가요?") -> AnswerRecord:
    return AnswerRecord(
        id=id,
        request_id="req-1",
        tenant="local",
        key="owner",
        at=1_700_000_000.5,
        assistant="회사 안내",
        model="smollm2",
        style="quote",
        question=question,
        text="15일입니다.",
        finish_reason="stop",
        relevance=0.75,
        passages=(("handbook", "a.md#0", 0.5),),
        prompt_tokens=10,
        completion_tokens=5,
        milliseconds=812.5,
    )


def rows(path: Path) -> list[dict[str, object]]:
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute("SELECT * FROM answers ORDER BY id")]
    connection.close()
    return found


def test_an_answer_is_kept_with_all_that_it_carries(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "홈" / "state.db")
    log.record(answer("a"))
    log.close()
    (row,) = rows(tmp_path / "홈" / "state.db")
    row["passages"] = msgspec.json.decode(str(row["passages"]))
    assert row == msgspec.json.decode(msgspec.json.encode(answer("a")))


def test_no_file_is_made_before_there_is_an_answer(tmp_path: Path) -> None:
    AnswerLog(tmp_path / "state.db").close()
    assert not (tmp_path / "state.db").exists()


def test_close_writes_all_that_waits_also_from_many_threads(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "state.db", capacity=10_000)
    threads = [threading.Thread(target=lambda n=n: [log.record(answer(f"{n}-{i}")) for i in range(250)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close(30)
    assert len(rows(tmp_path / "state.db")) == 1000
    assert (log.kept, log.dropped) == (1000, 0)


def test_a_second_run_adds_to_the_first_and_an_answer_told_twice_is_kept_once(tmp_path: Path) -> None:
    for id in ("a", "b", "a"):
        log = AnswerLog(tmp_path / "state.db")
        log.record(answer(id))
        log.close()
    assert [row["id"] for row in rows(tmp_path / "state.db")] == ["a", "b"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_file_is_for_its_owners_eyes(tmp_path: Path) -> None:
    engine = open_state(tmp_path / "state.db")
    with engine.begin():
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    engine.dispose()


def test_while_another_process_holds_the_file_recording_returns_at_once_and_too_many_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_state(tmp_path / "state.db").dispose()
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    log = AnswerLog(tmp_path / "state.db", capacity=10)
    log.record(answer("first"))
    while not log._queue.empty():  # until the thread has it in its hands
        threading.Event().wait(0.01)
    for number in range(99):
        log.record(answer(str(number)))
    assert log.dropped == 89
    holder.execute("ROLLBACK")
    holder.close()
    log.close(30)
    assert len(rows(tmp_path / "state.db")) == log.kept == 11
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a tiny disk: Linux's root only")
def test_a_full_disk_drops_answers_tells_it_once_without_their_text_and_goes_on_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        open_state(tmp_path / "state.db").dispose()
        (tmp_path / "ballast").write_bytes(b"x" * 150_000)
        log = AnswerLog(tmp_path / "state.db")
        for number in range(50):
            log.record(answer(f"{number:03}", question="비밀" * 3000))
        while log.kept + log.dropped < 50:
            threading.Event().wait(0.01)
        assert log.dropped > 0
        (tmp_path / "ballast").unlink()
        kept = log.kept
        log.record(answer("after"))
        log.close(30)
        assert log.kept == kept + 1
        assert rows(tmp_path / "state.db")[-1]["id"] == "after"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert "disk is full" in caplog.text
    assert "비밀" not in caplog.text


def test_a_damaged_file_is_told_and_ends_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
    log = AnswerLog(tmp_path / "state.db")
    log.record(answer("a"))
    log.close()
    assert log.dropped == 1
    assert "not being recorded" in caplog.text


def test_what_comes_after_the_close_is_counted_as_dropped(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "state.db")
    log.close()
    log.record(answer("a"))
    assert log.dropped == 1


def test_the_migrations_make_exactly_the_tables_that_the_schema_names(tmp_path: Path) -> None:
    engine = open_state(tmp_path / "state.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    engine.dispose()


def test_a_file_of_a_newer_version_is_a_conflict_and_stays_as_it_is(tmp_path: Path) -> None:
    open_state(tmp_path / "state.db").dispose()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Conflict, match="newer Ondol"):
        open_state(tmp_path / "state.db")
