"""The default model: a choice in the menu, and a line of the settings that goes before it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tiny_models import gguf_bytes

from app.core.paths import Home
from models.library import Library
from tray.watching.command import Command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """With two chat models, of which `first` is the default."""
    monkeypatch.delenv("ONDOL_CONFIG", raising=False)
    home = Home(tmp_path / "온돌 home")
    library = Library(home.models)
    for seed, name in enumerate(("first", "second")):
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(gguf_bytes(seed=seed))
        library.pull(f"file:{path}")
    library.use("first")
    return home


def use(home: Home, model: str) -> dict[str, Any]:
    """What `ondol models use` says to the tray."""
    said: list[dict[str, Any]] = []
    ended = threading.Event()
    Command(home, ["models", "use", "--json", "--", model], on_line=said.append, on_end=lambda _: ended.set())
    assert ended.wait(60)
    [line] = said
    return line


@pytest.mark.parametrize("settings", ["", "models: {default: default}", "models: {default: second}"])
def test_where_the_settings_leave_it_open_the_choice_holds(home: Home, settings: str) -> None:
    home.config.write_text(settings, encoding="utf-8")
    assert use(home, "second") == {"event": "default", "id": "second", "kind": "chat", "first": "", "place": ""}


def test_where_a_line_of_the_settings_goes_first_that_is_said_with_its_place(home: Home) -> None:
    home.config.write_text("# ours\nmodels:\n  default: first\n", encoding="utf-8")
    said = use(home, "second")
    assert (said["first"], said["place"]) == ("first", "config.yaml line 3")


def test_where_a_variable_goes_first_that_is_said_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONDOL_MODELS__DEFAULT", "first")
    said = use(home, "second")
    assert (said["first"], said["place"]) == ("first", "environment variable ONDOL_MODELS__DEFAULT")
