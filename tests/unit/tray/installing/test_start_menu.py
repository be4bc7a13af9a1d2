from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import OndolError
from tray.installing.launch import Launch
from tray.installing.places import Desktop
from tray.installing.start_menu import StartMenu, script

LAUNCH = Launch("C:\\Users\\O’Brien 김\\pythonw.exe", home="D:\\it's mine\\자료")


class PowerShell:
    """Makes the shortcut that the script asks for: its path is in the first of its texts. Or fails as told."""

    def __init__(self, status: int = 0, said: str = "", *, lies: bool = False) -> None:
        self.status, self.said, self.lies = status, said, lies
        self.script = ""

    def __call__(self, line: Sequence[str]) -> tuple[int, str]:
        self.script = base64.b64decode(line[-1]).decode("utf-16-le")
        found = re.search(r"CreateShortcut\('((?:[^']|'')*)'\)", self.script)
        assert found is not None
        if self.status == 0 and not self.lies:
            Path(found[1].replace("''", "'")).write_text(self.script, encoding="utf-8")
        return self.status, self.said


def desktop(home: Path, run: PowerShell) -> Desktop:
    return Desktop("win32", home, {"APPDATA": f"{home}/It's 로밍", "LOCALAPPDATA": f"{home}/로컬"}, run)


@pytest.mark.parametrize(("language", "name"), [("en", "Ondol.lnk"), ("ko", "온돌 (Ondol).lnk")])
def test_the_shortcut_has_the_name_of_its_language_and_starts_the_tray(tmp_path: Path, language: str, name: str) -> None:
    shell = PowerShell()
    written = StartMenu(desktop(tmp_path, shell)).add(LAUNCH, language)
    assert written[0] == tmp_path / "It's 로밍/Microsoft/Windows/Start Menu/Programs" / name
    assert [path.name for path in written[0].parent.iterdir()] == [name]
    assert "$shortcut.TargetPath = 'C:\\Users\\O’’Brien 김\\pythonw.exe'" in shell.script
    assert "$shortcut.Arguments = '-P -m tray.main --home \"D:\\it''s mine\\자료\"'" in shell.script
    assert "$shortcut.WorkingDirectory = 'C:\\Users\\O’’Brien 김'" in shell.script


def test_installing_in_the_other_language_leaves_one_shortcut(tmp_path: Path) -> None:
    menu = StartMenu(desktop(tmp_path, PowerShell()))
    first = menu.add(LAUNCH, "en")[0]
    second = menu.add(LAUNCH, "ko")[0]
    assert list(first.parent.iterdir()) == [second]


def test_the_icon_holds_every_size_that_windows_shows(tmp_path: Path) -> None:
    icon = StartMenu(desktop(tmp_path, PowerShell())).add(LAUNCH, "en")[1]
    with Image.open(io.BytesIO(icon.read_bytes())) as image:
        assert image.info["sizes"] == {(size, size) for size in (16, 20, 24, 32, 48, 64, 256)}


@pytest.mark.parametrize("shell", [PowerShell(1, "policy"), PowerShell(lies=True), PowerShell(127, "no such file")])
def test_where_windows_makes_none_the_error_says_so_and_an_earlier_one_stays(tmp_path: Path, shell: PowerShell) -> None:
    earlier = StartMenu(desktop(tmp_path, PowerShell())).add(LAUNCH, "en")[0]
    with pytest.raises(OndolError, match="did not make the shortcut"):
        StartMenu(desktop(tmp_path, shell)).add(LAUNCH, "en")
    assert earlier.exists()


def test_remove_takes_both_files_away_and_a_second_time_nothing(tmp_path: Path) -> None:
    menu = StartMenu(desktop(tmp_path, PowerShell()))
    assert sorted(menu.add(LAUNCH, "ko")) == sorted(menu.remove())
    assert menu.remove() == []


def test_no_value_can_leave_its_quotes() -> None:
    text = script(Launch("C:\\x'; Remove-Item C:\\ ‘"), Path("a'b.lnk"), Path("i"), "’; calc")
    plain = re.sub(r"'(?:[^'‘’]|''|‘‘|’’)*'", "", text)
    assert "Remove-Item" not in plain
    assert "calc" not in plain
