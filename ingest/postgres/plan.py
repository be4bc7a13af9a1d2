"""Decisions about a table, as pure functions: which columns speak, what tells its rows apart, what a row says."""

from __future__ import annotations

import difflib
import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.errors import BadRequest, NotFound
from ingest.documents import Block, Document, tidy
from ingest.readers.plain import paragraphs

_TITLES = ("title", "name", "subject", "제목", "이름", "명칭", "상품명", "제품명")


_SECRET = re.compile(r"passw(or)?d|(^|_)pwd|secret|token|api_?key|비밀번호|주민등록번호", re.IGNORECASE)
_ESCAPES = str.maketrans({"%": "%25", ",": "%2C", "/": "%2F", "#": "%23"})


@dataclass(frozen=True)
class ColumnInfo:
    """A column as the catalogue tells it. `category` is pg_type.typcategory, `type` as format_type writes it."""

    name: str
    type: str
    category: str
    not_null: bool
    readable: bool = True

    @property
    def role(self) -> str:
        """`text` (prose), `fact` (said in the text and kept as an attribute), `attribute` (kept only), `unread`."""
        if self.category == "S":
            return "text"
        if self.category in "NDTBEIR" or self.type in ("json", "jsonb") or (self.category == "A" and not self.type.startswith("bytea")):
            return "fact"
        return "attribute" if self.type == "uuid" else "unread"


@dataclass(frozen=True)
class TableInfo:
    """A table or view. `keys`: its unique indexes over columns that are never null, the primary key first."""

    oid: int
    schema: str
    name: str
    columns: tuple[ColumnInfo, ...]
    keys: tuple[tuple[str, ...], ...]

    @property
    def full_name(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Plan:
    """How a table becomes documents: names of columns."""

    table: TableInfo
    key: tuple[str, ...]
    text: tuple[str, ...]
    facts: tuple[str, ...]
    attributes: tuple[str, ...]
    title: str

    @property
    def signature(self) -> str:
        """How this plan makes text of a row. With the row's hash behind it, it stands for the content of the row's document."""
        return "\0".join((*self.text, "", *self.facts, "", *self.attributes, "", self.title, ""))

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are read, in the table's order."""
        used = {*self.key, *self.text, *self.facts, *self.attributes, *_fields(self.title)}
        return tuple(column.name for column in self.table.columns if column.name in used)


def choose_table(wanted: str, tables: Sequence[tuple[str, str, bool]]) -> tuple[str, str]:
    """(schema, name) of the table meant. `tables`: (schema, name, on the search path). NotFound names the nearest."""
    bare = re.sub(r'"([^"]+)"', r"\1", wanted)
    for spelled in (bare, bare.lower()):
        for schema, name, visible in tables:
            if spelled == f"{schema}.{name}" or (visible and spelled == name):
                return schema, name
    elsewhere = [f"{schema}.{name}" for schema, name, _ in tables if bare == name]
    every = [name if visible else f"{schema}.{name}" for schema, name, visible in tables]
    near = elsewhere or difflib.get_close_matches(bare, every, 3, 0.5)
    listed = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(every)[:10]) or 'none that you may see'}."
    raise NotFound(f"There is no table {wanted}.", hint=listed, code="table_not_found", param="table")


def make_plan(table: TableInfo, text: Sequence[str] = (), title: str = "", key: Sequence[str] = ()) -> tuple[Plan, list[str]]:
    """The plan, and notices about columns that are left out. BadRequest or NotFound: a column is missing, or no key tells rows apart."""
    by_name = {column.name: column for column in table.columns}
    for name in (*text, *key, *_fields(title)):
        _must_exist(name, table, by_name)
    chosen = tuple(key) or (table.keys[0] if table.keys else ())
    if not chosen:
        raise BadRequest(
            f"{table.full_name} has no primary key (or unique index over columns that are never null) to tell its rows apart.",
            hint=f"Name such columns with --key, for example --key {table.columns[0].name if table.columns else 'id'}.",
            param="key",
        )
    for name in chosen:
        _must_exist(name, table, by_name)
        if by_name[name].category == "A":
            raise BadRequest(f"{name} is an array: it can't be a key.", hint="Name other columns with --key.", param="key")
    asked = {*text, *chosen, *_fields(title)}
    hidden = {column.name for column in table.columns if _SECRET.search(column.name) and column.name not in asked}
    open_columns = [column for column in table.columns if column.readable and column.name not in hidden]
    spoken = tuple(text) or tuple(column.name for column in open_columns if column.role == "text" and column.name not in chosen)
    rest = [column for column in open_columns if column.name not in spoken]
    facts = tuple(column.name for column in rest if column.role == "fact" or column.name in chosen)
    kept = tuple(column.name for column in rest if column.name not in facts and column.role in ("text", "attribute"))
    notices = [
        f"The column {column.name} ({column.type}) is left out: {_why_not(column, hidden)}."
        for column in table.columns
        if column.name not in (*spoken, *facts, *kept)
    ]
    if not title:
        named = next((name for wanted in _TITLES for name in spoken if name.lower() == wanted), None)
        title = f"{{{named}}}" if named else ""
    return Plan(table, chosen, spoken, facts, kept, title), notices


def _why_not(column: ColumnInfo, hidden: set[str]) -> str:
    if not column.readable:
        return "it may not be read"
    return "by its name it holds secrets (name it with --text to take it all the same)" if column.name in hidden else "it is not text"


def row_key(values: Sequence[str]) -> str:
    """The last part of a row's id. Marks that have a meaning in ids are escaped, so that no two keys look alike."""
    return ",".join(value.translate(_ESCAPES) for value in values)


def row_document(id: str, row_hash: str, values: Mapping[str, str | None], plan: Plan) -> Document | None:
    """A row's document; None where it says nothing beyond its key. All values come as PostgreSQL writes them."""
    categories = {column.name: column.category for column in plan.table.columns}
    said = {name: tidy(value).strip() for name, value in values.items() if value is not None and value.strip()}
    if not any(name in said for name in (*plan.text, *plan.facts) if name not in plan.key):
        return None
    if len(plan.text) == 1:
        blocks = list(paragraphs(said.get(plan.text[0], "")))
        blocks = [Block(block.text) for block in blocks]
    else:
        blocks = [Block(f"{name}: {said[name]}", kind="row") for name in plan.text if name in said]
    facts = "\n".join(f"{name}: {said[name]}" for name in plan.facts if name in said)
    if facts:
        blocks.append(Block(facts, kind="row"))
    kept = {name: _value(said[name], categories[name]) for name in (*plan.facts, *plan.attributes) if name in said}
    title = "".join(literal + said.get(name or "", "") for literal, name, _, _ in string.Formatter().parse(plan.title)).strip()
    key = row_key([values[name] or "" for name in plan.key])
    return Document(id, title or f"{plan.table.name} #{key}", tuple(blocks), attributes=kept, version=plan.signature + row_hash)


def _value(text: str, category: str) -> str | int | float | bool:
    if category == "B":
        return text == "true"
    if category == "N":
        try:
            number = float(text)
        except ValueError:  # money, oid aliases
            return text
        if not math.isfinite(number):
            return text
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else number
    return text


def _fields(template: str) -> list[str]:
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadRequest(
            f"The title {template!r} can't be understood: {error}.", hint='Write column names in braces: "{name} #{id}".', param="title"
        ) from None
    for _, name, format, conversion in parsed:
        if name is not None and (not name or format or conversion):
            raise BadRequest(
                f"The title {template!r} can't be understood.", hint='Write plain column names in braces: "{name} #{id}".', param="title"
            )
    return [name for _, name, _, _ in parsed if name]


def _must_exist(name: str, table: TableInfo, by_name: Mapping[str, ColumnInfo]) -> None:
    column = by_name.get(name)
    if column is not None and column.readable and column.type != "bytea":
        return
    if column is not None:
        why = "holds bytes, not text" if column.readable else "may not be read by this user"
        raise BadRequest(f"The column {name} of {table.full_name} {why}.", hint="Choose another.", param="text")
    near = difflib.get_close_matches(name, list(by_name), 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(by_name)[:20])}."
    raise NotFound(f"{table.full_name} has no column {name}.", hint=hint, code="column_not_found", param="text")
