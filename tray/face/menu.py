"""The menu as values: a snapshot becomes rows. Pure; the icon draws them and keeps those that have not changed.

Every row has a key that stays the same while its label changes, and rows keep their places: only problems, downloads and models
come and go.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from tray.face.words import WORDS, Language, say
from tray.records import Action, ActionKind, Download, Model, Problem, Server, Snapshot, State, Sync

WIDEST = 64  # columns of a label; a Hangul syllable takes two
NAME = 40  # columns of a name inside a label
DOWNLOADS = 5  # rows; the rest is counted
RUNS = (State.READY, State.EXTERNAL, State.SUSPECT)


@dataclass(frozen=True)
class Row:
    """One row. `checked` None: it has no mark; `radio`: its mark is one of several. A row with `rows` opens them."""

    key: str
    label: str = ""
    action: Action | None = None
    enabled: bool = True
    checked: bool | None = None
    radio: bool = False
    rows: tuple[Row, ...] = ()
    separator: bool = False


def rows(snapshot: Snapshot, language: Language, now: float) -> tuple[Row, ...]:
    """The whole menu. `now` in seconds since 1970."""
    runs = snapshot.server.state in RUNS
    return (
        Row("status", status(snapshot.server, language), enabled=False),
        *_problem(snapshot, language),
        Row("after-status", separator=True),
        *_downloads(snapshot.downloads, runs, language),
        _chat(snapshot, language),
        Row("models", say("menu.models", language), rows=tuple(_models(snapshot.models, runs, language))),
        _sync(snapshot.sync, language, now),
        Row("after-work", separator=True),
        Row("server", say("menu.server", language), rows=_server(snapshot.server, language)),
        Row("help", say("menu.help", language), rows=_help(snapshot.server, language)),
        Row("settings", say("menu.settings", language), rows=_settings(snapshot, language)),
        Row("before-quit", separator=True),
        Row("quit", say("menu.quit" if _ends_with_us(snapshot.server.state) else "menu.quit_only", language), Action(ActionKind.QUIT)),
    )


def _ends_with_us(state: State) -> bool:
    """Whether Quit takes a server away from somebody who may be using it."""
    return state not in (State.EXTERNAL, State.STOPPED, State.FAILED)


def status(server: Server, language: Language) -> str:
    """The first line, and the icon's tip."""
    line = say(f"state.{server.state}", language)
    if not server.progress or server.state not in (State.STARTING, State.BACKOFF, State.STOPPING):
        return line
    known = f"progress.{server.progress}"
    return cut(f"{line.removesuffix('…')} ({say(known, language) if known in WORDS else server.progress})")


def cut(text: str, columns: int = WIDEST) -> str:
    """One line of at most so many columns: the middle of a long text gives way, as the ends of names tell them apart."""
    line = "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
    line = "".join(letter for letter in " ".join(line.split()) if unicodedata.category(letter) != "Cf")
    if _columns(line) <= columns:
        return line
    head = _fitting(line, (columns - 1) * 2 // 3)
    tail = _fitting(line[::-1], columns - 1 - _columns(head))[::-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def size(count: int) -> str:
    """Bytes for people: `95 MB`, `4.7 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def ago(seconds: float, language: Language) -> str:
    """How long ago, roughly; a clock that was set back counts as just now."""
    for code, unit, below in (("minute", 60, 3600), ("hour", 3600, 86400), ("day", 86400, float("inf"))):
        if seconds < unit:
            return say("ago.now", language)
        if seconds < below:
            count = int(seconds // unit)
            return say(f"ago.{code}" if count == 1 else f"ago.{code}s", language, count=count)
    return ""


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _fitting(text: str, columns: int) -> str:
    used = 0
    for at, letter in enumerate(text):
        used += _columns(letter)
        if used > columns:
            return text[:at]
    return text


def _problem(snapshot: Snapshot, language: Language) -> Iterable[Row]:
    """The one that matters most: without a server neither chat nor sync is worth a word."""
    problem = snapshot.server.problem
    if problem is None and snapshot.chat.state == "failed":
        problem = Problem("chat_failed_problem", {"message": snapshot.chat.error}, Action(ActionKind.OPEN_CHAT))
    if problem is None and snapshot.sync.error and not snapshot.sync.running:
        problem = Problem("sync_failed_problem", {"message": snapshot.sync.error}, Action(ActionKind.SYNC_NOW))
    if problem is None:
        return
    yield Row("problem", cut(f"⚠ {say(problem.code, language, **problem.values)}", WIDEST + 16), enabled=False)
    if problem.remedy is not None:
        yield Row("remedy", _remedy(problem.remedy, language), problem.remedy)


def _remedy(action: Action, language: Language) -> str:
    if action.kind == ActionKind.START_SERVER:
        return say("remedy.retry", language)
    code = f"remedy.{action.kind}"
    return say(code if code in WORDS else "remedy.other", language)


def _downloads(downloads: tuple[Download, ...], runs: bool, language: Language) -> Iterable[Row]:
    for one in downloads[:DOWNLOADS]:
        yield Row(f"download:{one.id}", _download(one, language), rows=tuple(_download_rows(one, runs, language)))
    if len(downloads) > DOWNLOADS:
        yield Row("downloads-more", say("menu.downloads_more", language, count=len(downloads) - DOWNLOADS), enabled=False)
    if downloads:
        yield Row("after-downloads", separator=True)


def _download(one: Download, language: Language) -> str:
    code = {"downloading": "menu.download", "paused": "menu.download_paused", "failed": "menu.download_failed"}[one.state]
    name = cut(one.name or one.id, NAME)
    if one.state != "failed" and one.total <= 0:
        return say(f"{code}_unknown", language, name=name, size=size(one.done))
    percent = min(100, one.done * 100 // one.total) if one.total > 0 else 0
    return say(code, language, name=name, percent=percent, size=size(one.total))


def _download_rows(one: Download, runs: bool, language: Language) -> Iterable[Row]:
    # One row both ways, in its place.
    under_way = one.state == "downloading"
    kind, word = (ActionKind.PAUSE_DOWNLOAD, "menu.pause") if under_way else (ActionKind.RESUME_DOWNLOAD, "menu.resume")
    yield Row(f"turn:{one.id}", say(word, language), Action(kind, one.id), enabled=runs)
    yield Row(f"cancel:{one.id}", say("menu.cancel", language), Action(ActionKind.CANCEL_DOWNLOAD, one.id), enabled=runs)
    if one.error:
        yield Row(f"reason:{one.id}", cut(say("menu.download_reason", language, message=one.error), WIDEST + 16), enabled=False)


def _chat(snapshot: Snapshot, language: Language) -> Row:
    word = {"absent": "menu.chat_absent", "starting": "menu.chat_starting"}.get(snapshot.chat.state, "menu.chat")
    off = snapshot.server.state in (State.STOPPED, State.STOPPING, State.FAILED)
    # How to get the page is worth reading with no server too.
    return Row("chat", say(word, language), Action(ActionKind.OPEN_CHAT), enabled=not off or snapshot.chat.state == "absent")


def _models(models: tuple[Model, ...], runs: bool, language: Language) -> Iterable[Row]:
    if not models:
        yield Row("no-models", say("menu.no_models", language), enabled=False)
        return
    for one in models:
        word = {"loaded": "menu.model_loaded", "loading": "menu.model_loading", "failed": "menu.model_failed"}.get(one.state, "menu.model")
        label = say(word, language, name=cut(one.name or one.id, NAME))
        yield Row(f"model:{one.id}", label, Action(ActionKind.USE_MODEL, one.id), enabled=runs, checked=one.default, radio=True)
    yield Row("after-models", separator=True)
    held = [one for one in models if one.state in ("loaded", "loading")]
    for one in held:
        label = say("menu.unload", language, name=cut(one.name or one.id, NAME))
        yield Row(f"unload:{one.id}", label, Action(ActionKind.UNLOAD_MODEL, one.id), enabled=runs)
    if not held:
        yield Row("unload", say("menu.unload_none", language), enabled=False)


def _sync(sync: Sync, language: Language, now: float) -> Row:
    if sync.running and sync.total > 0:
        label = say("menu.sync_percent", language, percent=min(100, sync.items * 100 // sync.total))
    elif sync.running:
        label = say("menu.sync_items", language, items=f"{sync.items:,}") if sync.items else say("menu.sync_running", language)
    elif not sync.sources:
        label = say("menu.sync_nothing", language)
    else:
        label = say("menu.sync", language, ago=say("ago.never", language) if sync.last is None else ago(now - sync.last, language))
    return Row("sync", label, Action(ActionKind.SYNC_NOW), enabled=sync.sources > 0 and not sync.running)


def _server(server: Server, language: Language) -> tuple[Row, ...]:
    # Somebody else's server too: a person who clicks means the one that they see.
    on = server.state not in (State.STOPPED, State.STOPPING, State.FAILED)
    off = server.state in (State.STOPPED, State.BACKOFF, State.FAILED)
    return (
        Row("start", say("menu.start", language), Action(ActionKind.START_SERVER), enabled=off),
        Row("stop", say("menu.stop", language), Action(ActionKind.STOP_SERVER), enabled=on),
        Row("restart", say("menu.restart", language), Action(ActionKind.RESTART_SERVER), enabled=on),
        Row("after-run", separator=True),
        Row("copy-address", say("menu.copy_address", language), Action(ActionKind.COPY_ADDRESS), enabled=bool(server.address)),
        Row("copy-key", say("menu.copy_key", language), Action(ActionKind.COPY_KEY)),
    )


def _help(server: Server, language: Language) -> tuple[Row, ...]:
    return (
        Row("logs", say("menu.logs", language), Action(ActionKind.OPEN_LOGS)),
        Row("diagnostics", say("menu.diagnostics", language), Action(ActionKind.SAVE_DIAGNOSTICS)),
        Row("documentation", say("menu.documentation", language), Action(ActionKind.OPEN_DOCUMENTATION)),
        Row("about", " ".join(say("menu.about", language, version=server.version).split()), Action(ActionKind.ABOUT)),
    )


def _settings(snapshot: Snapshot, language: Language) -> tuple[Row, ...]:
    at_login, notes, chosen = snapshot.starts_at_login, snapshot.choices.notifications, snapshot.choices.language
    return (
        Row(
            "login",
            say("menu.login_absent" if at_login is None else "menu.login", language),
            Action(ActionKind.SET_LOGIN_START, "off" if at_login else "on"),
            enabled=at_login is not None,
            checked=bool(at_login),
        ),
        Row(
            "notifications",
            say("menu.notifications", language),
            Action(ActionKind.SET_NOTIFICATIONS, "off" if notes else "on"),
            checked=notes,
        ),
        Row(
            "language",
            say("menu.language", language),
            rows=tuple(
                Row(
                    f"language:{one}",
                    say(f"menu.language_{one}", language),
                    Action(ActionKind.SET_LANGUAGE, one),
                    checked=one == chosen,
                    radio=True,
                )
                for one in ("auto", "en", "ko")
            ),
        ),
    )
