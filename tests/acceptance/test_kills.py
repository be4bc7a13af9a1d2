"""SIGKILL at random moments, of ingest, the server and its workers: nothing acknowledged is lost, nothing is doubled, search stays true."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest
from postgres_servers import embedded_server
from product import Product, Served

from models.installed import InstalledModel

pytestmark = pytest.mark.acceptance
MOMENTS = 20
WORDS = (
    "amber",
    "basalt",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "garnet",
    "harbor",
    "indigo",
    "juniper",
    "kelp",
    "larch",
    "maple",
    "quartz",
    "slate",
)
QUESTIONS = ("amber garnet harbor", "quartz and slate by the fjord", "tundra", "number 17")


@pytest.fixture(scope="module")
def table() -> Iterator[psycopg.Connection]:
    with embedded_server() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, body text NOT NULL)")
        yield connection


def body(chance: random.Random, id: int) -> str:
    return f"Note number {id}: " + " ".join(chance.choices(WORDS, k=25))


def change(table: psycopg.Connection, chance: random.Random) -> None:
    """Forty rows in or changed, ten gone."""
    for id in chance.sample(range(400), 40):
        table.execute("INSERT INTO notes VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body", (id, body(chance, id)))
    for id in chance.sample(range(400), 10):
        table.execute("DELETE FROM notes WHERE id = %s", (id,))


def rows(table: psycopg.Connection) -> dict[str, str]:
    return {str(id): text for id, text in table.execute("SELECT id, body FROM notes").fetchall()}


def note(text: str) -> str:
    """A chunk's text without the lines of the other columns."""
    return text.split("\n")[0]


def held(product: Product) -> dict[str, str]:
    """What the book holds, by key: every document whole, and once."""
    with sqlite3.connect(f"file:{product.home / 'book.db'}?mode=ro", uri=True) as book:
        found = book.execute(
            "SELECT d.id, c.text, (SELECT count(*) FROM vectors v WHERE v.text_hash = c.text_hash),"
            " (SELECT count(*) FROM chunk_text t WHERE t.rowid = c.pk)"
            " FROM documents d LEFT JOIN chunks c ON c.document_pk = d.pk"
        ).fetchall()
        assert book.execute("SELECT count(*) FROM chunk_text").fetchone() == book.execute("SELECT count(*) FROM chunks").fetchone()
    assert all((vectors, lexical) == (1, 1) for _, _, vectors, lexical in found)
    assert len({id for id, *_ in found}) == len(found)
    return {id.rsplit("/", 1)[-1]: note(text) for id, text, *_ in found}


def found(served: Served) -> list[list[tuple[str, str]]]:
    pages = [served.client.vector_stores.search("notes", query=question, max_num_results=10).data for question in QUESTIONS]
    return [[(hit.file_id, note(hit.content[0].text)) for hit in page] for page in pages]


def victims(served: Served, ingest: psutil.Process) -> dict[str, int]:
    """Who can be killed now, by name."""
    alive = {"ingest": ingest.pid, "server": served.process.pid}
    for name, word in (("index worker", "ingest.index.worker"), ("embed worker", "models.embed_worker")):
        for child in psutil.Process(served.process.pid).children():
            if word in child.cmdline():
                alive[name] = child.pid
    return alive


def acknowledged(output: str) -> int:
    """How many documents a run had confirmed when it ended."""
    events = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
    return max((event["documents"] for event in events if event.get("event") == "committed"), default=0)


def test_kills_at_random_moments_lose_nothing_double_nothing_and_leave_search_true(
    tmp_path: Path, models_dir: Path, minilm: InstalledModel, table: psycopg.Connection
) -> None:
    seed = int(os.environ.get("ONDOL_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"ONDOL_TEST_SEED={seed}")
    chance, product = random.Random(seed), Product(tmp_path / "home", models_dir)
    change(table, chance)
    first = product.run("ingest", "postgres", table.info.dsn, "--table", "notes", "--text", "body", "--into", "notes")
    assert first.returncode == 0, first.stderr
    killed: list[str] = []
    with ExitStack() as stack:
        served = stack.enter_context(product.serving())
        found(served)
        for moment in range(MOMENTS):
            change(table, chance)
            wanted = rows(table)
            ingest = product.start("ingest", "sync", "--json")
            time.sleep(chance.uniform(0.3, 2.5))
            alive = victims(served, psutil.Process(ingest.pid))
            # Each in turn: a rare one must not be left out by chance.
            name = [*alive][moment % len(alive)]
            killed.append(name)
            os.kill(alive[name], signal.SIGKILL)
            output, _ = ingest.communicate(timeout=120)
            if name == "server":
                served = stack.enter_context(product.serving())
            book = held(product)
            assert sum(book.get(id) == text for id, text in wanted.items()) >= acknowledged(output), f"after the kill of {name}"

            again = product.run("ingest", "sync")
            assert again.returncode == 0, f"after the kill of {name}: {again.stderr}"
            assert held(product) == wanted
            pages = found(served)
            assert all(len(page) == len(set(page)) > 0 for page in pages)
            assert all(wanted[id.rsplit("/", 1)[-1]] == text for page in pages for id, text in page), f"after the kill of {name}"
        assert set(killed) == {"ingest", "server", "index worker", "embed worker"}
        assert served.drained()
        last = found(served)
    # The same questions over an index that is made anew from the book.
    for folder in (product.home / "index").iterdir():
        folder.rename(tmp_path / folder.name)
    with product.serving() as fresh:
        assert fresh.drained()
        assert found(fresh) == last
