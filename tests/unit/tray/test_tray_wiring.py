"""What the tray passes from one watcher to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.paths import Home
from tray.records import Download, Server, Snapshot, Sync
from tray.tray import Tray
from tray.watching.client import Listing


class Kept:
    """In a keeper's place: what it was told."""

    def __init__(self, home: Home, tell: Callable[[Server], None]) -> None:
        self.told: list[bool] = []

    def start(self) -> None:
        pass

    def occupied(self, busy: bool) -> None:
        self.told.append(busy)

    def close(self, seconds: float) -> None:
        pass


class Watching:
    """In a watcher's place: its `tell`, for the test to call. Methods that nobody calls here are missing."""

    def __init__(self, _: object, tell: Callable[..., None]) -> None:
        self.tell = tell

    def close(self, *_: float) -> None:
        pass


class Face:
    def show(self, snapshot: Snapshot) -> None:
        pass

    def notify(self, title: str, text: str) -> None:
        pass


def test_the_keeper_knows_of_a_download_or_a_sync_for_as_long_as_one_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name, instead in (("Keeper", Kept), ("ModelsWatch", Watching), ("Syncing", Watching)):
        monkeypatch.setattr(f"tray.tray.{name}", instead)
    tray = Tray(Home(tmp_path / "온돌 home"), lambda: None)
    tray.begin(Face(), icon=False)
    models, sync = tray.models.tell, tray.sync.tell  # type: ignore[attr-defined]
    models(Listing(downloads=(Download("a", "a", 1, 10),)), ())
    models(Listing(downloads=(Download("a", "a", 2, 10),)), ())
    sync(Sync(running=True))
    models(Listing(downloads=(Download("a", "a", 2, 10, "paused"),)), ())
    assert tray.keeper.told == [True]  # type: ignore[attr-defined]
    sync(Sync(last=1.0))
    assert tray.keeper.told == [True, False]  # type: ignore[attr-defined]
    tray.close()
