"""Text that may leave this computer: without keys, passwords, addresses of databases, and words of chats and documents. Pure.

What the log's own redaction knows is hidden in its way; here databases' addresses go whole, and lines that may quote a person or a
document go too: those of level debug, and foreign programs' lines of no known shape.
"""

from __future__ import annotations

import json
import re
import unicodedata
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
        # Longest first: one may be part of another.
        self._secrets = sorted({form for secret in known for form in _forms(secret)}, key=len, reverse=True)
        named = {form: instead for folder, instead in folders if len(folder) > 3 for form in (*_forms(folder), urllib.parse.quote(folder))}
        self._folders = sorted(named.items(), key=lambda pair: len(pair[0]), reverse=True)

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

    def error(self, error: BaseException) -> str:
        """Why something is missing, in a few words. Cut last: half a secret would not be known as one."""
        return _shortened(self.text(f"not available: {type(error).__name__}: {error}".replace("\n", "\\n")))

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


def _forms(text: str) -> set[str]:
    """How programs write a text: as it is, in an address, in JSON, in Python; with its letters composed or taken apart (macOS' files)."""
    spelled = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")} | {text}
    in_json = {json.dumps(one, ensure_ascii=ascii)[1:-1] for one in spelled for ascii in (True, False)}
    return {*spelled, *in_json, *(urllib.parse.quote(one, safe="") for one in spelled), *(repr(one)[1:-1] for one in spelled)}
