"""No test stops the run for good: one that takes far too long has its child processes ended, which prints their Python stacks.

A child that hangs blocks its test in a read; its end unblocks the test, which fails, and the run goes on.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import TextIO

import psutil
import pytest

SECONDS = 420.0
LONG_SECONDS = 3000.0  # of what is marked slow, or installs the real Open WebUI
PATIENCE = 60.0  # between asking and killing, and between killing and giving up the whole run


def pytest_configure() -> None:
    """Every Python process that a test starts prints its stacks when it is aborted."""
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The test under watch, its fixtures included."""
    long = any(item.get_closest_marker(name) for name in ("slow", "open_webui"))
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(item, over, LONG_SECONDS if long else SECONDS), daemon=True)
    watch.start()
    try:
        return (yield)
    finally:
        over.set()


def _watch(item: pytest.Item, over: threading.Event, seconds: float) -> None:
    if over.wait(seconds):
        return
    with _terminal(item) as out:
        out.write(f"\n\n{item.nodeid} has taken {seconds:.0f} s. The run's own stacks:\n{_stacks()}\nIts processes, which are ended:\n")
        _end(out, getattr(signal, "SIGABRT", signal.SIGTERM))
    if over.wait(PATIENCE):
        return
    with _terminal(item) as out:
        _end(out, getattr(signal, "SIGKILL", signal.SIGTERM))
    if over.wait(PATIENCE):
        return
    with _terminal(item) as out:
        out.write("It does not end: the whole run is given up.\n")
    os._exit(3)


@contextlib.contextmanager
def _terminal(item: pytest.Item) -> Iterator[TextIO]:
    capture = item.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        yield sys.stderr
        sys.stderr.flush()


def _stacks() -> str:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read()


def _end(out: TextIO, number: int) -> None:
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            out.write(f"  {child.pid} {child.status()} {' '.join(child.cmdline())[:300]}\n")
            child.send_signal(number)
