"""The API key: made once, kept in a file that its owner alone can read, compared in constant time."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from app.core import atomic_file
from app.core.errors import BadSetting
from app.core.locks import FileLock
from app.core.paths import Home

PREFIX = "sk-ondol-"


def api_key(home: Home) -> str:
    """The key of this home, made at the first call. Two processes that ask at once get the same one."""
    if found := _read(home.key):
        return found
    with FileLock(home.locks / "key.lock", who="making the API key"):
        if found := _read(home.key):
            return found
        made = PREFIX + secrets.token_urlsafe(24)
        atomic_file.write(home.key, made + "\n")
        return made


def matches(given: str, key: str) -> bool:
    """Whether a client's key is the right one; the time that this takes says nothing about how much of it was right."""
    return bool(key) and hmac.compare_digest(given.encode(), key.encode())


def _read(path: Path) -> str:
    """The key in the file; empty where there is none yet."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            with contextlib.suppress(OSError):  # somebody else's file: it can still be read
                path.chmod(0o600)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            f"The API key in {path} can't be read: {error}.", hint="Mend its permissions, or delete it to have a new one made."
        ) from None
    if len(text.split()) > 1 or not text.isascii():
        raise BadSetting(
            f"The API key in {path} holds spaces or letters that a header can't carry.", hint="Delete the file to have a new one made."
        )
    return text
