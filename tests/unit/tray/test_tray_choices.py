from __future__ import annotations

import logging
import stat
import sys
from pathlib import Path

import pytest

from app.core.errors import OndolError
from app.core.paths import Home
from tray.choices import load, save
from tray.records import Choices


def test_without_a_file_the_defaults_hold_and_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(Home(tmp_path)) == Choices()
    assert caplog.records == []


@pytest.mark.parametrize("chosen", [Choices(notifications=False, language="ko"), Choices(language="en", chat_port=8083), Choices()])
def test_choices_come_back_from_a_folder_with_korean_letters(tmp_path: Path, chosen: Choices) -> None:
    home = Home(tmp_path / "온돌 집")
    save(home, chosen)
    assert load(home) == chosen
    assert [path.name for path in home.root.iterdir()] == ["tray.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'"ko"', b"null", b'{"language": "ko"'])
def test_a_damaged_file_means_the_defaults_and_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    (tmp_path / "tray.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert load(Home(tmp_path)) == Choices()
    assert len(caplog.records) == 1
    assert str(tmp_path / "tray.json") in caplog.text


def test_one_wrong_choice_costs_the_others_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tray.json").write_text('{"language": "fr", "notifications": false, "of a later version": 1}', encoding="utf-8")
    assert load(Home(tmp_path)) == Choices(notifications=False)
    assert "`language` is 'fr'" in caplog.text


def test_a_number_is_no_yes_or_no(tmp_path: Path) -> None:
    (tmp_path / "tray.json").write_text('{"language": "ko", "notifications": 0}', encoding="utf-8")
    assert load(Home(tmp_path)) == Choices(language="ko")


@pytest.mark.parametrize("port", ["true", "0", "65536", "8081.5", '"8081"'])
def test_what_is_no_port_leaves_the_chat_page_where_it_is_by_default(tmp_path: Path, port: str) -> None:
    (tmp_path / "tray.json").write_text(f'{{"language": "ko", "chat_port": {port}}}', encoding="utf-8")
    assert load(Home(tmp_path)) == Choices(language="ko")


def test_a_folder_that_can_not_be_written_is_an_error_and_the_old_choices_stay(tmp_path: Path) -> None:
    home = Home(tmp_path / "a file")
    home.root.touch()
    with pytest.raises(OndolError):
        save(home, Choices())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    save(Home(tmp_path), Choices())
    assert stat.S_IMODE((tmp_path / "tray.json").stat().st_mode) == 0o600
