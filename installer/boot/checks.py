"""`bootstrap.py test`: lint, types and walls first, then the tests, whose closing line ends the output."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from boot import machine, process
from boot.console import Console, Failed, tail
from boot.environment import Environment

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("types (the product)", ("-m", "mypy")),
    ("types (the installer)", ("-m", "mypy", "installer")),
    ("walls between the folders", ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")),
)

# A test also waits, for processes that start and answer: one runs more than there are cores, and four at most, for the memory's sake. Those
# of one file stay together, as they share what it sets up, and the files keep their order: the longest come first. `-n 0` undoes this.
SPREAD = ("-n", str(min(4, machine.cores() + 1)), "--dist", "loadfile", "--no-loadscope-reorder")


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
    status = _on_this_terminal(
        [environment.python, "-m", "pytest", *SPREAD, *arguments], {**environment.variables, "PATH": _path(environment)}, root
    )
    return status or (1 if failed else 0)


def _on_this_terminal(command: Sequence[str | Path], variables: dict[str, str], cwd: Path) -> int:
    """Ctrl-C reaches the program as well, which then ends in its own way, with its own last words: we wait for them."""
    child = subprocess.Popen([str(word) for word in command], cwd=cwd, env=variables)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return child.wait()
    except BaseException:
        process.stop(child)
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _path(environment: Environment) -> str:
    """The environment's commands first: tests call `ondol` by its name."""
    return os.pathsep.join((str(environment.scripts), environment.variables.get("PATH", "")))
