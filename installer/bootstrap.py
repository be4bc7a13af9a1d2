#!/usr/bin/env python3
"""Ondol from a fresh clone: `python3 installer/bootstrap.py run` or `... test`. Needs Python 3.11 and nothing else.

This file keeps to what Python 3.6 can parse, so that an old interpreter gets a sentence and not a syntax error.
The work is in `installer/boot`.
"""

import sys

NEEDED = (3, 11)


def refusal(version: "tuple[object, ...]") -> str:
    """What to tell the owner of this interpreter, or an empty text where it will do."""
    if tuple(version[:2]) >= NEEDED:
        return ""
    return (
        "Ondol needs Python {}.{} or newer; this is Python {}.{}.\n"
        "Install a newer one (Debian/Ubuntu: sudo apt install python3.11 python3.11-venv; macOS: brew install python@3.12; "
        "Windows: winget install Python.Python.3.12) and start this script with it, for example: python3.11 installer/bootstrap.py run"
    ).format(*NEEDED, *version[:2])


if __name__ == "__main__":
    told = refusal(sys.version_info)
    if told:
        sys.exit(told)
    from boot.command import main

    sys.exit(main(sys.argv[1:]))
