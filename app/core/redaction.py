"""Secrets out of text: for the log, for what `ondol config show` prints, for the names of databases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

HIDDEN = "***"
SECRET_KEYS = re.compile(r"(?i)^(?:.*[_-])?(?:api_?key|apikey|password|passwd|pwd|secret|token|authorization|access_?key|private_?key)$")

_PATTERNS = (
    # a key in OpenAI's manner (ours too), a Hugging Face token
    (re.compile(r"\b(sk-|hf_)[A-Za-z0-9_-]{8,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    # scheme://user:password@host: up to the last @, for a password may hold one unescaped
    (re.compile(r"(\b[a-zA-Z][\w+.-]*://[^\s:/@\"']*:)[^\s\"']+@"), rf"\1{HIDDEN}@"),
    # password=..., password='it''s', "api_key": "...", x-api-key: ...
    (
        re.compile(
            r"(?i)([\w-]*(?:api[_-]?key|password|passwd|\bpwd|secret|token|authorization)[\"']?\s*[=:]\s*)"
            r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?!bearer\b|basic\b)[^\s,;&}\"']+)"
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without passwords, keys and tokens in the forms that programs write, and without `secrets` in any form."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """The texts under secrets' names, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets_in(inner, str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_in(inner, key)
    elif isinstance(value, str) and value and SECRET_KEYS.match(key):
        yield value


def redact_values(value: Any, key: str = "") -> Any:
    """The same for plain values (mappings, lists, texts): whatever stands under a secret's name is hidden whole."""
    if isinstance(value, dict):
        return {name: redact_values(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_values(inner, key) for inner in value]
    if SECRET_KEYS.match(key) and value not in (None, ""):
        return HIDDEN
    return redact(value) if isinstance(value, str) else value
