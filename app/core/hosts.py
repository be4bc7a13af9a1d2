"""Names of machines as people write them: cut out of settings, compared, and told apart from this machine.

A *place* is `host` or `host:port`; `*.example.org` stands for every name below example.org. IPv6 addresses stand in brackets
where a port follows. Pure functions: nothing here asks the network.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

ADDRESS_KEYS = frozenset({"host", "hosts", "hostname", "server", "servers", "address", "endpoint", "node", "nodes"})
_URL = re.compile(r"^[a-zA-Z][\w+.-]*://(?P<authority>[^/?#]*)")
_KEY_VALUE = re.compile(r"(?:^|\s)(?P<key>host|hostaddr|port)\s*=\s*(?P<value>'[^']*'|\S+)")
_PLACE = re.compile(r"^(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\s]*))(?::(?P<port>\d{1,5}))?$")


@functools.lru_cache(4096)
def normal(host: str) -> str:
    """One spelling for one machine: lower case, no brackets, zone or last dot, IPv4 out of IPv6, IDNA for Korean names."""
    host = host.strip().strip("[]").rstrip(".").lower().partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return host if host.isascii() else host.encode("idna").decode("ascii")
        except UnicodeError:
            return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@functools.lru_cache(4096)
def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by what it is called: loopback in all its forms, or the unspecified address."""
    host = normal(host)
    if host in ("", "localhost") or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@functools.lru_cache(4096)
def split(place: str) -> tuple[str, int | None]:
    """`host:port` in its two parts, the host normalised; None where no port is named. ValueError where it is no place."""
    if place.count(":") > 1 and not place.startswith("["):
        return normal(place), None  # a bare IPv6 address
    found = _PLACE.match(place.strip())
    if found is None:
        raise ValueError(f"{place!r} is no host or host:port")
    return normal(found["six"] or found["host"] or ""), int(found["port"]) if found["port"] else None


def matches(place: str, host: str, port: int | None) -> bool:
    """Whether `place` covers a host (already `normal`) and port; None stands for any port."""
    named, named_port = split(place)
    if named_port is not None and port is not None and named_port != port:
        return False
    return host == named or (named.startswith("*.") and host.endswith(named[1:]))


def named_in(value: Any, key: str = "") -> Iterator[str]:
    """The places that a piece of configuration names: URLs, database DSNs, and values under keys like `host`.

    >>> list(named_in({"dsn": "postgresql://me@db.example:5433/x", "host": "localhost:9200"}))
    ['db.example:5433', 'localhost:9200']
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            inner = f"{inner}:{value['port']}" if name == "host" and _bare(inner) and value.get("port") else inner
            yield from named_in(inner, str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from named_in(inner, key)
    elif isinstance(value, str):
        yield from _in_text(value, key)


def _bare(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "/" not in value and ":" not in value


def _in_text(text: str, key: str) -> Iterator[str]:
    if (url := _URL.match(text)) is not None:
        yield from (place for place in url["authority"].rpartition("@")[2].split(",") if place and _PLACE.match(place))
    elif pairs := {found["key"]: found["value"].strip("'") for found in _KEY_VALUE.finditer(text)}:
        for name in ("host", "hostaddr"):
            for place in (pairs.get(name) or "").split(","):
                if place and _PLACE.match(place) and not place.startswith("/"):  # a slash begins the folder of a unix socket
                    yield place
    elif key in ADDRESS_KEYS and text and _PLACE.match(text):
        yield text
