"""What the user chose in the tray's menu, kept in `tray.json` of the data folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from app.core import atomic_file
from app.core.paths import Home
from tray.records import Choices

log = logging.getLogger(__name__)
LANGUAGES = get_args(get_type_hints(Choices)["language"])
POSSIBLE: dict[str, Callable[[Any], bool]] = {
    "notifications": lambda value: isinstance(value, bool),
    "language": lambda value: value in LANGUAGES,
    "chat_port": lambda value: type(value) is int and 0 < value < 65536,
}


def load(home: Home) -> Choices:
    """The choices, the defaults where there are none. What can't be read counts as not chosen; the log has a line of it."""
    path = _path(home)
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return Choices()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("%s can't be read, so the defaults hold: %s", path, error)
        return Choices()
    if not isinstance(found, dict):
        log.warning("%s holds no choices, so the defaults hold", path)
        return Choices()
    return _checked(found, path)


def save(home: Home, choices: Choices) -> None:
    """Keep them, in one step. DiskFull or another OndolError where the folder can't be written."""
    atomic_file.write(_path(home), msgspec.json.format(msgspec.json.encode(choices)).decode() + "\n")


def _path(home: Home) -> Path:
    return home.root / "tray.json"


def _checked(found: dict[str, Any], path: Path) -> Choices:
    """Each choice by itself: one that is wrong, or of a later version, costs the others nothing."""
    kept: dict[str, Any] = {}
    for name in POSSIBLE.keys() & found.keys():
        if POSSIBLE[name](found[name]):
            kept[name] = found[name]
        else:
            log.warning("%s: `%s` is %r, which is no choice; the default holds", path, name, found[name])
    return Choices(**kept)
