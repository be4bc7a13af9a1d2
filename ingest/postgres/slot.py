"""A logical slot of a database and the publication that feeds it: made, read, moved on and dropped by plain SQL.

A slot keeps the database's WAL until it is moved on, so the book must know its name before it is made. Reading it (`peek`)
changes nothing: only `advance` does, after the book's commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from app.core.errors import Busy, Deadline, OndolError, UpstreamError
from ingest.postgres.connecting import CONNECT_SECONDS, connect
from ingest.postgres.dsn import Dsn, query_fault
from ingest.postgres.pgoutput import Changes, Key, Unreadable, position_text, settled
from ingest.postgres.slot_facts import REFUSED, Facts, Memory, facts_of, publish, too_old

SHORT_SECONDS = 10
MAKE_SECONDS = 60
READ_SECONDS = 600
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 30.0
UNREADABLE = "slot_unreadable"
_PAUSE = 0.05

_FACTS = """
WITH wanted (schema, name) AS (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[]))
SELECT current_setting('wal_level') AS wal_level,
       pg_is_in_recovery() AS standby,
       CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_flush_lsn() - '0/0' END::bigint AS now,
       coalesce((SELECT CASE WHEN setting = '-1' THEN -1 ELSE pg_size_bytes(setting || unit) END
                 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), -1) AS wal_limit,
       (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
           OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(oid, 'member')) AS may_replicate,
       has_database_privilege(current_database(), 'CREATE') AND NOT EXISTS (
           SELECT FROM pg_class o JOIN pg_namespace m ON m.oid = o.relnamespace JOIN wanted w ON (w.schema, w.name) = (m.nspname, o.relname)
           WHERE NOT pg_has_role(o.relowner, 'USAGE')) AS may_publish,
       c.oid::bigint AS oid, coalesce(c.relkind::text, '') AS kind, coalesce(c.relpersistence::text, '') AS persistence,
       NOT EXISTS (SELECT FROM wanted w WHERE NOT EXISTS (
           SELECT FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
           WHERE t.pubname = %(publication)s AND (t.schemaname, t.tablename) = (w.schema, w.name)
               AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)) AS published,
       EXISTS (SELECT FROM pg_publication WHERE pubname = %(publication)s) AS publication,
       s.slot_name IS NOT NULL AS slot, coalesce(s.wal_status, '') AS wal_status, s.safe_wal_size AS safe_bytes,
       coalesce(s.confirmed_flush_lsn - '0/0', 0)::bigint AS confirmed, coalesce(s.restart_lsn - '0/0', 0)::bigint AS kept_from,
       coalesce(s.active, false) AS active
FROM (SELECT) AS one
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
    ON n.nspname = (%(schemas)s::text[])[1] AND c.relname = (%(names)s::text[])[1]
LEFT JOIN pg_replication_slots s ON s.slot_name = %(slot)s AND s.database = current_database() AND s.plugin = 'pgoutput'
"""

# What the log tells of old rows: of the tables themselves, or of each of their partitions.
_IDENTITIES = """
WITH wanted AS (SELECT schema, name, at = 1 AS own
                FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS w (schema, name, at))
SELECT n.nspname::text, c.relname::text, c.relreplident::text,
       (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END),
       bool_or(w.own)
FROM wanted w
JOIN pg_namespace m ON m.nspname = w.schema
JOIN pg_class r ON r.relnamespace = m.oid AND r.relname = w.name
JOIN pg_class c ON c.relkind = 'r' AND (c.oid = r.oid OR r.relkind = 'p' AND c.oid IN (SELECT relid FROM pg_partition_tree(r.oid)))
JOIN pg_namespace n ON n.oid = c.relnamespace
GROUP BY c.oid, n.nspname, c.relname, c.relreplident
ORDER BY 5 DESC, 1, 2
"""

# Keys come from the log as its own session writes them: in the same form on every machine.
_SESSION = "SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1"


class Slot:
    """The slot `name` over one table, and its publication. Blocking; errors are `OndolError`s without the password."""

    def __init__(self, dsn: Dsn, memory: Memory, *, seconds: int = CONNECT_SECONDS) -> None:
        self.dsn, self._memory, self.name, self._seconds = dsn, memory, memory.name, seconds
        self._connection = connect(dsn, seconds=seconds, autocommit=True)
        self._used = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    @contextmanager
    def _statement(self, seconds: float) -> Iterator[psycopg.Connection[Any]]:
        """A transaction of its own, with limits that hold behind a pooler too."""
        if self._connection.closed or time.monotonic() - self._used > IDLE_SECONDS:
            # Between two statements a table may have been embedded for hours: nobody says that the line still stands.
            self._connection.close()
            self._connection = connect(self.dsn, seconds=self._seconds, autocommit=True)
        try:
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}".encode())
                self._connection.execute(_SESSION)
                yield self._connection
            self._used = time.monotonic()
        except psycopg.Error as error:
            raise _fault(error, self.dsn, self.name) from None

    def facts(self, seconds: float = SHORT_SECONDS) -> Facts:
        """What the database says of the table and of this slot."""
        if (old := too_old(self._connection.info.server_version)) is not None:
            raise old
        schemas, names = map(list, zip(*self._memory.tables, strict=True))
        named = {"publication": self._memory.publication, "schemas": schemas, "names": names, "slot": self.name}
        with self._statement(seconds) as connection:
            row = connection.cursor(row_factory=dict_row).execute(_FACTS, named).fetchone()
            assert row is not None, "one row stands on the left"
            identities = connection.execute(_IDENTITIES, named).fetchall()
        return facts_of(row, identities)

    def make(self, facts: Facts) -> int:
        """The slot anew in place of an older one, its publication first: where it begins to tell.

        Waits for the transactions that are open in the database: Deadline where one of them stays open.
        """
        self.drop()
        if not facts.published:
            with self._statement(MAKE_SECONDS) as connection:
                connection.execute(publish(self._memory, known=facts.publication))
        try:
            with self._statement(MAKE_SECONDS) as connection:
                row = connection.execute(
                    "SELECT lsn - '0/0' FROM pg_create_logical_replication_slot(%s, 'pgoutput')", [self.name]
                ).fetchone()
        except Deadline:
            raise Deadline(
                f"The slot {self.name} waits for a transaction that stays open in {self.dsn.connection}.",
                hint="Sync again when it has ended (pg_stat_activity shows it).",
                code="slot_waits",
            ) from None
        assert row is not None
        return int(row[0])

    def peek(self, columns: Sequence[str], up_to: int, most: int) -> Changes | None:
        """The keys of all that changed up to a position; None where that is more than `most` messages. UpstreamError: it can't be read."""
        changes = Changes(self._memory.tables[0], tuple(columns))
        query = "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, NULL, 'proto_version', '1', 'publication_names', %s)"
        publication = Identifier(self._memory.publication).as_string(self._connection)
        try:
            with self._statement(READ_SECONDS) as connection:
                for (message,) in connection.cursor().stream(query, [self.name, position_text(up_to), publication], binary=True):
                    changes.take(message)
                    if changes.messages > most:
                        return None
        except Unreadable as error:
            raise UpstreamError(f"The slot {self.name} can't be read: {error}.", code=UNREADABLE) from None
        return changes

    def wait_until_seen(self, changes: Changes) -> bool:
        """Whether whoever reads from now on sees all of these transactions; waited for some seconds."""
        until = time.monotonic() + SETTLE_SECONDS
        while changes.transactions:
            with self._statement(SHORT_SECONDS) as connection:
                row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
            assert row is not None
            if settled(changes.transactions, row[0]):
                break
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
        return True

    def advance(self, to: int) -> None:
        """All up to here is in the book: the database need not keep it."""
        with self._statement(READ_SECONDS) as connection:
            connection.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [self.name, position_text(to)])

    def drop(self) -> bool:
        """Whether the slot was there to be dropped."""
        query = (
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()"
        )
        with self._statement(SHORT_SECONDS) as connection:
            return connection.execute(query, [self.name]).fetchone() is not None

    def drop_publication(self) -> None:
        """Take the publication away, unless another slot of Ondol's may read it. UpstreamError: it is somebody else's."""
        with self._statement(SHORT_SECONDS) as connection:
            others = "SELECT FROM pg_replication_slots WHERE slot_name LIKE 'ondol\\_%' AND database = current_database()"
            if connection.execute(others).fetchone() is None:
                connection.execute(SQL("DROP PUBLICATION IF EXISTS {}").format(Identifier(self._memory.publication)))

    def canonical(self, oid: int, columns: Sequence[str], keys: Sequence[Key]) -> list[Key]:
        """Keys as the database writes them with `::text`, as ids have them: the log writes true as t, and blanks behind char(n)."""
        with self._statement(READ_SECONDS) as connection:
            query = "SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = %s AND attname = ANY (%s)"
            types = dict(connection.execute(query, [oid, list(columns)]).fetchall())
            given = SQL(", ").join(SQL("%s::") + SQL(f"{types[name]}[]") for name in columns)  # as the catalogue spells them
            names = [Identifier(f"k{at}") for at in range(len(columns))]
            texts = SQL(", ").join(SQL("{}::text").format(name) for name in names)
            select = SQL("SELECT DISTINCT {} FROM unnest({}) AS given ({})").format(texts, given, SQL(", ").join(names))
            return [tuple(row) for row in connection.execute(select, [list(part) for part in zip(*keys, strict=True)]).fetchall()]


def _fault(error: psycopg.Error, dsn: Dsn, slot: str) -> OndolError:
    said = dsn.hide(" ".join(str(error.diag.message_primary or error).split()))
    match error.sqlstate:
        case "55006":
            return Busy(f"The slot {slot} at {dsn.connection} is being read by another connection.", hint="Try again in a minute.")
        case "53400":
            hint = "Its owner allows more with: ALTER SYSTEM SET max_replication_slots = 20; (and a restart of PostgreSQL)"
            return UpstreamError(f"{dsn.connection} has no free replication slot.", hint=hint, code=REFUSED)
        case "42501":
            hint = f'The database\'s owner must run: ALTER ROLE "{dsn.user}" REPLICATION;'
            return UpstreamError(f"{dsn.user} may not use the slot {slot}: {said}.", hint=hint, code=REFUSED)
        case "55000" | "42704" | "58P01":
            return UpstreamError(f"The slot {slot} can't be read: {said}.", code=UNREADABLE)
    return query_fault(error, dsn, f"the slot {slot}")
