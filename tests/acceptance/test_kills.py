"""SIGKILL at random moments, of ingest, the server and its workers, Chroma's writing of its files among them, beside those who search."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kill_story import told
from postgres_servers import embedded_server

from models.installed import InstalledModel

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGSTOP")]
EIGHT_OF_200 = [pytest.param(8, 2, id=f"{last - 7}-{last}-of-200", marks=pytest.mark.slow) for last in range(8, 201, 8)]


@pytest.fixture(scope="module")
def table() -> Iterator[psycopg.Connection]:
    with embedded_server() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(("kills", "each"), [pytest.param(20, 4, id="20"), *EIGHT_OF_200])
def test_kills_lose_nothing_acknowledged_double_nothing_and_no_answer_ever_shows_half_a_document(
    tmp_path: Path, minilm: InstalledModel, table: psycopg.Connection, kills: int, each: int
) -> None:
    """`each`: every so manieth kill is one while Chroma writes its files."""
    seed = int(os.environ.get("ONDOL_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"ONDOL_TEST_SEED={seed}")
    with told(tmp_path, table, minilm, seed) as story:
        story.tells(kills, each)
        story.ends()
        assert story.kills >= kills
        assert story.while_chroma_writes >= kills // each
