"""How a table becomes documents, decided without a database: which columns speak, what tells rows apart, whose names come with them."""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from app.core.errors import BadRequest, NotFound

_TITLES = ("title", "name", "subject", "full_name", "label", "제목", "이름", "성명", "명칭", "상품명", "제품명", "고객명", "회사명")
_PLACES = ("city", "town", "department", "branch", "도시", "지역", "부서", "지점")

_SECRET = re.compile(r"passw(or)?d|(^|_)pwd|secret|token|api_?key|비밀번호|주민등록번호", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnInfo:
    """A column as the catalogue tells it. `category` is pg_type.typcategory, `type` as format_type writes it.

    `element`: the category of an array's elements. `base`: the type below a domain.
    """

    name: str
    type: str
    category: str
    not_null: bool
    readable: bool = True
    element: str = ""
    base: str = ""

    @property
    def bytes(self) -> bool:
        """Whether it holds bytes, or arrays of them."""
        return "bytea" in (self.type, self.base) or self.type.startswith("bytea[") or self.base.startswith("bytea[")

    @property
    def role(self) -> str:
        """`text` (prose), `fact` (said in the text and kept as an attribute), `attribute` (kept only), `unread`."""
        if self.bytes:
            return "unread"
        if self.category == "S":
            return "text"
        if self.category in "NDTBEIRA" or {"json", "jsonb"} & {self.type, self.base}:
            return "fact"
        return "attribute" if "uuid" in (self.type, self.base) else "unread"


@dataclass(frozen=True)
class Parent:
    """A table that a foreign key of one column points at. `column` is the child's, `key` the parent's, `label` what names the parent."""

    column: str
    oid: int
    schema: str
    name: str
    key: str
    label: tuple[str, ...]

    @property
    def called(self) -> str:
        """What the label is called in the child's text: customer_id -> customer."""
        bare = re.sub(r"(_?(id|no|key|code|fk)|번호|코드)$", "", self.column, flags=re.IGNORECASE)
        return bare if bare and bare != self.column else self.name


@dataclass(frozen=True)
class TableInfo:
    """A table, a view, or a query of the owner's. `keys`: its unique indexes over columns that are never null, the primary key first.

    `kind` is pg_class.relkind, or q for a query, whose SELECT is `query`.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[ColumnInfo, ...]
    keys: tuple[tuple[str, ...], ...]
    kind: str = "r"
    parents: tuple[Parent, ...] = ()
    query: str = ""

    @property
    def full_name(self) -> str:
        """`schema.table`, or `query:name`."""
        return f"query:{self.name}" if self.query else f"{self.schema}.{self.name}"

    @cached_property
    def by_name(self) -> Mapping[str, ColumnInfo]:
        """Its columns, by their names."""
        return {column.name: column for column in self.columns}


class Wishes(msgspec.Struct, frozen=True):
    """What the owner asks for beyond the table itself; empty: as it comes. Names of columns, and templates like "{name} #{id}".

    `metadata`: columns that are kept as attributes and not said. `access`: a column whose values say who may see the row.
    `parents`: whether the names of what foreign keys point at are said.
    """

    text: tuple[str, ...] = ()
    title: str = ""
    key: tuple[str, ...] = ()
    url: str = ""
    metadata: tuple[str, ...] = ()
    access: str = ""
    parents: bool = True


@dataclass(frozen=True)
class Plan:
    """How a table becomes documents: names of columns."""

    table: TableInfo
    key: tuple[str, ...]
    text: tuple[str, ...]
    facts: tuple[str, ...]
    attributes: tuple[str, ...]
    title: str
    url: str = ""
    access: str = ""
    parents: tuple[Parent, ...] = ()

    @cached_property
    def signature(self) -> str:
        """How this plan makes text of a row. With the row's hash behind it, it stands for the content of the row's document."""
        said = [*self.text, "", *self.facts, "", *self.attributes, "", self.title, ""]
        if self.url or self.access or self.parents:
            said += [self.url, self.access, *(f"{parent.column}>{parent.called}:{','.join(parent.label)}" for parent in self.parents), ""]
        return "\0".join(said)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All that are read, in the table's order."""
        used = {*self.key, *self.text, *self.facts, *self.attributes, *fields(self.title), *fields(self.url), self.access}
        used |= {parent.column for parent in self.parents}
        return tuple(column.name for column in self.table.columns if column.name in used)


def label_columns(table: str, prose: Sequence[str]) -> tuple[str, ...]:
    """Which of a table's columns of prose name its rows: a title, or what the table is called, or a first and last name; then a place."""
    lower = {name.lower(): name for name in prose if not _SECRET.search(name)}
    singular = table.lower().removesuffix("s")
    names = [*_TITLES, table.lower(), singular, f"{table.lower()}_name", f"{singular}_name"]
    named = [lower[name] for name in names if name in lower][:1] or [lower[name] for name in ("first_name", "last_name") if name in lower]
    if not named:
        return ()
    return (*named, *[lower[name] for name in _PLACES if name in lower and lower[name] not in named][:1])


def make_plan(table: TableInfo, wishes: Wishes | None = None) -> tuple[Plan, list[str]]:
    """The plan, and notices about columns that are left out. BadRequest or NotFound: a column is missing, or no key tells rows apart."""
    asked_for = wishes or Wishes()
    by_name = table.by_name
    templates = (*fields(asked_for.title), *fields(asked_for.url, "url"))
    for name in (*asked_for.text, *asked_for.key, *templates, *asked_for.metadata, *([asked_for.access] if asked_for.access else ())):
        _must_exist(name, table, by_name)
    chosen = _key(table, asked_for, by_name)
    asked = {*asked_for.text, *chosen, *templates, *asked_for.metadata, asked_for.access}
    hidden = {column.name for column in table.columns if _SECRET.search(column.name) and column.name not in asked}
    open_columns = [column for column in table.columns if column.readable and column.name not in hidden]
    silent = {*asked_for.metadata, asked_for.access} - {*asked_for.text}
    spoken = asked_for.text or tuple(
        column.name for column in open_columns if column.role == "text" and column.name not in chosen and column.name not in silent
    )
    rest = [column for column in open_columns if column.name not in spoken and column.name != asked_for.access]
    facts = tuple(column.name for column in rest if column.name not in silent and (column.role == "fact" or column.name in chosen))
    kept = tuple(
        column.name for column in rest if column.name not in facts and (column.role in ("text", "attribute") or column.name in silent)
    )
    notices = [
        f"The column {column.name} ({column.type}) is left out: {_why_not(column, hidden)}."
        for column in table.columns
        if column.name not in (*spoken, *facts, *kept, asked_for.access)
    ]
    title = asked_for.title
    if not title:
        named = next((name for wanted in _TITLES for name in spoken if name.lower() == wanted), None)
        title = f"{{{named}}}" if named else ""
    parents = tuple(one for one in table.parents if one.column in {*facts, *spoken, *kept}) if asked_for.parents else ()
    return Plan(table, chosen, spoken, facts, kept, title, asked_for.url, asked_for.access, parents), notices


def _key(table: TableInfo, wishes: Wishes, by_name: Mapping[str, ColumnInfo]) -> tuple[str, ...]:
    usable = [key for key in table.keys if not any(by_name[name].bytes or by_name[name].category == "A" for name in key)]
    chosen = wishes.key or (usable[0] if usable else ())
    if not chosen and table.keys:
        key = ", ".join(table.keys[0])
        raise BadRequest(
            f"The key {key} of {table.full_name} is of bytes or arrays, which can't name a row.",
            hint="Name other columns with --key, or give a query that writes it as text: SELECT encode(id, 'hex') AS key, ...",
            param="key",
            code="no_key",
        )
    if not chosen:
        what = "The query" if table.query else table.full_name
        without = "needs columns" if table.query else "has no primary key (or unique index over columns that are never null)"
        raise BadRequest(
            f"{what} {without} to tell its rows apart.",
            hint=f"Name such columns with --key, for example --key {table.columns[0].name if table.columns else 'id'}.",
            param="key",
            code="no_key",
        )
    for name in chosen:
        _must_exist(name, table, by_name)
        if by_name[name].category == "A":
            raise BadRequest(f"{name} is an array: it can't be a key.", hint="Name other columns with --key.", param="key")
    return chosen


def _why_not(column: ColumnInfo, hidden: set[str]) -> str:
    if not column.readable:
        return "it may not be read"
    if column.name in hidden:
        return "by its name it holds secrets (name it with --text to take it all the same)"
    return "it holds bytes" if column.bytes else "its type is not read by itself (name it with --text to take it all the same)"


def fields(template: str, what: str = "title") -> list[str]:
    """The columns that a template names. BadRequest: it is no template."""
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadRequest(
            f"The {what} {template!r} can't be understood: {error}.", hint='Write column names in braces: "{name} #{id}".', param=what
        ) from None
    for _, name, format, conversion in parsed:
        if name is not None and (not name or format or conversion):
            raise BadRequest(
                f"The {what} {template!r} can't be understood.", hint='Write plain column names in braces: "{name} #{id}".', param=what
            )
    return [name for _, name, _, _ in parsed if name]


def _must_exist(name: str, table: TableInfo, by_name: Mapping[str, ColumnInfo]) -> None:
    column = by_name.get(name)
    if column is not None and column.readable and not column.bytes:
        return
    if column is not None:
        why = "holds bytes, not text" if column.readable else "may not be read by this user"
        raise BadRequest(f"The column {name} of {table.full_name} {why}.", hint="Choose another.", param="text")
    near = difflib.get_close_matches(name, list(by_name), 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(by_name)[:20])}."
    raise NotFound(f"{table.full_name} has no column {name}.", hint=hint, code="column_not_found", param="text")
