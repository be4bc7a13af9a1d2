"""The language that Windows or macOS speaks with its user. Elsewhere the environment says it."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable

ASK_MACOS = ("defaults", "read", "-g", "AppleLanguages")
KOREAN = 0x12  # the primary part of Windows' language numbers


@functools.cache
def tag() -> str:
    """Such as "ko" or "en-US"; "" where the system doesn't say. It does not change while the program runs."""
    if sys.platform == "win32":
        import ctypes

        said = from_windows(ctypes.windll.kernel32.GetUserDefaultUILanguage)
    elif sys.platform == "darwin":
        said = from_macos(lambda: subprocess.run(ASK_MACOS, capture_output=True, text=True, timeout=2, check=True).stdout)
    else:
        said = ""
    return said


def from_windows(ask: Callable[[], int]) -> str:
    """Korean or not is all that matters here."""
    return "ko" if ask() & 0x3FF == KOREAN else "en"


def from_macos(ask: Callable[[], str]) -> str:
    """The first of `( "ko-KR", "en-US" )`, in the order of the user's preference."""
    try:
        said = ask()
    except (OSError, subprocess.SubprocessError):
        return ""
    return next((part.strip(' \t\n",') for part in said.strip().strip("()").split(",") if part.strip(' \t\n",')), "")
