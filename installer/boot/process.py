"""Child processes of the bootstrap: run one to its end with a log, start one that stays, and stop it in order."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from boot.console import Failed, tail

# These would send pip or Python to other places than the environment that we make.
UNWANTED = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def clean_environment(base: Mapping[str, str], **extra: str) -> dict[str, str]:
    """`base` without what would lead a child into another environment; UTF-8 whatever the system's locale says."""
    kept = {name: value for name, value in base.items() if name not in UNWANTED}
    return {**kept, "PYTHONUTF8": "1", "PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **extra}


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    cwd: Path,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run to the end, all output to `log` (appended). `Failed` names the program's exit status.

    `on_line` gets the log's newest line about twice a second.
    """
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(words)}\n".encode())
        file.flush()
        try:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=dict(environment), cwd=cwd)
        except OSError as error:
            raise Failed(f"{words[0]} can't be started: {error.strerror}.", log=log) from None
        try:
            while _still_runs(child, 0.5):
                if on_line is not None and (lines := tail(log, 1)):
                    on_line(lines[0])
        except BaseException:
            stop(child)
            raise
    if child.returncode != 0:
        raise Failed(f"{Path(words[0]).name} ended with status {child.returncode}.", log=log)


def _still_runs(child: subprocess.Popen[Any], wait: float) -> bool:
    try:
        child.wait(timeout=wait)
    except subprocess.TimeoutExpired:
        return True
    return False


def output(command: Sequence[str | Path], *, environment: Mapping[str, str], cwd: Path, timeout: float = 60.0) -> str | None:
    """What a short program prints; None where it can't be started, fails, or takes longer than `timeout` seconds."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, encoding="utf-8", errors="replace",
            env=dict(environment), cwd=cwd, timeout=timeout, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def start(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], cwd: Path, talks: bool = False
) -> subprocess.Popen[bytes]:
    """A process that stays until its standard input, a pipe from us, ends: it never outlives us, however we end.

    In a group of its own: Ctrl-C reaches the bootstrap alone, which then ends its children in order. The output of one
    that `talks` is a pipe, else it goes to `log`; errors always do.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else file,
            stderr=file,
            env=dict(environment),
            cwd=cwd,
            **_own_group(),
        )


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def stop(child: subprocess.Popen[Any], *, patience: float = 20.0) -> None:
    """End its standard input, wait `patience` seconds, then ask it by signal, then kill it."""
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()
    else:
        child.terminate()
    for harder in (child.terminate, child.kill):
        if not _still_runs(child, patience):
            return
        harder()
    child.wait()
