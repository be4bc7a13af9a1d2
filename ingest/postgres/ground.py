"""What must have stayed the same for transaction numbers to tell which rows changed (see `mark`).

Asked in the snapshot that reads the table. SELECT is enough; what a database won't tell (managed ones withhold some of it) is left
out, since the rest still covers it: a server that was restored was also started anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from ingest.postgres.mark import Mark, snapshot_bounds
from ingest.postgres.plan import Plan

# Changes when the server was started anew, recovered from a crash (its statistics begin again), or when values are written otherwise.
_ERA = sql("""
    SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), pg_postmaster_start_time(),
        (SELECT stats_reset FROM pg_stat_bgwriter), current_setting('TimeZone'), current_setting('lc_monetary'), version()
""")
_SNAPSHOT = sql("SELECT pg_current_snapshot()::text")
_SYSTEM = sql("SELECT system_identifier FROM pg_control_system()")
# A standby that was made the primary, and a restore to a point in time, go on under another timeline: numbers are given again there.
_TIMELINE = sql("""
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id::text FROM pg_control_checkpoint())
                ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END
""")
# Servers that speak like PostgreSQL, and an extension, whose xmin is another thing.
_FOREIGN = sql("""
    SELECT version() NOT LIKE 'PostgreSQL %' OR version() LIKE '%-YB-%' OR version() LIKE '%Greenplum%'
        OR EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
""")

# Of the tables with all their partitions: what they are, where they are stored, and what the text of their columns hangs on besides
# the rows (types, enum labels, expressions of virtual columns). `moved`: a table was rewritten or replaced since the snapshot.
_FORM = sql("""
    WITH RECURSIVE tree AS (
        SELECT unnest(CAST(:oids AS oid[])) AS oid
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid
    ), relations AS (
        SELECT c.oid, c.relkind, c.relfilenode, c.relrowsecurity, m.amname
        FROM tree t JOIN pg_class c ON c.oid = t.oid LEFT JOIN pg_am m ON m.oid = c.relam
    ), columns AS (
        SELECT a.attrelid, a.attnum, concat_ws(' ', a.attname, a.atttypid, a.atttypmod,
            CASE WHEN a.attgenerated::text = 'v' THEN pg_get_expr(d.adbin, d.adrelid) END,
            (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e
             WHERE e.enumtypid IN (t.oid, t.typbasetype, t.typelem))) AS made
        FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    )
    SELECT
        (SELECT string_agg(concat_ws(' ', oid, relkind, relfilenode, amname), ';' ORDER BY oid) FROM relations)
            || (SELECT coalesce(string_agg(concat_ws(' ', attrelid, attnum, made), ';' ORDER BY attrelid, attnum), '') FROM columns),
        (SELECT bool_and(relkind = 'p' OR (relkind = 'r' AND amname = 'heap')) FROM relations),
        (SELECT count(*) FROM relations WHERE oid = ANY(CAST(:oids AS oid[]))) < cardinality(CAST(:oids AS oid[]))
            OR EXISTS (SELECT FROM relations WHERE relkind = 'r' AND pg_relation_filenode(oid) IS DISTINCT FROM relfilenode)
            OR EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(CAST(:oids AS oid[]))
                       AND to_regclass(format('%I.%I', n.nspname, c.relname)) IS DISTINCT FROM c.oid),
        EXISTS (SELECT FROM relations WHERE relrowsecurity AND oid = ANY(CAST(:parents AS oid[])))
""")

_FIRST = (13,)
_KINDS = {"v": "it is a view", "m": "it is a materialized view", "f": "it is a foreign table", "q": "it is a query"}


@dataclass(frozen=True)
class Ground:
    """What a table stands on in one snapshot. `mark` None: its rows' transactions tell nothing, for the reason `why_not`.

    `moved`: it was rewritten since the snapshot, which may see nothing of it any more.
    """

    mark: Mark | None
    why_not: str = ""
    moved: bool = False


def ground(connection: Connection, plan: Plan, rule: str) -> Ground:
    """After the snapshot was taken and the tables were touched, so that they can't be rewritten from now on."""
    if why := _KINDS.get(plan.table.kind, ""):
        return Ground(None, why)
    if (connection.dialect.server_version_info or (0,)) < _FIRST:
        return Ground(None, "the database is older than PostgreSQL 13")
    parents = [parent.oid for parent in plan.parents]
    oids = sorted({plan.table.oid, *parents})
    form, plain, moved, hidden = connection.execute(_FORM, {"oids": oids, "parents": parents}).one()
    if moved:
        return Ground(None, "it was rewritten", moved=True)
    if not plain:
        return Ground(None, "a part of it is not stored as a plain table")
    if hidden:
        return Ground(None, "not every row of the tables that it points at may be seen")
    if plan.key not in plan.table.keys:
        return Ground(None, "its key is not one that the database keeps unique")
    foreign = _asked(connection, _FOREIGN)
    shown = _asked(connection, _SNAPSHOT) if foreign == "False" else ""
    if not shown:
        return Ground(None, "the database tells nothing of its transactions")
    xmin, xmax = snapshot_bounds(shown)
    era = [_asked(connection, statement) for statement in (_ERA, _SYSTEM, _TIMELINE)]
    return Ground(Mark(xmin, xmax, _digest("\0".join(era)), _digest(form), _digest(f"{rule}\0{plan.signature}")))


def _asked(connection: Connection, statement: TextClause) -> str:
    """The answer as text; empty where the database refuses, which ends nothing but this question."""
    try:
        with connection.begin_nested():
            return "\0".join(map(str, connection.execute(statement).one()))
    except DBAPIError:
        return ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
