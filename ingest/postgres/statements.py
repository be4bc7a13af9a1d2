"""A plan as SQL: a row's key, hash, values and labels, and whether it can have changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, FromClause, Select, Text, and_, bindparam, case, cast, column, func, literal, or_, select, table
from sqlalchemy import text as sql
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import ARRAY, UserDefinedType

from ingest.postgres.catalogue import quoted
from ingest.postgres.plan import Parent, Plan

Query = Select[*tuple[Any, ...]]
_ROUND = (1 << 32) - 1


class _Named(UserDefinedType[Any]):
    """A type by its PostgreSQL name, for casts to whatever the key's columns are."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


class Statements:
    """Of one plan. The rows of parents are joined, so that their names are read, and hashed, with the row."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._alone = base = self._base()
        self._columns: dict[str, ColumnElement[Any]] = {name: base.c[name] for name in plan.columns}
        self._keys = [cast(self._columns[name], Text) for name in plan.key]
        self._ages = [base.c.xmin] if plan.table.kind in "rp" else []
        self._lost: list[ColumnElement[bool]] = []
        self._labels: list[ColumnElement[Any]] = []
        source: FromClause = base
        for number, parent in enumerate(plan.parents):
            joined = _parent(parent, number)
            child = self._columns[parent.column]
            source = source.outerjoin(joined, child == joined.c[parent.key])
            words = [cast(joined.c[name], Text) for name in parent.label]
            self._labels.append(func.nullif(func.concat_ws(", ", *words), ""))
            self._ages.append(joined.c.xmin)
            # A parent that has gone although its child still names it leaves no transaction behind.
            self._lost.append(and_(child.is_not(None), joined.c[parent.key].is_(None)))
        self.source = source
        self._hash = func.md5(cast(func.row(*(self._columns[name] for name in plan.columns), *self._labels), Text))

    def _base(self) -> Any:
        plan = self._plan
        names: list[Any] = [column(name) for name in plan.columns]
        if plan.table.query:
            return sql(f"\n{quoted(plan.table.query)}\n").columns(*names).subquery("asked")
        hidden: list[Any] = [column("xmin")] if plan.table.kind in "rp" else []
        return table(plan.table.name, *names, *hidden, schema=plan.table.schema)

    def scan(self, reach: int | None, xmax: int, *, recent_alone: bool) -> Query:
        """Key, hash. The hash is "" for a row that says nothing, None for one that can't have changed within `reach` (None: hash all)."""
        said = [self._columns[name] for name in (*self._plan.text, *self._plan.facts) if name not in self._plan.key]
        silent = and_(*(value.is_(None) for value in said)) if said else literal(True)
        cases: list[tuple[ColumnElement[bool], Any]] = [(silent, literal(""))]
        if reach is None:
            return select(*self._keys, case(*cases, else_=self._hash)).select_from(self.source)
        recent = self._recent(reach, xmax)
        if recent_alone:
            return select(*self._keys, case(*cases, else_=self._hash)).select_from(self.source).where(recent)
        return select(*self._keys, case(*cases, (recent, self._hash))).select_from(self.source)

    def _recent(self, reach: int, xmax: int) -> ColumnElement[bool]:
        """Written at most `reach` transactions before the snapshot's last one; xmin's 32 bits are counted backwards from there."""
        last = bindparam("last", xmax - 1, BigInteger)
        far = bindparam("reach", reach, BigInteger)
        round_ = bindparam("round", _ROUND, BigInteger)
        tests = [(last - cast(cast(age, Text), BigInteger)).op("&", precedence=5)(round_) <= far for age in self._ages]
        return or_(*tests, *self._lost)

    def digest(self) -> Query:
        """Count and digest of all keys, in whatever order: two of them are equal when the keys are."""
        key: ColumnElement[Any] = self._keys[0] if len(self._keys) == 1 else cast(func.row(*self._keys), Text)
        sums = [cast(func.sum(func.hashtextextended(key, seed)), Text) for seed in (0, 1)]
        return select(func.count(), *sums).select_from(self._alone)

    def count(self) -> Query:
        """How many rows."""
        return select(func.count()).select_from(self._alone)

    def touch(self) -> Query:
        """No row: it takes the locks that keep the tables from being rewritten while they are read."""
        return select(literal(1)).select_from(self.source).limit(0)

    def doubled(self) -> Query:
        """A key that two rows have, should there be one."""
        told = and_(*(self._columns[name].is_not(None) for name in self._plan.key))
        return select(*self._keys).select_from(self.source).where(told).group_by(*self._keys).having(func.count() > 1).limit(1)

    def rows(self) -> Query:
        """Hash, key, labels, values (arrays as JSON of texts) of rows by their keys: `key0`, `key1`, ... are arrays of texts."""
        types = {info.name: info.type for info in self._plan.table.columns}
        given = [cast(bindparam(f"key{at}"), _Named(f"{types[name]}[]")) for at, name in enumerate(self._plan.key)]
        wanted = func.unnest(*given).table_valued(*(f"k{at}" for at in range(len(given))), name="wanted").render_derived()
        same = and_(*(self._columns[name] == wanted.c[f"k{at}"] for at, name in enumerate(self._plan.key)))
        return self._said().select_from(self.source.join(wanted, same))

    def example(self) -> Query:
        """As `rows`, of any one that says something."""
        said = [self._columns[name] for name in (*self._plan.text, *self._plan.facts) if name not in self._plan.key]
        told = [self._columns[name].is_not(None) for name in self._plan.key]
        return self._said().select_from(self.source).where(and_(or_(*(value.is_not(None) for value in said)), *told)).limit(1)

    def _said(self) -> Query:
        infos = {info.name: info for info in self._plan.table.columns}
        values = [
            cast(func.to_json(cast(value, ARRAY(Text))), Text) if infos[name].category == "A" else cast(value, Text)
            for name, value in self._columns.items()
        ]
        return select(self._hash, *self._keys, *self._labels, *values)


def _parent(parent: Parent, number: int) -> Any:
    names: list[Any] = [column(name) for name in dict.fromkeys((parent.key, *parent.label, "xmin"))]
    return table(parent.name, *names, schema=parent.schema).alias(f"parent{number}")
