"""One tray per data folder. A second start tells the first to show itself.

The lock decides who is first: the operating system frees it however its holder ends. The first listens on a free port of
loopback, and writes port and a token into a file beside the lock that its user alone can read. So neither the length of the
folder's name nor its letters matter, and it is the same on every system.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from app.core import atomic_file
from app.core.errors import Conflict, OndolError
from app.core.locks import FileLock
from app.core.paths import Home

log = logging.getLogger(__name__)
WAIT_SECONDS = 3.0  # for a first one that is just starting or just ending
ANSWER_SECONDS = 1.0
LONGEST_LINE = 200
SHOWN = b"shown\n"


class AlreadyRunning(Exception):
    """A tray runs over this data folder. `told`: it has been told to show itself; else it did not answer."""

    def __init__(self, told: bool) -> None:
        self.told = told
        super().__init__("Ondol's tray runs already." if told else "Ondol's tray runs already, but does not answer.")


class Door(msgspec.Struct, frozen=True):
    """Where the first listens, and what lets a second one in."""

    port: int
    token: str


class Claim:
    """This process is the tray of its data folder until `close`, or its end. `on_show` is called on a thread of the claim."""

    def __init__(self, home: Home, lock: FileLock, on_show: Callable[[], None]) -> None:
        self._lock, self._on_show = lock, on_show
        self._file = home.locks / "tray.door"
        self._token = secrets.token_urlsafe(16)
        self._socket: socket.socket | None = None
        # The one of a killed tray names a port that may be another's by now.
        try:
            self._file.unlink(missing_ok=True)
            self._socket = socket.create_server(("127.0.0.1", 0))
            atomic_file.write(self._file, msgspec.json.encode(Door(self._socket.getsockname()[1], self._token)).decode())
        except (OSError, OndolError) as error:
            # A full disk keeps nobody from working: a second start then ends without the first showing itself.
            log.warning("a second start can't reach this tray: %s", error)
        if self._socket is not None:
            threading.Thread(target=self._listen, args=(self._socket,), name="single", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let another be the first; may be called twice."""
        listening, self._socket = self._socket, None
        if listening is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            # A caller of our own: not every system wakes who waits at a socket that is closed.
            with contextlib.suppress(OSError), socket.create_connection(listening.getsockname(), timeout=ANSWER_SECONDS):
                pass
            listening.close()
        self._lock.__exit__(None, None, None)

    def _listen(self, listening: socket.socket) -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                if self._socket is None:
                    return
                time.sleep(0.1)  # too many open files, say: not for ever
                continue
            with caller:
                if self._socket is None:
                    return  # who is told now would be told by nobody
                try:
                    self._answer(caller)
                except OSError:
                    log.info("a caller left in the middle of a word")
                except Exception:
                    log.exception("the tray could not be shown")

    def _answer(self, caller: socket.socket) -> None:
        if hmac.compare_digest(_line(caller), self._token.encode()):
            caller.sendall(SHOWN)
            self._on_show()


def claim(home: Home, on_show: Callable[[], None], *, wait: float = WAIT_SECONDS) -> Claim:
    """Be the tray of this data folder; AlreadyRunning where another is, after having told it to show itself.

    Takes up to `wait` seconds where the other neither answers nor ends. An OndolError where the folder knows no locks.
    """
    end = time.monotonic() + wait
    while True:
        lock = FileLock(home.locks / "tray.lock", wait=0, who="a tray")
        try:
            lock.__enter__()
        except Conflict:
            if _tell(home):
                raise AlreadyRunning(told=True) from None
            if time.monotonic() >= end:
                raise AlreadyRunning(told=False) from None
            time.sleep(0.1)
            continue
        try:
            return Claim(home, lock, on_show)
        except BaseException:
            lock.__exit__(None, None, None)
            raise


def _tell(home: Home) -> bool:
    """Whether the first one said that it shows itself."""
    try:
        door = msgspec.json.decode((home.locks / "tray.door").read_bytes(), type=Door)
        with socket.create_connection(("127.0.0.1", door.port), timeout=ANSWER_SECONDS) as first:
            first.sendall(door.token.encode() + b"\n")
            return _line(first) + b"\n" == SHOWN
    except (OSError, OverflowError, msgspec.MsgspecError):
        return False


def _line(caller: socket.socket) -> bytes:
    """What a caller says up to the end of its first line, without that. OSError where it takes too long or says too much."""
    end = time.monotonic() + ANSWER_SECONDS
    said = b""
    while not said.endswith(b"\n"):
        caller.settimeout(max(0.01, end - time.monotonic()))
        more = caller.recv(LONGEST_LINE)
        if not more or len(said) > LONGEST_LINE:
            raise OSError("no line came")
        said += more
    return said[:-1]
