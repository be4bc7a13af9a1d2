from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import BadSetting
from tray.installing.launch import MODULE, Launch, mended, parse, this_one

OURS = Launch("/new/bin/python", home="/data/온돌 집")


def test_the_line_says_again_what_the_environment_said() -> None:
    launch = this_one({"ONDOL_HOME": "/data/온돌 집", "ONDOL_CONFIG": "/etc/ondol.yaml"}, executable="/venv/bin/python")
    assert launch.line == ["/venv/bin/python", *MODULE, "--home", "/data/온돌 집", "--config", "/etc/ondol.yaml"]


def test_a_relative_home_is_made_absolute_and_the_platforms_own_is_not_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert this_one({"ONDOL_HOME": "here"}, executable="python").home == str(tmp_path / "here")
    assert this_one({"ONDOL_HOME": ""}, executable="/p").line == ["/p", *MODULE]


def test_a_folder_in_the_users_home_called_tray_is_not_taken_for_ours() -> None:
    assert "-P" in this_one({}, executable="/p").line


def test_on_windows_the_interpreter_without_a_console_is_taken_where_there_is_one(tmp_path: Path) -> None:
    loud, quiet = tmp_path / "Python.exe", tmp_path / "pythonw.exe"
    loud.touch()
    assert this_one({}, executable=str(loud)).program == str(loud)
    quiet.touch()
    assert this_one({}, executable=str(loud)).program == str(quiet)


def test_a_path_with_a_line_break_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadSetting, match="Rename the folder"):
        this_one({"ONDOL_HOME": "/data/a\nExec=evil"}, executable="/p")


@pytest.mark.parametrize(
    "launch", [Launch("/p"), Launch("/p q/온돌", home="/h"), Launch("/p", config="/c.yaml", headless=True), Launch("/bin/ondol-tray", ())]
)
def test_a_line_is_read_back_to_the_same(launch: Launch) -> None:
    assert parse(launch.line) == launch


def test_an_empty_line_is_no_launch() -> None:
    assert parse([]) is None


def here(*places: str) -> object:
    return lambda place: place in places


def test_an_entry_over_our_data_starts_this_installation_from_now_on() -> None:
    old = Launch("/old/bin/python", home=OURS.home)
    assert mended(old, OURS, here("/old/bin/python")) == OURS  # type: ignore[arg-type]


def test_an_entry_over_other_data_is_left_alone_while_its_program_is_there() -> None:
    other = Launch("/old/bin/python", home="/data/other")
    assert mended(other, OURS, here("/old/bin/python", "/data/other")) == other  # type: ignore[arg-type]


def test_an_entry_whose_program_has_gone_keeps_its_data_folder() -> None:
    other = Launch("/old/bin/python", home="/data/other", config="/c.yaml")
    assert mended(other, OURS, here("/data/other")) == Launch(OURS.program, home="/data/other", config="/c.yaml")  # type: ignore[arg-type]


def test_an_entry_whose_program_and_data_have_gone_is_ours() -> None:
    assert mended(Launch("/old/p", home="/gone"), OURS, here()) == OURS  # type: ignore[arg-type]


def test_an_entry_that_starts_without_an_icon_goes_on_to_do_so() -> None:
    assert mended(Launch("/old/p", home=OURS.home, headless=True), OURS, here()).headless  # type: ignore[arg-type]


def test_an_entry_that_can_not_be_read_is_ours() -> None:
    assert mended(None, OURS, here()) == OURS  # type: ignore[arg-type]
