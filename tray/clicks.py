"""What each row does: the one place that knows all actions. Called on a thread that may wait."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core import atomic_file
from app.core.credentials import api_key
from app.core.errors import NotReady, OndolError
from tray.records import Action, ActionKind, Notice, State
from tray.watching.client import Client
from tray.watching.command import Command, message

if TYPE_CHECKING:
    from tray.tray import Tray

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]
AT_REST = (State.STOPPED, State.FAILED)
USE_SECONDS = 60.0


class Clicks:
    """The actions of one tray."""

    def __init__(self, tray: Tray) -> None:
        self._tray = tray
        self._does: dict[ActionKind, Callable[[str], None]] = {
            ActionKind.OPEN_CHAT: self._open_chat,
            ActionKind.USE_MODEL: self._use_model,
            ActionKind.UNLOAD_MODEL: lambda model: self._at_server(lambda client: client.unload(model)),
            ActionKind.PAUSE_DOWNLOAD: lambda source: self._at_server(lambda client: client.pause(source)),
            ActionKind.RESUME_DOWNLOAD: lambda source: self._at_server(lambda client: client.resume(source)),
            ActionKind.CANCEL_DOWNLOAD: lambda source: self._at_server(lambda client: client.cancel(source)),
            ActionKind.SYNC_NOW: lambda _: tray.sync.now(),
            ActionKind.START_SERVER: lambda _: tray.keeper.start(),
            ActionKind.STOP_SERVER: lambda _: tray.keeper.stop(),
            ActionKind.RESTART_SERVER: lambda _: tray.keeper.restart(),
            ActionKind.COPY_ADDRESS: lambda _: self._copy(f"{self._address()}/v1"),
            ActionKind.COPY_KEY: self._copy_key,
            ActionKind.OPEN_LOGS: self._open_logs,
            ActionKind.SAVE_DIAGNOSTICS: self._save_diagnostics,
            ActionKind.OPEN_DOCUMENTATION: lambda _: self._open(self._documentation()),
            ActionKind.ABOUT: self._about,
            ActionKind.SET_LOGIN_START: lambda on: tray.set_login_start(on == "on"),
            ActionKind.SET_NOTIFICATIONS: lambda on: tray.choose(notifications=on == "on"),
            ActionKind.SET_LANGUAGE: lambda language: tray.choose(language=language),
        }
        self._long = frozenset(kind for kind in self._does if kind.endswith(("_model", "_download"))) | {ActionKind.SAVE_DIAGNOSTICS}

    def do(self, action: Action) -> None:
        """Do it. An OndolError says what kept it from being done."""
        self._does[action.kind](action.target)

    def takes_long(self, action: Action) -> bool:
        """Whether it may wait for the server or the disk."""
        return action.kind in self._long

    def _open_chat(self, _: str) -> None:
        if self._tray.snapshot.server.state in AT_REST:
            self._tray.keeper.start()
        self._tray.chat.open()

    def explain(self, how: str) -> None:
        """How to get a chat page, as a text to copy the commands from: nobody can out of a notification."""
        path = self._tray.home.root / "get-open-webui.txt"
        atomic_file.write(path, how + "\n")
        self._tray.tell(Notice("no_chat_page", {"path": str(path)}))
        self._tray.handover.open(path)

    def _use_model(self, id: str) -> None:
        """The model that answers where none is named, from now on; and into memory, so that its first answer comes soon."""
        self._client()  # without a server nothing could be loaded: say so before anything is changed
        lines: list[dict[str, Any]] = []
        ended = threading.Event()
        Command(self._tray.home, ["models", "use", "--json", "--", id], on_line=lines.append, on_end=lambda _: ended.set())
        if not ended.wait(USE_SECONDS):
            raise OndolError(f"`ondol models use {id}` does not end.", hint="Try again.")
        if errors := [message(said) for said in lines if message(said)]:
            raise OndolError(errors[-1])
        self._tray.models.look()
        self._at_server(lambda client: client.load(id))
        for said in lines:
            if said.get("first"):
                self._tray.tell(Notice("other_default", {"chosen": id, "default": str(said["first"]), "place": str(said.get("place"))}))

    def _at_server(self, work: Callable[[Client], None]) -> None:
        try:
            work(self._client())
        finally:
            self._tray.models.look()

    def _client(self) -> Client:
        client = self._tray.models.client
        if client is None:
            raise NotReady("The server does not run.", hint="Start it in the menu, under Server.")
        return client

    def _address(self) -> str:
        if address := self._tray.snapshot.server.address:
            return address
        raise NotReady("The server does not run.", hint="Start it in the menu, under Server.")

    def _copy(self, text: str) -> None:
        if not self._tray.handover.copy(text):
            self._tray.tell(Notice("copy_yourself", {"text": text}))

    def _copy_key(self, _: str) -> None:
        home = self._tray.home
        if not self._tray.handover.copy(api_key(home)):
            # Notifications stay in a list that others may see, and in a log: the key itself goes into neither.
            self._tray.tell(Notice("copy_yourself", {"text": str(home.key)}))

    def _open_logs(self, _: str) -> None:
        logs = self._tray.home.logs
        self._open(logs if logs.is_dir() else self._tray.home.root)

    def _open(self, path: Path) -> None:
        if not self._tray.handover.open(path):
            self._tray.tell(Notice("open_yourself", {"text": str(path)}))

    def _documentation(self) -> Path:
        """The README of a clone, in the user's language where there is one; an installed package carries its text in its metadata."""
        for name in (f"README.{self._tray.language}.md", "README.md"):
            if (ROOT / name).is_file() and (ROOT / "pyproject.toml").is_file():
                return ROOT / name
        path = self._tray.home.root / "README.md"
        atomic_file.write(path, str(importlib.metadata.metadata("ondol").json.get("description", "")))
        return path

    def _about(self, _: str) -> None:
        server = self._tray.snapshot.server
        version = server.version or importlib.metadata.version("ondol")
        self._tray.tell(Notice("about", {"version": version, "address": server.address}))

    def _save_diagnostics(self, _: str) -> None:
        from tray.diagnosis import diagnostics

        path = diagnostics.save(self._tray.home)
        self._tray.tell(Notice("saved", {"path": str(path)}))
        self._tray.handover.open(path.parent)
