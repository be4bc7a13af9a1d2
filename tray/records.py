"""What the tray's parts tell each other: frozen values. The supervisor's, the menu's, and what a click asks for.

watchers (server, downloads, chat page, sync)  ->  Snapshot  ->  menu.rows(snapshot)  ->  icon
a click on a row                               ->  Action    ->  tray.act(action)     ->  a watcher, in a thread
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """Where the server's life stands.

    `external`: a server that this tray did not start, adopted. `suspect`: it does not answer as it should. `backoff`: it ended
    and is started again soon. `failed`: it is not started again by itself.
    """

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    SUSPECT = "suspect"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXTERNAL = "external"
    FAILED = "failed"


class ActionKind(StrEnum):
    """What a row can do. `target` is a model's id, a download's id, or a language where one is named."""

    OPEN_CHAT = "open_chat"
    USE_MODEL = "use_model"
    UNLOAD_MODEL = "unload_model"
    PAUSE_DOWNLOAD = "pause_download"
    RESUME_DOWNLOAD = "resume_download"
    CANCEL_DOWNLOAD = "cancel_download"
    SYNC_NOW = "sync_now"
    START_SERVER = "start_server"
    STOP_SERVER = "stop_server"
    RESTART_SERVER = "restart_server"
    COPY_ADDRESS = "copy_address"
    COPY_KEY = "copy_key"
    OPEN_LOGS = "open_logs"
    SAVE_DIAGNOSTICS = "save_diagnostics"
    OPEN_DOCUMENTATION = "open_documentation"
    ABOUT = "about"
    SET_LOGIN_START = "set_login_start"  # target "on" | "off"
    SET_NOTIFICATIONS = "set_notifications"  # target "on" | "off"
    SET_LANGUAGE = "set_language"  # target "auto" | "en" | "ko"
    QUIT = "quit"


@dataclass(frozen=True)
class Action:
    """A click."""

    kind: ActionKind
    target: str = ""


@dataclass(frozen=True)
class Problem:
    """Something is wrong: a word of ours for what (`words.py` has it in both languages), its values, and what may help.

    The server's (code: values; the state that it comes with):
      settings: detail (failed: a line of the configuration is wrong)     cannot_start: detail (failed: the program can't be run)
      newer_data: detail (failed: a newer Ondol has written the data)
      port_taken: port, program (failed)                                  other_port: port, wanted, program (ready, on another port)
      crashed: detail (backoff)    ended: - (backoff: ended in order, by somebody else)    crash_loop: times, detail (failed)
      slow_start: seconds (backoff)    hung: seconds (suspect, backoff)   disk_full: - (backoff)
      busy_home: detail (backoff: another server holds the data folder)   external_silent: address (suspect: not ours to end)
      log_unwritable: folder (ready)                                      still_running: pid (failed: it could not be ended)
    What is backoff is failed in the end, where it happens again and again; crashed then reads crash_loop.
    """

    code: str
    values: dict[str, str] = field(default_factory=dict)
    remedy: Action | None = None


@dataclass(frozen=True)
class Server:
    """The server as the icon shows it. `address` is http://host:port; `progress` is what a start waits for ("migrating")."""

    state: State = State.STOPPED
    address: str = ""
    version: str = ""
    progress: str = ""
    problem: Problem | None = None


@dataclass(frozen=True)
class Model:
    """A chat model on this disk. `default` is the one that answers where none is named."""

    id: str
    name: str
    state: Literal["loaded", "loading", "unloaded", "failed"] = "unloaded"
    default: bool = False


@dataclass(frozen=True)
class Download:
    """A download as the server reports it. Bytes; `total` 0 where unknown."""

    id: str
    name: str
    done: int = 0
    total: int = 0
    state: Literal["downloading", "paused", "failed"] = "downloading"
    error: str = ""


@dataclass(frozen=True)
class Sync:
    """`last` in seconds since 1970, None where it never ran; `error` of the last run, "" where it went well.

    While one runs, `items` of `total` rows and files are behind; `total` 0 where unknown.
    """

    running: bool = False
    last: float | None = None
    error: str = ""
    sources: int = 0
    items: int = 0
    total: int = 0


@dataclass(frozen=True)
class ChatPage:
    """Open WebUI on this machine. `absent`: none is installed."""

    state: Literal["unknown", "absent", "stopped", "starting", "ready", "failed"] = "unknown"
    url: str = ""
    error: str = ""


@dataclass(frozen=True)
class Choices:
    """What the user chose in the menu; kept in `tray.json` of the data folder. `language` "auto" follows the system.

    `chat_port` is where the chat page was last: what a browser knows of it, bookmark and login, belongs to its address.
    """

    notifications: bool = True
    language: Literal["auto", "en", "ko"] = "auto"
    chat_port: int = 8080


@dataclass(frozen=True)
class Snapshot:
    """All that the menu shows at one moment. `starts_at_login` None: this system has no such thing.

    `finished` names the downloads that have become models since the tray began, in that order.
    """

    server: Server = Server()
    models: tuple[Model, ...] = ()
    downloads: tuple[Download, ...] = ()
    sync: Sync = Sync()
    chat: ChatPage = ChatPage()
    choices: Choices = Choices()
    starts_at_login: bool | None = False
    finished: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notice:
    """A notification for a person: a word of ours (`words.py`) and its values.

    The second half answers a click (or a second start) at once, and is shown also where notifications are off.
    """

    code: Literal[
        "ready_first",  # address
        "download_finished",  # name
        "download_failed",  # name, message
        "sync_failed",  # message
        "recovered",
        "failed",  # code and values of the server's problem
        "no_chat_page",  # path, of the text that says how to get one
        "chat_failed",  # message
        "not_done",  # message: what a click could not do, and why
        "other_default",  # chosen, default (both models), place: the settings' own line goes before a choice in the menu
        "copy_yourself",  # text: no clipboard here
        "open_yourself",  # text: no browser or file manager here
        "saved",  # path, of the diagnostics
        "about",  # version, address
        "running",  # a second start: the icon is there already
    ]
    values: dict[str, str] = field(default_factory=dict)
