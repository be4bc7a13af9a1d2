"""Text that may leave this computer: without keys, passwords, addresses of databases, and words of chats and documents. Pure.

What the log's own redaction knows is hidden in its way; here databases' addresses go whole, and lines that may quote a person or a
document go too: those of level debug, and foreign programs' lines of no known shape.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from app.core.redaction import HIDDEN, SECRET_KEYS, redact

_DATABASES = re.compile(
    r"(?i)\b((?:postgres(?:ql)?|mysql|mariadb|oracle|mssql|sqlserver|mongodb|redis|rediss|valkey|amqps?|ldaps?|clickhouse|snowflake"
    r"|elasticsearch|opensearch|neo4j|bolt|cassandra|jdbc:\w+)(?:\+\w+)*)://[^\s\"'<>)\]}]+"
)
# Two words of libpq's other form in a row: host=... dbname=...
_NAMES = "host|hostaddr|port|user|password|passfile|dbname|sslmode|sslrootcert|sslkey|options|service"
_WORD = rf"(?:{_NAMES})\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s'\",;]+)"
_WORDS = re.compile(rf"(?i)\b{_WORD}(?:\s+{_WORD})+")
_ADDRESSES = re.compile(r"(?i)(?:^|[_-])(?:dsn|uri|url|connection|connection_?string|conninfo)s?$")
_OURS = re.compile(r"^\d{4}-\d\d-\d\dT\S+ (?P<level>[A-Z]+) ")
_FOREIGN = re.compile(r"^\d{4}-\d\d-\d\d[ T]\S+ \| (?P<level>[A-Z]+) +\| (?P<place>\S+)")

_NAMED = re.compile(r"""([\w-]+)["']?\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s"'#{}\[\],]+))""")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')

LONGEST_PART = 400  # characters of a line, or of one line of a trace


class Scrub:
    """What hides `secrets` (known texts) in every form in which a program may have written them, and all that patterns know."""

    def __init__(self, secrets: Iterable[str] = (), folders: Iterable[tuple[str, str]] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= 4}
        forms = {form for secret in known for form in (secret, urllib.parse.quote(secret, safe=""), _in_json(secret), repr(secret)[1:-1])}
        # Longest first: one may be part of another.
        self._secrets = sorted(forms, key=len, reverse=True)
        self._folders = [(folder, instead) for folder, instead in folders if len(folder) > 3]

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _DATABASES.sub(rf"\1://{HIDDEN}", text)
        text = _WORDS.sub(HIDDEN, text)
        text = redact(text)
        for folder, instead in self._folders:
            text = text.replace(folder, instead)
        return text

    def values(self, value: Any, key: str = "") -> Any:
        """The same of settings: what stands under a name like `dsn` or `api_key` goes whole."""
        if isinstance(value, dict):
            return {self.text(str(name)): self.values(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.values(inner, key) for inner in value]
        if isinstance(value, str):
            return HIDDEN if value and (_ADDRESSES.search(key) or SECRET_KEYS.match(key)) else self.text(value)
        return value

    def log(self, lines: Iterable[str], *, ours: bool) -> list[str]:
        """The lines of a log that may leave. `ours`: one record a line, of which those of level debug quote people and documents.

        Of a foreign program's log only when, how grave and where: what a chat page says may hold what was typed into it.
        """
        if ours:
            kept = (line for line in lines if (found := _OURS.match(line)) is None or found["level"] != "DEBUG")
            return [_shortened(self.text(line)) for line in kept]
        return [self.text(found[0]) for line in lines if (found := _FOREIGN.match(line)) is not None]


def texts_in(json_text: str) -> Iterator[str]:
    """Every text of a JSON file, names and values, also where the file is cut or damaged."""
    for quoted in _TEXT.findall(json_text):
        try:
            yield str(json.loads(quoted))
        except ValueError:
            yield quoted[1:-1]


def named_secrets(yaml_text: str) -> Iterator[str]:
    """What stands behind `api_key:`, `password:` and the like in a settings file, also in one that is wrong."""
    for name, *values in _NAMED.findall(yaml_text):
        if SECRET_KEYS.match(name):
            yield from filter(None, values)


def _shortened(line: str) -> str:
    """A record whose parts are cut: a library's error may quote a whole statement with its rows, or a file."""
    parts = [part for part in line.split("\\n") if not part.lstrip().startswith(("[SQL:", "[parameters:", "DETAIL:", "CONTEXT:"))]
    return "\\n".join(part if len(part) <= LONGEST_PART else part[:LONGEST_PART] + "…" for part in parts)


def _in_json(secret: str) -> str:
    return secret.replace("\\", "\\\\").replace('"', '\\"')
