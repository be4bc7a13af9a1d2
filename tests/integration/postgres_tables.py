"""Small tables that several files read, what is done to them, and whether the book says what they say."""

from __future__ import annotations

import psycopg
from ingest_world import World
from postgres_servers import READER_PASSWORD
from psycopg.conninfo import make_conninfo

SHOP = """
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE TABLE tickets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text NOT NULL, body text, opened timestamptz,
                      hours numeric(6,2), urgent boolean, mood mood, photo bytea, tags text[], extra jsonb);
INSERT INTO tickets (subject, body, opened, hours, urgent, mood, photo, tags, extra) VALUES
 ('바닥이 차갑다', '어제부터 온돌이 데워지지 않습니다.', '2026-03-01 09:00+00', 1.50, true, 'angry', '\\x00', '{a,b}', '{"n": 1}'),
 ('Noise', 'The pump hums at night.', NULL, NULL, false, NULL, NULL, NULL, NULL),
 ('Thanks', NULL, 'infinity', 'NaN', NULL, 'calm', NULL, NULL, NULL);
CREATE TABLE "Odd ""Names" ("a:b%" text, "key/one" text, two int, PRIMARY KEY ("key/one", two));
INSERT INTO "Odd ""Names" VALUES ('first', 'x,y/z', 1), ('second', 'x', 2);
CREATE TABLE heap (words text, n int);
INSERT INTO heap VALUES ('one', 1), ('two', 2);
CREATE VIEW calm AS SELECT id, subject, body FROM tickets WHERE mood = 'calm';
CREATE DOMAIN code AS text CHECK (value <> '');
CREATE TABLE coded (c code PRIMARY KEY, kind mood, price money, id uuid);
INSERT INTO coded VALUES ('K-1', 'calm', 12.5, '11111111-1111-1111-1111-111111111111');
"""

THINGS = """
CREATE TABLE things (id int PRIMARY KEY, body text, team text);
INSERT INTO things SELECT n, 'body ' || n, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, 30) n;
"""


def run(dsn: str, statements: str | bytes) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements)


def as_reader(dsn: str, password: str = READER_PASSWORD) -> str:
    return make_conninfo(dsn, user="reader", password=password)


def is_the_table(world: World, dsn: str, table: str = "things") -> bool:
    with psycopg.connect(dsn) as connection:
        told = {str(id): body for id, body in connection.execute(f"SELECT id, body FROM {table}")}
    query = "SELECT d.id, c.text FROM documents d JOIN chunks c ON c.document_pk = d.pk"
    held = {id.rsplit("/", 1)[1]: text.removeprefix("body: ").split("\n")[0] for id, text in world.sql(query)}
    return held == told
