"""The demo's data: a real PostgreSQL from a wheel, rows and pages that hold what the questions ask for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.acceptance
DEMO = Path(__file__).parents[2] / "installer" / "demo"
ABOUT = json.loads((DEMO / "demo.json").read_text(encoding="utf-8"))
QUESTIONS = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))
EVERY = [*QUESTIONS["run"], *QUESTIONS["more"]]


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, str(DEMO / "postgres.py"), str(folder), str(DEMO / "company.sql")]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield json.loads(child.stdout.readline())["dsn"], child
    finally:
        child.stdin.close()
        child.wait(30)
        child.stdout.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    # As root, PostgreSQL runs as another user; pytest shuts its own folders to all others whenever one more run begins.
    with tempfile.TemporaryDirectory(prefix="ondol-demo-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ondol-demo-") as made:
        yield Path(made) / "postgres"


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def test_the_demo_database_is_loaded_once_and_a_changed_row_outlives_a_restart_under_the_same_dsn(folder: Path) -> None:
    with server(folder) as (first, _):
        counts = [rows(first, f"SELECT count(*) FROM {table['table']}")[0][0] for table in ABOUT["tables"]]
        assert sum(counts) > 100
        assert all(counts)
        with psycopg.connect(first) as connection:
            connection.execute("UPDATE products SET stock = 77 WHERE sku = 'DB-220'")
    with pytest.raises(psycopg.OperationalError):
        rows(first, "SELECT 1")
    with server(folder) as (second, _):
        assert second == first
        assert rows(second, "SELECT stock FROM products WHERE sku = 'DB-220'") == [(77,)]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_after_a_kill_the_demo_database_starts_again_and_ends_with_its_starter(folder: Path) -> None:
    with server(folder) as (_, child):
        child.send_signal(signal.SIGKILL)
        child.wait()
    with server(folder) as (dsn, _):
        assert rows(dsn, "SELECT count(*) FROM customers")[0][0] > 0
    with pytest.raises(psycopg.OperationalError):
        rows(dsn, "SELECT 1")


def test_a_first_start_that_was_cut_off_is_begun_anew(open_folder: Path) -> None:
    half = open_folder / "postgres" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    with server(open_folder / "postgres") as (dsn, _):
        assert rows(dsn, "SELECT count(*) FROM products")[0][0] > 0


def test_every_question_about_a_row_is_answered_by_the_row_that_it_names(folder: Path) -> None:
    with server(folder) as (dsn, _):
        wrong = []
        for one in (one for one in EVERY if one["from"] == "postgres"):
            table, key = one["source"].split("/")
            column = "sku" if table == "products" else "id"
            found = rows(dsn, f"SELECT to_jsonb(t)::text FROM {table} AS t WHERE {column}::text = '{key}'")
            wrong += [one["question"] for word in one["expected"] if not found or word not in found[0][0]]
        assert wrong == []


@pytest.mark.parametrize("one", [one for one in EVERY if one["from"] == "file"], ids=lambda one: one["source"])
def test_a_question_about_a_page_is_answered_by_the_page_that_it_names(one: dict[str, Any]) -> None:
    page = (DEMO / "handbook" / one["source"]).read_text(encoding="utf-8")
    assert [word for word in one["expected"] if word not in page] == []


def test_run_asks_one_question_of_a_row_and_one_of_a_page() -> None:
    assert sorted(one["from"] for one in QUESTIONS["run"]) == ["file", "postgres"]


def test_questions_and_pages_come_in_english_and_in_korean() -> None:
    def korean(text: str) -> bool:
        return any("가" <= letter <= "힣" for letter in text)

    pages = list((DEMO / "handbook").glob("*.md"))
    assert len(pages) >= 12
    assert {korean(page.read_text(encoding="utf-8")) for page in pages} == {True, False}
    assert {korean(one["question"]) for one in EVERY} == {True, False}


def test_the_names_of_the_pages_are_composed_as_git_and_every_system_keeps_them() -> None:
    assert [page.name for page in (DEMO / "handbook").iterdir() if page.name != unicodedata.normalize("NFC", page.name)] == []
