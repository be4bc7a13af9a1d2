"""Which hosts the configuration lets Ondol reach, and who names each. Reads settings and the book; asks no network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.cli.offline.report import Check
from app.core.errors import OndolError
from app.core.hosts import is_this_machine, named_in, split
from app.core.paths import Home
from app.core.settings import Plug, Settings

ANY = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def checks(home: Home, settings: Settings) -> list[Check]:
    """The setting with its place, each backend, each source, each ingested database."""
    offline = settings.network == "offline"
    place = settings.where("network")
    found = [
        Check(
            "the network setting",
            True,
            f"`network: {settings.network}`, set by {place}. "
            + (
                "This machine and configured data sources alone."
                if offline
                else "This machine, the hosts below, and a model's own host while its owner has asked for the download."
            ),
        )
    ]
    found.append(Check("who may call", True, _listening(settings)))
    found += [_backend(name, plug, offline, settings.where(f"backends.{name}")) for name, plug in settings.backends.items()]
    found += [Check(f"source `{name}`", True, _reached(list(named_in(plug.config)))) for name, plug in settings.sources.items()]
    if not settings.backends and not settings.sources:
        found.append(Check("backends and sources", True, "none is configured: this machine's models and stores alone"))
    return [*found, *_databases(home), *_buckets(home)]


def addresses(settings: Settings) -> tuple[list[Any], list[Any]]:
    """(backends, sources) as `egress.policy_for` takes them, an address that a backend has by itself among them."""
    return [[plug.config, _own_address(name, plug)] for name, plug in settings.backends.items()], [
        plug.config for plug in settings.sources.values()
    ]


def _listening(settings: Settings) -> str:
    host = settings.server.host
    if is_this_machine(host) and host not in ANY:
        return f"the server listens on {host}: this machine alone"
    place = settings.where("server.host")
    return f"the server listens on {host} ({place}): other machines may call it with the key, and get answers"


def _backend(name: str, plug: Plug, offline: bool, where: str) -> Check:
    places = sorted({*named_in(plug.config), *named_in(_own_address(name, plug))})
    far = [place for place in places if not is_this_machine(split(place)[0])]
    if offline and far:
        return Check(f"backend `{name}`", False, f"asks {', '.join(far)} ({where})", "Remove it: the server refuses to start with it.")
    return Check(f"backend `{name}`", True, _reached(places))


def _own_address(name: str, plug: Plug) -> str:
    """Where a backend of OpenAI's kind goes when its configuration doesn't say."""
    if plug.type != "openai":
        return ""
    from app.backends.openai import OpenAIBackend

    return OpenAIBackend(name, plug.config).address


def _reached(places: list[str]) -> str:
    far = [place for place in places if not is_this_machine(split(place)[0])]
    return f"may reach {', '.join(far)}" if far else "this machine alone"


def _databases(home: Home) -> Iterator[Check]:
    """Databases that were ingested: syncs and the server read them again, through PostgreSQL's own library."""
    try:
        known = _ingested(home)
    except OndolError as error:
        yield Check("ingested databases", False, f"the book can't be read: {error.message}", error.hint)
        return
    for store, name, dsn in known:
        yield Check(f"database `{name}` (store `{store}`)", True, database(dsn, os.environ))


def _buckets(home: Home) -> Iterator[Check]:
    """Buckets that were ingested: syncs read them again. A book that can't be read is told with the databases."""
    with contextlib.suppress(OndolError):
        for store, kind, name, _ in _sources(home):
            if kind == "bucket":
                yield Check(f"bucket `{name}` (store `{store}`)", True, "`ondol ingest` reaches it: you named it when it was ingested")


def database_hosts(home: Home) -> tuple[str, ...]:
    """The other machines that ingested databases lie on; none where the book can't be read, which `checks` tells."""
    with contextlib.suppress(OndolError):
        return tuple(sorted({host for _, _, dsn in _ingested(home) for host in _far(_hosts(dsn, os.environ))}))
    return ()


def _ingested(home: Home) -> list[tuple[str, str, dict[str, str]]]:
    """(store, name, connection parameters) of every database in the book."""
    return [(store, name, spec["dsn"]) for store, kind, name, spec in _sources(home) if kind == "postgres"]


def _sources(home: Home) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(store, kind, name, spec) of every source in the book."""
    if not home.book.exists():
        return []
    from ingest.book import queries
    from ingest.book.engine import open_book

    with open_book(home.book) as book, book.read() as connection:
        return queries.known_sources(connection)


def database(dsn: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Where a database of these connection parameters lies. Pure."""
    hosts = _hosts(dsn, environ)
    service = dsn.get("service") or environ.get("PGSERVICE") or ""
    if far := _far(hosts):
        return f"Ondol reaches {', '.join(far)}: you named it when it was ingested"
    if not hosts and service:
        return f"Ondol reaches what PostgreSQL's service `{service}` names"
    return "this machine alone (loopback or a local socket)"


def _hosts(dsn: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    # What a connection string leaves out, PostgreSQL's library takes from the environment.
    service = dsn.get("service") or environ.get("PGSERVICE") or ""
    named = dsn.get("hostaddr") or dsn.get("host") or ("" if service else environ.get("PGHOSTADDR") or environ.get("PGHOST") or "")
    return [host for host in named.split(",") if host]


def _far(hosts: Iterable[str]) -> list[str]:
    return [host for host in hosts if not host.startswith(("/", "@")) and not is_this_machine(host)]
