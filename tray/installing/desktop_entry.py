"""Desktop entries (.desktop) as freedesktop.org writes them: made, and read back as a desktop reads them. Pure.

A value is escaped twice: words of `Exec` are quoted for the command line, and the whole for the file (a backslash is two).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tray.installing.launch import Launch
from tray.installing.product import COMMENT, COMMENT_KO, NAME, NAME_KO

GROUP = "[Desktop Entry]"
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def text(values: Mapping[str, str]) -> str:
    """The file. `Exec` comes from `exec_value`, which has escaped itself."""
    lines = [f"{key}={value if key == 'Exec' else _escaped(value)}" for key, value in values.items()]
    return "\n".join([GROUP, *lines, ""])


def of_ondol(launch: Launch, more: Mapping[str, str]) -> str:
    """The file that starts Ondol, with some more keys. Where the installation has been deleted by hand, it counts for nothing."""
    return text(
        {
            "Type": "Application",
            "Version": "1.0",
            "Name": NAME,
            "Name[ko]": NAME_KO,
            "Comment": COMMENT,
            "Comment[ko]": COMMENT_KO,
            "Exec": exec_value(launch.line),
            "TryExec": launch.program,
            "Icon": "ondol",
            "Terminal": "false",
            "StartupNotify": "false",
            **more,
        }
    )


def values(text: str) -> dict[str, str]:
    """The keys of the first group, unescaped but for `Exec`; what can't be read as a key is passed over."""
    found: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == GROUP and not found
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key.rstrip()] = value.lstrip() if key.rstrip() == "Exec" else _unescaped(value.lstrip())
    return found


def exec_value(line: Sequence[str]) -> str:
    """Words as the value of `Exec`."""
    return " ".join(_quoted(word) for word in line)


def exec_words(value: str) -> list[str]:
    """The words that a desktop makes of the value of `Exec`; field codes (`%u`) stand for nothing."""
    value = _unescaped(value)
    words: list[str] = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', value):
        word = plain or re.sub(r"\\(.)", r"\1", quoted)
        word = re.sub(r"%(.)", lambda found: "%" if found[1] == "%" else "", word)
        if word or not plain:
            words.append(word)
    return words


def _quoted(word: str) -> str:
    word = word.replace("%", "%%")
    if _PLAIN.fullmatch(word):
        return word
    return _escaped('"' + re.sub(r'(["`$\\])', r"\\\1", word) + '"')


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), value)
