"""What the owner asked for, as sources: which tables, how each becomes documents, and what `sync` needs to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.errors import BadRequest, NotFound, OndolError
from ingest.postgres.database import Database
from ingest.postgres.plan import Plan, TableInfo, Wishes, make_plan
from ingest.postgres.selection import choose_tables, wish_of


class Asked(msgspec.Struct, frozen=True):
    """Tables by names and patterns, whole schemas, or one query with its name.

    The other fields are said of all of them: `VALUE`, or of one: `TABLE=VALUE`; columns with commas. `parents`: whether the names of what
    foreign keys point at come with a row. `follow`: whether a slot of the database tells what changes.
    """

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    query: str = ""
    name: str = ""
    text: tuple[str, ...] = ()
    title: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    url: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    parents: bool = True
    follow: bool = False


@dataclass(frozen=True)
class Target:
    """One source to be: its plan, what `sync` needs to make that plan again, and what is to be told about it."""

    plan: Plan
    spec: dict[str, Any]
    notices: tuple[str, ...]


def targets(database: Database, asked: Asked) -> tuple[list[Target], list[str]]:
    """All that was asked for, and why some of what a pattern or a schema holds is left out. Nothing is read yet but the catalogue.

    BadRequest, NotFound: something that was named itself can't be had, or nothing at all is left.
    """
    if asked.query:
        return [_of_query(database, asked)], []
    if not asked.tables and not asked.schemas:
        raise BadRequest("No table is named.", hint="Name some with --table or --schema, or give a --query.", param="table")
    every = database.tables()
    chosen = choose_tables(asked.tables, asked.schemas, every)
    wishes = _wishes(asked, [(schema, name) for schema, name, _ in chosen])
    found: list[Target] = []
    left: list[str] = []
    for schema, name, named in chosen:
        try:
            found.append(_target(database, database.table(schema, name), wishes[(schema, name)]))
        except OndolError as error:
            if named or error.code not in ("no_key", "permission_denied"):
                raise
            left.append(f"{schema}.{name} is left out: {error}")
    if not found:
        raise BadRequest(f"None of the tables can be read. {' '.join(left)}", param="table")
    return found, left


def plan_of(database: Database, spec: Mapping[str, Any]) -> tuple[Plan, list[str]]:
    """The plan of a source that the book remembers, as its table is now. NotFound: the table has gone, or was renamed."""
    if spec.get("query"):
        return make_plan(database.query(spec["name"], spec["query"]), _remembered(spec))
    try:
        return make_plan(database.describe(spec["table"]), _remembered(spec))
    except NotFound as error:
        stays = "What the store has of it stays: name the table again as it is now, or take it out with `ondol ingest forget`."
        raise NotFound(error.message, hint=f"{error.hint} {stays}", code=error.code, param=error.param) from None


def _remembered(spec: Mapping[str, Any]) -> Wishes:
    return Wishes(
        text=tuple(spec.get("text", ())),
        title=spec.get("title", ""),
        key=tuple(spec.get("key", ())),
        url=spec.get("url", ""),
        metadata=tuple(spec.get("metadata", ())),
        access=spec.get("access_column", ""),
        parents=spec.get("parents", True),
    )


def _of_query(database: Database, asked: Asked) -> Target:
    if asked.tables or asked.schemas:
        raise BadRequest("A query and tables can't be read at once.", hint="Run it twice.", param="query")
    if not asked.name:
        raise BadRequest("The query needs a name: its rows are called by it.", hint="Give one with --name.", param="name")
    table = database.query(asked.name, asked.query)
    return _target(database, table, _wishes(asked, [("query", asked.name)])[("query", asked.name)])


def _target(database: Database, table: TableInfo, wishes: Wishes) -> Target:
    plan, notices = make_plan(table, wishes)
    spec: dict[str, Any] = {
        "dsn": dict(database.dsn.parameters),
        "table": table.full_name,
        "text": list(wishes.text),
        "title": wishes.title,
        "key": list(wishes.key),
        "url": wishes.url,
        "metadata": list(wishes.metadata),
        "access_column": wishes.access,
        "parents": wishes.parents,
    }
    if table.query:
        spec |= {"query": table.query, "name": table.name}
    return Target(plan, spec, tuple(notices))


def _wishes(asked: Asked, tables: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Wishes]:
    def of(name: str, option: str) -> Mapping[tuple[str, str], str]:
        return wish_of(getattr(asked, name), tables, option)

    text, title, key, url = of("text", "--text"), of("title", "--title"), of("key", "--key"), of("url", "--url")
    metadata, access = of("metadata", "--metadata"), of("access", "--access-column")
    return {
        table: Wishes(
            text=_columns(text[table]),
            title=title[table],
            key=_columns(key[table]),
            url=url[table],
            metadata=_columns(metadata[table]),
            access=access[table],
            parents=asked.parents,
        )
        for table in tables
    }


def _columns(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())
