"""Our connection among those of an Open WebUI: found again, mended, or added. Pure decisions over its settings.

Open WebUI keeps its OpenAI connections as three settings that belong together by position:

    openai.api_base_urls   ["https://api.example/v1", "http://127.0.0.1:11500/v1"]
    openai.api_keys        ["sk-...", "sk-ondol-..."]        may be shorter or longer than the addresses
    openai.api_configs     {"0": {...}, "1": {...}}          by position as text; by address in old versions

A running Open WebUI remembers for each model the position of its connection. So nothing is ever moved or removed here: a question
meant for one connection must not reach another. Ours stays where it is, or comes last; a second entry of ours is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.core.errors import BadRequest
from app.core.hosts import is_this_machine

PROVIDER = "llama.cpp"  # lets its admin page load, unload and download models through us
HEADERS = {
    "X-OWUI-Task": "{{TASK}}",
    "X-OWUI-Chat-Id": "{{CHAT_ID}}",
    "X-OWUI-Message-Id": "{{MESSAGE_ID}}",
    "X-OWUI-User-Id": "{{USER_ID}}",
}
FROM_DOCKER = "host.docker.internal"

ENABLE, URLS, KEYS, CONFIGS = "openai.enable", "openai.api_base_urls", "openai.api_keys", "openai.api_configs"
# Other places that hold an address and a key of an OpenAI server: (address, key).
FOLLOWERS = (
    ("rag.openai.api_base_url", "rag.openai.api_key"),
    ("audio.stt.openai.api_base_url", "audio.stt.openai.api_key"),
    ("audio.tts.openai.api_base_url", "audio.tts.openai.api_key"),
)
ROWS = (ENABLE, URLS, KEYS, CONFIGS, *(name for pair in FOLLOWERS for name in pair))


class Connection(msgspec.Struct, frozen=True):
    """What Open WebUI needs of us: `address` ends in /v1."""

    address: str
    key: str

    def __repr__(self) -> str:  # the key stays out of logs and tracebacks
        return f"Connection({self.address!r})"


class Change(msgspec.Struct, frozen=True):
    """The settings to write (none: all is right already), and for people: what stood there before, and what else asks outside."""

    rows: dict[str, Any]
    before: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


def settings(old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A connection's own settings; those that somebody added to ours (a prefix, a choice of models) stay."""
    kept = dict(old or {})
    headers = kept.get("headers")
    return {
        **kept,
        "enable": True,
        "auth_type": "bearer",
        "connection_type": "local",
        "provider": PROVIDER,
        "headers": {**(headers if isinstance(headers, dict) else {}), **HEADERS},
    }


class _Entry(msgspec.Struct, frozen=True):
    """One connection as Open WebUI sees it."""

    url: str
    key: str
    config: dict[str, Any]

    @property
    def on(self) -> bool:
        return bool(self.config.get("enable", True))


def from_docker(address: str) -> str:
    """An address of this machine as a container names it, where it has a network of its own."""
    parts = urlsplit(address)
    if not _on_this_machine(address):
        return address
    return parts._replace(netloc=f"{FROM_DOCKER}:{parts.port}" if parts.port else FROM_DOCKER).geturl()


def plan(rows: Mapping[str, Any], wanted: Connection) -> Change:
    """What must change in `rows`: names of settings -> values, missing where never set. BadRequest where they are no connections."""
    entries = _entries(rows)
    ours = [position for position, entry in enumerate(entries) if _is_ours(entry, wanted)]
    switched_on = [position for position in ours if entries[position].on]
    place = (switched_on or ours or [len(entries)])[0]
    mended = _mended(entries, ours, place, wanted)

    written: dict[str, Any] = {
        ENABLE: True,
        URLS: [entry.url for entry in mended],
        KEYS: [entry.key for entry in mended],
        CONFIGS: {
            **(rows.get(CONFIGS) or {}),
            **{str(position): mended[position].config for position in {*ours, place} if position == place or position in switched_on},
        },
    }
    former = {_plain(entries[position].url) for position in ours} | {_plain(wanted.address)}
    for address, key in FOLLOWERS:
        if isinstance(url := rows.get(address), str) and url and _plain(url) in former:
            written |= {address: wanted.address, key: wanted.key}
    changed = {name: value for name, value in written.items() if name not in rows or rows[name] != value}
    return Change(
        changed,
        before=tuple(entry.url for entry in entries),
        reasons=tuple(_reasons(rows, entries, mended, place, changed)),
        outside=tuple(entry.url for entry in mended if entry.on and not _on_this_machine(entry.url)),
    )


def _mended(entries: list[_Entry], ours: list[int], place: int, wanted: Connection) -> list[_Entry]:
    """The same entries in the same places, with ours as it should be and any other of ours switched off."""
    mended = [
        _Entry(entry.url, entry.key, {**entry.config, "enable": False}) if position in ours and entry.on else entry
        for position, entry in enumerate(entries)
    ]
    old = entries[place].config if place < len(entries) else {}
    mended[place : place + 1] = [_Entry(wanted.address, wanted.key, settings(old))]
    return mended


def _reasons(rows: Mapping[str, Any], entries: list[_Entry], mended: list[_Entry], place: int, changed: Mapping[str, Any]) -> Iterator[str]:
    """In words, without any key."""
    if place == len(entries):
        yield "added"
    else:
        old, new = entries[place], mended[place]
        if old.url != new.url:
            yield f"the address was {old.url}"
        if old.key != new.key:
            yield "the key was another one" if old.key else "there was no key"
        if old.config != new.config:
            yield "its settings lacked something"
        for position, entry in enumerate(entries):
            if position != place and entry.on and not mended[position].on:
                yield f"a second entry, {entry.url}, is now switched off"
    if not rows.get(ENABLE):
        yield "connections were switched off"
    for address, key in FOLLOWERS:
        if address in changed or key in changed:
            yield f"{address} went along"


def _is_ours(entry: _Entry, wanted: Connection) -> bool:
    """The same address; or our headers on this machine (another port). Our headers elsewhere are another machine's Ondol."""
    if _plain(entry.url) == _plain(wanted.address):
        return True
    headers = entry.config.get("headers")
    carries = isinstance(headers, dict) and all(headers.get(name) == value for name, value in HEADERS.items())
    return carries and _on_this_machine(entry.url)


def _on_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # brackets that don't close
        return False
    return host == FROM_DOCKER or (bool(host) and is_this_machine(host))


def _plain(url: str) -> str:
    """One spelling for one address: a name for loopback is the same as its number."""
    try:
        parts = urlsplit(url.strip().rstrip("/"))
        host = "127.0.0.1" if parts.hostname and is_this_machine(parts.hostname) else parts.hostname
        return f"{parts.scheme.lower()}://{host}:{parts.port or ''}{parts.path}"
    except ValueError:
        return url


def _entries(rows: Mapping[str, Any]) -> list[_Entry]:
    urls, keys, configs = _texts(rows, URLS), _texts(rows, KEYS), rows.get(CONFIGS) or {}
    if not isinstance(configs, dict):
        raise _unreadable(CONFIGS)
    keys = [*keys, *[""] * len(urls)]  # Open WebUI evens them out in the same way
    found = []
    for position, (url, key) in enumerate(zip(urls, keys, strict=False)):
        config = configs.get(str(position), configs.get(url))
        found.append(_Entry(url, key, config if isinstance(config, dict) else {}))
    return found


def _texts(rows: Mapping[str, Any], name: str) -> list[str]:
    value = rows.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _unreadable(name)
    return value


def _unreadable(name: str) -> BadRequest:
    return BadRequest(
        f"Open WebUI's setting {name} can't be read, so its connections can't be kept.",
        hint="Save them once on its page: Admin Settings, Connections. Then try again.",
    )
