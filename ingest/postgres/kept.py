"""The database of a source that the book knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.paths import Home
from ingest.postgres.dsn import Dsn
from ingest.secrets import Secrets


def kept_dsn(home: Home, spec: Mapping[str, Any]) -> Dsn:
    """Its address, with the password that is kept for it."""
    bare = Dsn(spec["dsn"])
    return Dsn(bare.parameters, Secrets(home.secrets, home.locks).get(bare.secret_name))
