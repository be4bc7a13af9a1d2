"""The current user's part of the Windows registry, read and written. Elsewhere it can't be made."""

from __future__ import annotations

import sys
from typing import Protocol


class Registry(Protocol):
    """Values under HKEY_CURRENT_USER. A key or a name that isn't there reads as None, and is no error to remove."""

    def read(self, key: str, name: str) -> str | bytes | None:
        """The value."""

    def write(self, key: str, name: str, text: str) -> None:
        """Put a text there; the key is made where it is missing."""

    def remove(self, key: str, name: str) -> None:
        """Take the value away."""


if sys.platform == "win32":
    import winreg

    class UserRegistry:
        """The real one. OSError where a policy of the machine forbids a change."""

        def read(self, key: str, name: str) -> str | bytes | None:
            """The value, of texts and binary values."""
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                    value = winreg.QueryValueEx(opened, name)[0]
            except FileNotFoundError:
                return None
            return value if isinstance(value, (str, bytes)) else None

        def write(self, key: str, name: str, text: str) -> None:
            """Put a text there."""
            with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, key, 0, winreg.KEY_SET_VALUE) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, text)

        def remove(self, key: str, name: str) -> None:
            """Take the value away."""
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key, 0, winreg.KEY_SET_VALUE) as opened:
                    winreg.DeleteValue(opened, name)
            except FileNotFoundError:
                return


def of_this_user() -> Registry:
    """The registry of who runs this. OSError anywhere but on Windows."""
    if sys.platform == "win32":
        return UserRegistry()
    raise OSError("there is no registry on this system")


def words(line: str) -> list[str]:
    """The words of a Windows command line, by the rules that `subprocess.list2cmdline` writes for."""
    found: list[str] = []
    word, inside, begun, backslashes = "", False, False, 0
    for letter in line:
        if letter == "\\":
            backslashes += 1
            begun = True
            continue
        if letter == '"':
            word += "\\" * (backslashes // 2)
            if backslashes % 2:
                word += '"'
            else:
                inside = not inside
            begun = True
        else:
            word += "\\" * backslashes
            if letter in " \t" and not inside:
                if begun:
                    found.append(word)
                word, begun = "", False
            else:
                word, begun = word + letter, True
        backslashes = 0
    word += "\\" * backslashes
    return [*found, word] if begun else found
