"""`bootstrap.py test`: lint, types and walls first, then the tests, whose closing line ends the output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from boot import process
from boot.console import Console, Failed, tail
from boot.environment import Environment

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("types (the product)", ("-m", "mypy")),
    ("types (the installer)", ("-m", "mypy", "installer")),
    ("walls between the folders", ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")),
)


def check(environment: Environment, root: Path, console: Console, logs: Path, arguments: Sequence[str]) -> int:
    """The exit status: pytest's own, or 1 where pytest passed and a check before it did not."""
    failed = []
    for title, words in CHECKS:
        log = logs / f"{title.split(' (')[0].replace(' ', '-')}{'-installer' if 'installer' in title else ''}.log"
        log.unlink(missing_ok=True)
        try:
            with console.step(title):
                process.run([environment.python, *words], log=log, environment=environment.variables, cwd=root)
        except Failed as error:
            failed.append(title)
            console.say(f"    FAILED: {error}")
            for line in tail(log, 60):
                console.say(f"    | {line}")
    if failed:
        console.say(f"> Tests (already failed: {', '.join(failed)}; see above)")
    else:
        console.say("> Tests")
    # In the same group and on the same terminal: Ctrl-C is pytest's own affair.
    done = subprocess.run(
        [str(environment.python), "-m", "pytest", *arguments],
        cwd=root,
        env={**environment.variables, "PATH": _path(environment)},
        check=False,
    )
    return done.returncode or (1 if failed else 0)


def _path(environment: Environment) -> str:
    """The environment's commands first: tests call `ondol` by its name."""
    return os.pathsep.join((str(environment.scripts), environment.variables.get("PATH", "")))
