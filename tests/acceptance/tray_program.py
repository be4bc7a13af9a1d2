"""The real `ondol-tray` over a data folder with models and a store, on a desktop of our own whose programs write down what they get."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import page_program
import psutil
from model_client import Manager
from product import Product
from tray_host import Desktop, Panel, PanelIcon

from app.core.paths import Home
from app.core.server_record import ServerRecord, running

DEADLINE = 60.0
RECORDS = 'printf "%s\\n" "$@" >> "$TOLD/{name}.words"; if [ ! -t 0 ]; then cat > "$TOLD/{name}.input"; fi\n'


def until(so: Callable[[], Any], otherwise: str) -> Any:
    """Wait until it is so; what it answered."""
    end = time.monotonic() + DEADLINE
    while not (answer := so()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
    return answer


class Place:
    """A data folder, a user's folders, and programs that write down what they are handed."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "온돌 home")
        (self.home.models).mkdir(parents=True)
        for one in models.iterdir():  # each by itself: which is the default must not be changed for other tests
            if one.is_dir() and not one.name.startswith("."):
                (self.home.models / one.name).symlink_to(one, target_is_directory=True)
        self.product = Product(self.home.root, models)
        self.told = folder / "told"
        self.programs = folder / "programs"
        for made in (self.told, self.programs):
            made.mkdir()
        for name in ("xclip", "xdg-open", "browser"):
            self._program(name)

    def _program(self, name: str) -> None:
        path = self.programs / name
        path.write_text("#!/bin/sh\n" + RECORDS.format(name=name), encoding="utf-8")
        path.chmod(0o755)

    def words(self, name: str) -> list[str]:
        """All that a program was called with so far."""
        path = self.told / f"{name}.words"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def input(self, name: str) -> str:
        """What its last call read."""
        path = self.told / f"{name}.input"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def environment(self, desktop: Desktop | None) -> dict[str, str]:
        """For programs of this user."""
        base = dict(os.environ) if desktop is None else desktop.environment
        bare = {name: value for name, value in base.items() if desktop or name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        ours = {
            "ONDOL_HOME": str(self.home.root),
            "ONDOL_PORT": "0",
            "TOLD": str(self.told),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "BROWSER": str(self.programs / "browser"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_DATA_HOME": str(self.folder / "data"),
        }
        return {**bare, **ours}

    def is_left(self) -> None:
        """Wait until nothing runs over this folder any more."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self.processes(), "")
        if left := [" ".join(process.cmdline()) for process in self.processes()]:
            raise AssertionError(f"left: {left}")

    def server(self) -> ServerRecord | None:
        """The server that runs over this folder."""
        return running(self.home)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs over this folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("ONDOL_HOME") == str(self.home.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


class Tray:
    """A running `ondol-tray`."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes], said: Path, panel: Panel | None) -> None:
        self.place, self.process, self._said, self._panel = place, process, said, panel

    @property
    def said(self) -> str:
        """What it has written on standard error."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    @property
    def panel(self) -> Panel:
        """The desktop's side."""
        assert self._panel is not None, "started without a desktop"
        return self._panel

    @property
    def icon(self) -> PanelIcon:
        """As the panel has it."""
        return self.panel.icon()

    def row(self, *path: str) -> Any:
        """A row of the menu; None where there is none, or where the icon is that of an earlier tray."""
        with contextlib.suppress(KeyError, RuntimeError):
            return self.icon.menu().find(*path)

    def shows(self, *path: str) -> Any:
        """Wait for a row, whatever comes before it."""
        with contextlib.suppress(AssertionError):
            return until(lambda: self.row(*path), "")
        raise AssertionError(f"no row {path} in {[entry.label for entry in self.icon.menu().walk()]}")

    def click(self, *path: str) -> None:
        """Click a row as soon as it can be clicked."""
        self.shows(*path)
        until(lambda: (row := self.row(*path)) and row.enabled, f"{path} can't be clicked")
        self.icon.click(*path)

    def manager(self) -> Manager:
        """The server's own account of its models."""
        record = until(self.place.server, "no server runs")
        return Manager(record.address, self.place.home.key.read_text().strip())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def tray(place: Place, desktop: Desktop | None, *options: str, panel: Panel | None = None, **more: str) -> Iterator[Tray]:
    """One, until the block ends; nothing of it is left then."""
    said = place.folder / f"said-{time.monotonic_ns()}"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tray.main", *options],
            env={**place.environment(desktop), **more}, cwd=place.folder, stderr=file, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield Tray(place, process, said, panel)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for left in place.processes():
            with contextlib.suppress(psutil.Error):
                left.kill()


def documents(place: Place) -> int:
    """How many documents are in its stores."""
    done = place.product.run("ingest", "status", "--json")
    return sum(int(json.loads(line).get("documents", 0)) for line in done.stdout.splitlines())


def fill(place: Place, **pages: str) -> None:
    """A store of a folder with these pages; one without pages takes no embedder, and so no seconds."""
    papers = place.folder / "papers"
    papers.mkdir()
    for name, text in pages.items():
        (papers / f"{name}.md").write_text(text, encoding="utf-8")
    assert place.product.run("ingest", "files", str(papers), "--into", "company").returncode == 0


def add_chat_page(place: Place) -> None:
    page_program.install(place.home.root / "open-webui" / "venv")


def unchosen(running: Tray) -> str:
    """The row of a model that is not the default."""
    return next(e.label for e in running.icon.menu().find("Models").entries if e.kind == "radio" and not e.checked).replace("__", "_")
