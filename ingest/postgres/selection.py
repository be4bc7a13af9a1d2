"""Which tables are meant: a name as it is typed, patterns, whole schemas; and which wish is whose."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from app.core.errors import BadRequest, NotFound

Named = tuple[str, str, bool]
"""(schema, name, on the search path)."""


def choose_table(wanted: str, tables: Sequence[Named]) -> tuple[str, str]:
    """(schema, name) of the table meant. NotFound names the nearest."""
    if (found := _exactly(wanted, tables)) is not None:
        return found
    bare = _bare(wanted)
    elsewhere = [f"{schema}.{name}" for schema, name, _ in tables if bare == name]
    every = [name if visible else f"{schema}.{name}" for schema, name, visible in tables]
    near = elsewhere or difflib.get_close_matches(bare, every, 3, 0.5)
    listed = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(every)[:10]) or 'none that you may see'}."
    raise NotFound(f"There is no table {wanted}.", hint=listed, code="table_not_found", param="table")


def choose_tables(wanted: Sequence[str], schemas: Sequence[str], tables: Sequence[Named]) -> list[tuple[str, str, bool]]:
    """(schema, name, whether it was named itself) of all tables meant, each once. NotFound: a name, pattern or schema that nothing has."""
    found: dict[tuple[str, str], bool] = {}
    for one in wanted:
        if (exact := _exactly(one, tables)) is not None:
            found[exact] = True
        elif re.search(r"[*?\[]", one):
            bare = _bare(one)
            matching = [
                (schema, name)
                for schema, name, visible in tables
                if fnmatch.fnmatchcase(f"{schema}.{name}", bare) or (visible and fnmatch.fnmatchcase(name, bare))
            ]
            if not matching:
                raise NotFound(f"No table is called like {one}.", hint=_some(tables), code="table_not_found", param="table")
            for match in matching:
                found.setdefault(match, False)
        else:
            found[choose_table(one, tables)] = True
    for schema in schemas:
        matching = [(own, name) for own, name, _ in tables if own == schema]
        if not matching:
            near = ", ".join(sorted({own for own, _, _ in tables})) or "none that you may see"
            raise NotFound(
                f"The schema {schema} has no table.", hint=f"There are the schemas: {near}.", code="table_not_found", param="schema"
            )
        for match in matching:
            found.setdefault(match, False)
    return [(schema, name, named) for (schema, name), named in found.items()]


def wish_of(given: Iterable[str], tables: Sequence[tuple[str, str]], option: str) -> Mapping[tuple[str, str], str]:
    """What an option says of each table: `VALUE` for all of them, `TABLE=VALUE` for one. BadRequest: a table that is not among them."""
    every = {f"{schema}.{name}": (schema, name) for schema, name in tables} | {name: (schema, name) for schema, name in tables}
    of_all, own = "", {}
    for one in given:
        head, separator, value = one.partition("=")
        if separator and _bare(head.strip()) in every:
            own[every[_bare(head.strip())]] = value.strip()
        elif separator and re.fullmatch(r"[\w.]+", head.strip()) and len(tables) > 1:
            raise BadRequest(
                f"{option}: {head.strip()} is not among the tables that are read.", hint=f"Write {option} TABLE=VALUE.", param=option
            )
        else:
            of_all = one
    return {table: own.get(table, of_all) for table in tables}


def _exactly(wanted: str, tables: Sequence[Named]) -> tuple[str, str] | None:
    """The table that is called so, as it stands, without quotes, or in small letters: also one whose name holds quotes or stars."""
    bare = _bare(wanted)
    for spelled in (wanted, bare, bare.lower()):
        for schema, name, visible in tables:
            if spelled == f"{schema}.{name}" or (visible and spelled == name):
                return schema, name
    return None


def _bare(wanted: str) -> str:
    return re.sub(r'"((?:[^"]|"")+)"', lambda quoted: quoted[1].replace('""', '"'), wanted)


def _some(tables: Sequence[Named]) -> str:
    names = sorted(name if visible else f"{schema}.{name}" for schema, name, visible in tables)
    return f"There are: {', '.join(names[:10]) or 'none that you may see'}."
