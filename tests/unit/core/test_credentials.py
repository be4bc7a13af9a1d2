from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.credentials import api_key, matches
from app.core.errors import BadSetting
from app.core.paths import Home

ASK = """
import sys
from pathlib import Path
from app.core.credentials import api_key
from app.core.paths import Home
print(api_key(Home(Path(sys.argv[1]))))
"""


def test_the_key_is_made_at_the_first_call_and_stays(tmp_path: Path) -> None:
    first = api_key(Home(tmp_path))
    assert re.fullmatch(r"sk-ondol-[A-Za-z0-9_-]{32}", first)
    assert api_key(Home(tmp_path)) == first


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_key_file_is_readable_by_its_owner_alone_also_when_somebody_opened_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        key = api_key(Home(tmp_path))
    finally:
        os.umask(old)
    assert Home(tmp_path).key.stat().st_mode & 0o777 == 0o600
    Home(tmp_path).key.chmod(0o644)
    assert api_key(Home(tmp_path)) == key
    assert Home(tmp_path).key.stat().st_mode & 0o777 == 0o600


def test_processes_that_ask_at_once_agree_on_one_key(tmp_path: Path) -> None:
    asking = [subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in asking}) == 1


def test_an_empty_key_file_is_filled_and_one_that_the_owner_wrote_is_kept(tmp_path: Path) -> None:
    Home(tmp_path).key.write_text("\n")
    assert api_key(Home(tmp_path)).startswith("sk-ondol-")
    Home(tmp_path).key.write_text("\ufeffmy-own-key\r\n", encoding="utf-8")
    assert api_key(Home(tmp_path)) == "my-own-key"


def test_a_key_that_no_header_can_carry_is_told(tmp_path: Path) -> None:
    Home(tmp_path).key.write_text("two words")
    with pytest.raises(BadSetting, match="Delete the file"):
        api_key(Home(tmp_path))


def test_only_the_whole_key_matches() -> None:
    assert matches("sk-ondol-a", "sk-ondol-a")
    assert not matches("sk-ondol-", "sk-ondol-a")
    assert not matches("열쇠", "sk-ondol-a")
    assert not matches("", "")
