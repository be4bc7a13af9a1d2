"""`ondol bench ingest` over a real PostgreSQL, with Ondol's own side: the peers are not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cli.bench.ingest import Wanted, compare
from app.cli.bench.ingest_table import copy_rows
from app.core.errors import BadRequest

DUMP = (
    """
CREATE TABLE public.shows (
    show_id text NOT NULL,
    title text,
    year integer
);

COPY public.shows (show_id, title, year) FROM stdin;
"""
    + "".join(f"s{number}\tShow number {number} about a town\t{1900 + number}\n" for number in range(150))
    + "\\.\n\n"
)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    file = tmp_path / "shows.sql"
    file.write_text(DUMP, encoding="utf-8")
    return file


@pytest.mark.slow
def test_ours_is_measured_in_all_phases_and_has_no_row_wrong_after_ten_histories(dump: Path, tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    wanted = Wanted(str(dump), "", "", 120, "", str(tmp_path), 220, 40, 1, ())
    compare(wanted, lambda note: None, said.append)
    assert [(line["side"], line["phase"]) for line in said if "side" in line] == [
        ("ondol", "first"),
        ("ondol", "unchanged"),
        ("ondol", "changed"),
    ]
    assert [line["missed"] for line in said if "history" in line] == [{"ondol": 0}] * 10
    assert [{"ondol", "chromadb"} <= line["versions"]["ondol"].keys() for line in said if "versions" in line] == [True]


def test_rows_are_copied_from_a_dump_or_a_database_with_their_key_and_their_longest_column(database: str, dump: Path) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        assert copy_rows(str(dump), "shows", "", 100, database) == ("bench", "show_id", "title")
        assert connection.execute("SELECT count(*) FROM bench").fetchone() == (100,)
        connection.execute("ALTER TABLE bench RENAME TO theirs")
        connection.execute("CREATE TYPE mood AS ENUM ('good')")
        connection.execute("ALTER TABLE theirs ADD COLUMN mood mood DEFAULT 'good'")
        assert copy_rows(database, "theirs", "", 50, database) == ("bench", "show_id", "title")
        assert connection.execute("SELECT count(*), min(mood) FROM bench").fetchone() == (50, "good")


def test_a_source_without_the_table_is_told(database: str, dump: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="has no rows of a table other"):
        copy_rows(str(dump), "other", "", 100, database)
    with pytest.raises(BadRequest, match="can't be read"):
        copy_rows(str(tmp_path / "no.sql"), "", "", 100, database)
    with pytest.raises(BadRequest, match="Which table"):
        copy_rows(database, "", "", 100, database)
