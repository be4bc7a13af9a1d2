"""The rows behind a few documents, looked at again by their keys: whether they are as the store has them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.core.errors import OndolError
from app.core.records import Freshness
from ingest.documents import content_hash
from ingest.postgres.asked import plan_of
from ingest.postgres.database import Database, Patience
from ingest.postgres.dsn import Dsn
from ingest.postgres.plan import Plan
from ingest.postgres.row import key_values

PLAN_SECONDS = 300.0
# libpq knows no less than 2 s for a connection; whoever waits for the answer gives up long before.
PATIENCE = Patience(connect=2, statement=1.0, lock=0.5)


class Rows:
    """The rows of one database. Blocking, for one thread at a time; a connection is kept between two looks."""

    def __init__(self, dsn: Dsn, patience: Patience = PATIENCE) -> None:
        self._database = Database(dsn, patience)
        self._plans: dict[bytes, tuple[float, Plan]] = {}

    def look(self, spec: Mapping[str, Any], held: Mapping[str, str], rules: Sequence[str]) -> dict[str, Freshness]:
        """How the rows with these ids stand to the content hashes that the store holds of them. OndolError: nobody can say now.

        `rules`: how documents may have been made of rows; a row that is as it was under one of them is current.
        """
        name = msgspec.json.encode(spec)
        try:
            return self._look(self._plan(name, spec), held, rules)
        except OndolError:
            self._plans.pop(name, None)  # it may be the plan that no longer fits the table
            raise

    def _look(self, plan: Plan, held: Mapping[str, str], rules: Sequence[str]) -> dict[str, Freshness]:
        prefix = self._database.id_prefix(plan)
        keys = {id: key_values(id.removeprefix(prefix)) for id in held if id.startswith(prefix)}
        asked = {id: key for id, key in keys.items() if len(key) == len(plan.key)}
        found: dict[str, Freshness] = dict.fromkeys(asked, "deleted")
        silent = False
        for document in self._database.documents(plan, list(asked.values())):
            if document is None:
                silent = True
            elif document.id in asked:
                same = any(content_hash(document, rule) == held[document.id] for rule in rules)
                found[document.id] = "current" if same else "changed"
        if silent:  # a row that says nothing any more is still there, and which one it is nobody tells
            return {id: "changed" if freshness == "deleted" else freshness for id, freshness in found.items()}
        return found

    def _plan(self, name: bytes, spec: Mapping[str, Any]) -> Plan:
        """How the source's rows become documents, as its table was some minutes ago at most."""
        now = time.monotonic()
        until, plan = self._plans.get(name, (0.0, None))
        if plan is None or now > until:
            plan, _ = plan_of(self._database, spec)
            self._plans[name] = (now + PLAN_SECONDS, plan)
        return plan

    def close(self) -> None:
        """Let the connection go."""
        self._database.close()
