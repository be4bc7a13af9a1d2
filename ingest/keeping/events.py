"""The doorway to watchfiles: what happens in a folder, told as it happens, on a thread of its own.

Events are hints and no more: they can be lost, network drives send none, and the system's count of watches is limited. A folder that
can't be watched is told once and tried again later; the keeper looks through every folder from time to time all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
_LOOK_MS = 2000
_GATHER_MS = 400


class FolderEvents:
    """Calls `on_change` (on its thread) after changes below `path`, or of the file `path`, until `close`."""

    def __init__(self, path: Path, on_change: Callable[[], None], *, again: float = AGAIN_SECONDS) -> None:
        self._path, self._on_change, self._again = path, on_change, again
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch {path.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask it to end; returns at once."""
        self._closing.set()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def _watch(self) -> None:
        trouble = ""
        while not self._closing.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - whatever the system says, the regular look goes on
                if str(error) != trouble:
                    log.warning("%s can't be watched and is looked through from time to time: %s", self._path, error)
                trouble = str(error)
                self._closing.wait(self._again)
            else:
                trouble = ""

    def _follow(self) -> None:
        """Tell of changes until closed, or until another folder stands at this path (a drive that came back)."""
        from watchfiles import watch

        folder = self._path.is_dir()
        # Of a single file its folder is watched: programs replace a file by another one of its name.
        target = self._path if folder else self._path.parent
        before = _identity(target)
        if before is None:
            raise FileNotFoundError(f"there is no {target}")
        for changes in watch(
            target,
            watch_filter=None,
            debounce=_GATHER_MS,
            step=200,
            stop_event=self._closing,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=folder,
            ignore_permission_denied=True,
        ):
            if any(self._concerns(Path(name), folder) for _, name in changes):
                self._on_change()
            if _identity(target) != before:
                self._on_change()
                return

    def _concerns(self, changed: Path, folder: bool) -> bool:
        if not folder:
            return normalize("NFC", changed.name) == normalize("NFC", self._path.name)
        try:
            inner = changed.relative_to(self._path).parts
        except ValueError:  # told under another spelling of the path
            return True
        return not any(part.startswith((".", "~$")) for part in inner)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
