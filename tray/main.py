"""`ondol-tray`: the icon over a server that it keeps; without a display, the same without an icon."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from app.core import egress, logs
from app.core.errors import OndolError
from app.core.paths import Home
from tray.face import system_language, words
from tray.face.headless import Journal
from tray.records import Snapshot, State
from tray.single import AlreadyRunning, claim
from tray.tray import Tray

log = logging.getLogger(__name__)
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
FAILED, WRONG_SETTINGS = 70, 78


def main() -> None:
    """The entry point of `ondol-tray`. Exit statuses: 0 after Quit or a polite end, and where a tray runs already; else as `ondol`'s."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The tray, to its end; the exit status."""
    asked = _parser().parse_args(arguments)
    for name, value in (("ONDOL_HOME", asked.home), ("ONDOL_CONFIG", asked.config)):
        if value:
            os.environ[name] = value
    language = words.language(asked.language, os.environ, system_language.tag())
    # The icon needs this machine alone, whatever the server may reach.
    egress.install(egress.Policy())
    try:
        if asked.install or asked.uninstall:
            return _install(asked.install, headless=asked.headless, language=language)
        home = Home.find()
        logs.setup(home.logs, "tray")
        return _keep(home, headless=asked.headless, language=asked.language if asked.language != "auto" else "")
    except AlreadyRunning as error:
        _say(str(error))
        return 0
    except OndolError as error:
        log.error("%s", error)
        _say(f"ondol-tray: {error}")
        return error.exit_status


def _keep(home: Home, *, headless: bool, language: str) -> int:
    ended = threading.Event()
    tray = Tray(home, ended.set, language=language, system_language=system_language.tag())
    _end_with_signals(ended)
    with claim(home, tray.second_start):
        try:
            return 0 if not headless and _with_icon(tray, ended) else _without(tray, ended)
        finally:
            tray.close()


def _with_icon(tray: Tray, ended: threading.Event) -> bool:
    """Show the icon until the end; False where none can be shown here, which is said in a line."""

    def missing(code: str, **values: str) -> None:
        log.warning("%s", words.say(code, "en", **values))
        _say(words.say(code, tray.language, **values))

    # Late: what draws icons is of no use without a display.
    from tray.face.icon import Icon, Unavailable

    try:
        with _without_graphics_driver():
            icon = Icon(tray.act, pictures=tray.home.root / "tray-icons", warn=missing)
    except Unavailable as error:
        missing(error.code, **error.values)
        missing("without_icon")
        return False

    def stop() -> None:
        ended.wait()
        icon.stop()

    threading.Thread(target=stop, name="end", daemon=True).start()
    icon.show(tray.snapshot)
    icon.run(lambda: tray.begin(icon))
    return True


@contextlib.contextmanager
def _without_graphics_driver() -> Iterator[None]:
    """GTK maps one as it is imported: 10 MB and more, for a menu that the panel draws. Programs that we start are to have theirs."""
    if "GDK_GL" in os.environ:
        yield
        return
    os.environ["GDK_GL"] = "disable"
    try:
        yield
    finally:
        del os.environ["GDK_GL"]


def _without(tray: Tray, ended: threading.Event) -> int:
    """Keep the server until the end, or until it is given up: nobody could click on a remedy here."""
    terminal = Terminal(Journal(tray.language), ended)
    tray.begin(terminal, icon=False)
    # In slices: a wait without an end keeps signals from being handled on Windows.
    while not ended.wait(1.0):
        continue
    return terminal.status


class Terminal:
    """What people see without an icon: lines. A server that is given up ends it, with the status that says whether to try again."""

    def __init__(self, journal: Journal, ended: threading.Event) -> None:
        self._journal, self._ended = journal, ended
        self.status = 0

    def show(self, snapshot: Snapshot) -> None:
        """This is so now."""
        server = snapshot.server
        if self._ended.is_set():
            return
        self._journal.tell(server)
        if server.state == State.FAILED:
            self.status = WRONG_SETTINGS if server.problem is not None and server.problem.code == "settings" else FAILED
            self._ended.set()

    def notify(self, title: str, text: str) -> None:
        """A line."""
        log.info("%s", text)
        _say(f"{title}: {text}")


def _end_with_signals(ended: threading.Event) -> None:
    """Each ends everything in order: Ctrl-C, a polite end, a closed terminal, a logout."""

    def end(*_: object) -> None:
        # Not set here: the main thread, which runs this, may hold the event's own lock.
        threading.Thread(target=ended.set, daemon=True).start()

    for name in SIGNALS:
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, end)


def _install(wanted: bool, *, headless: bool, language: str) -> int:
    from tray.installing.install import install, uninstall

    done = install(headless=headless, language=language) if wanted else uninstall()
    for line in (*map(str, done.paths), *done.notes):
        _say(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ondol-tray", description="Ondol's icon: starts the server, and keeps an eye on it.")
    parser.add_argument("--headless", action="store_true", help="keep the server without an icon")
    parser.add_argument("--install", action="store_true", help="put Ondol among your programs (with --headless: start it with the machine)")
    parser.add_argument("--uninstall", action="store_true", help="take that back; data stay")
    parser.add_argument("--language", choices=("auto", "en", "ko"), default="auto", help="of the menu, for this run")
    parser.add_argument("--home", default="", metavar="FOLDER", help="the data folder (else ONDOL_HOME)")
    parser.add_argument("--config", default="", metavar="FILE", help="the settings (else ONDOL_CONFIG)")
    return parser


def _say(line: str) -> None:
    if sys.stderr is not None:  # a GUI program on Windows has none
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


if __name__ == "__main__":
    main()
