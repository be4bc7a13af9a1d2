"""Schemas that nobody here wrote: pagila's 15 tables with their types, and netflix's one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from app.core.paths import Home
from ingest.postgres.asked import Asked
from ingest.sync import preview_postgres

DATA = Path(os.environ.get("ONDOL_EVAL_DATA") or Path(__file__).parents[3] / "shared" / "data") / "postgres"


# A part of each table: what they are is of interest here, not how many.
FEWER = """
    DELETE FROM payment WHERE payment_id % 100 <> 0; DELETE FROM rental WHERE rental_id NOT IN (SELECT rental_id FROM payment);
    DELETE FROM inventory WHERE inventory_id NOT IN (SELECT inventory_id FROM rental); DELETE FROM film_actor WHERE film_id > 50;
    DELETE FROM film_category WHERE film_id > 50;
    DELETE FROM film WHERE film_id > 50 AND film_id NOT IN (SELECT film_id FROM inventory);
    DELETE FROM customer WHERE customer_id NOT IN (SELECT customer_id FROM payment UNION SELECT customer_id FROM rental);
    DELETE FROM address WHERE address_id NOT IN
        (SELECT address_id FROM customer UNION SELECT address_id FROM staff UNION SELECT address_id FROM store);
    DELETE FROM city WHERE city_id NOT IN (SELECT city_id FROM address);
"""


def load(dsn: str, name: str) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not here: ONDOL_EVAL_DATA names its folder")
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("this machine has no psql to load it with")
    # Owners that this server doesn't know are complained of and left out.
    subprocess.run([psql, "-q", "-v", "ON_ERROR_STOP=0", dsn, "-f", DATA / name], check=True, capture_output=True)


@pytest.mark.slow
def test_every_table_of_pagila_is_read_and_followed(world, database):
    load(database, "pagila.sql")
    found, left = preview_postgres(Home(world.home.root), database, Asked(schemas=("public",)), "films")
    assert {one.source.rsplit(".", 1)[1]: one.rows for one in found}["film"] == 1000
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FEWER)
    assert any("actor_info is left out" in reason for reason in left)
    reports = world.tables(database, "films", schemas=("public",))
    assert not any(report.error or report.failed for report in reports)
    held = {report.source.rsplit("/", 1)[1]: report.added for report in reports}
    for report in reports:
        table = report.source.rsplit("/", 1)[1]
        with psycopg.connect(database) as connection:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (report.added,), table
    texts = dict(
        world.sql("SELECT d.title, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk WHERE d.id LIKE '%public.film/1'")
    )
    ((title, text),) = texts.items()
    assert title == "ACADEMY DINOSAUR"
    assert "language: English" in text
    assert "rating: PG" in text
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE language SET name = 'Englisch' WHERE language_id = 1; UPDATE film SET title = 'X' WHERE film_id = 2")
    from ingest.sync import sync
    from models.hash_embedder import WordCounter

    again = {report.source.rsplit(".", 1)[1]: report for report in sync(world.home, "films", world.embedder, WordCounter())}
    assert again["language"].changed == 1
    assert (again["film"].changed, again["film"].unchanged) == (held["public.film"], 0)
    assert again["actor"].changed == again["actor"].added == again["actor"].deleted == 0
    world.check()


def test_netflixs_titles_are_read_with_their_names(world, database):
    load(database, "netflix.sql")
    (found,), _ = preview_postgres(Home(world.home.root), database, Asked(tables=("netflix*",)), "films")
    assert found.rows == 8807
    assert found.title
    assert "description" in found.text
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM netflix_shows WHERE show_id LIKE '%1_' OR length(show_id) > 4")
        (rows,) = connection.execute("SELECT count(*) FROM netflix_shows").fetchone() or (0,)
    report = world.table(database, "netflix*", store="films")
    assert report.added == rows > 500
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM netflix_shows WHERE show_id IN (SELECT show_id FROM netflix_shows ORDER BY 1 LIMIT 10)")
    report = world.sync("films")
    assert (report.deleted, report.unchanged, report.changed) == (10, rows - 10, 0)
