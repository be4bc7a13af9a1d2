from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_program import SCHEMA

from app.chat_page import database
from app.chat_page.connection import CONFIGS, ENABLE, KEYS, URLS, Connection, settings
from app.core.errors import BadRequest, Conflict, DiskFull, Forbidden, NotFound, OndolError

OURS = Connection("http://127.0.0.1:11500/v1", "sk-ondol-new")
CLOUD = "https://api.openai.com/v1"


@pytest.fixture
def webui(tmp_path: Path) -> Iterator[Path]:
    """A database as Open WebUI 0.12.4 makes it, held open by a connection as a running one does."""
    folder = tmp_path / "오픈 웹UI #1?"
    folder.mkdir()
    path = folder / "webui.db"
    held = sqlite3.connect(path)
    held.execute("PRAGMA journal_mode = WAL")
    held.executescript(SCHEMA)
    first: dict[str, Any] = {ENABLE: True, URLS: [CLOUD], KEYS: ["sk-theirs"], CONFIGS: {}, "ui.banners": [{"content": "안녕하세요"}]}
    held.executemany("INSERT INTO config VALUES (?, ?, 1)", [(key, json.dumps(value)) for key, value in first.items()])
    held.commit()
    yield path
    held.close()


def stored(path: Path) -> dict[str, Any]:
    other = sqlite3.connect(path)
    found = {key: json.loads(value) for key, value in other.execute("SELECT key, value FROM config")}
    other.close()
    return found


def test_the_connection_comes_after_those_that_are_there_and_nothing_else_changes(webui: Path) -> None:
    database.connect(webui, OURS)
    assert stored(webui) == {
        ENABLE: True,
        URLS: [CLOUD, OURS.address],
        KEYS: ["sk-theirs", OURS.key],
        CONFIGS: {"1": settings()},
        "ui.banners": [{"content": "안녕하세요"}],
    }


def test_a_second_time_no_row_is_touched(webui: Path) -> None:
    database.connect(webui, OURS)
    other = sqlite3.connect(webui)
    other.execute("UPDATE config SET updated_at = 7")
    other.commit()
    assert database.connect(webui, OURS).rows == {}
    assert set(other.execute("SELECT updated_at FROM config")) == {(7,)}
    other.close()


def test_another_port_and_key_replace_ours(webui: Path) -> None:
    database.connect(webui, OURS)
    database.connect(webui, Connection("http://127.0.0.1:11999/v1", "sk-ondol-newer"))
    found = stored(webui)
    assert (found[URLS], found[KEYS]) == ([CLOUD, "http://127.0.0.1:11999/v1"], ["sk-theirs", "sk-ondol-newer"])


def test_a_failure_in_the_middle_leaves_everything_as_it_was(webui: Path) -> None:
    before = stored(webui)
    other = sqlite3.connect(webui)
    other.execute(f"CREATE TRIGGER no BEFORE INSERT ON config WHEN new.key = '{CONFIGS}' BEGIN SELECT RAISE(ABORT, 'no'); END")
    other.commit()
    with pytest.raises(Exception, match="no"):
        database.connect(webui, OURS)
    other.close()
    assert stored(webui) == before


def test_a_database_that_another_program_is_writing_to_is_a_conflict(webui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    other = sqlite3.connect(webui, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Conflict, match="by hand"):
        database.connect(webui, OURS)
    other.execute("ROLLBACK")
    other.close()


def test_broken_json_is_named_and_left_alone(webui: Path) -> None:
    other = sqlite3.connect(webui)
    other.execute("UPDATE config SET value = '[\"http' WHERE key = ?", (URLS,))
    other.commit()
    with pytest.raises(BadRequest, match=r"openai\.api_base_urls"):
        database.connect(webui, OURS)
    assert other.execute("SELECT value FROM config WHERE key = ?", (URLS,)).fetchone() == ('["http',)
    other.close()


def test_an_older_version_that_keeps_its_settings_in_one_row_is_told(tmp_path: Path) -> None:
    path = tmp_path / "webui.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE config (id INTEGER PRIMARY KEY, data JSON NOT NULL, version INTEGER NOT NULL)")
    old.close()
    assert not database.is_current(path)
    with pytest.raises(BadRequest, match="another version"):
        database.connect(path, OURS)


def test_a_file_without_any_settings_is_told(tmp_path: Path) -> None:
    (tmp_path / "webui.db").touch()
    with pytest.raises(BadRequest, match="another version"):
        database.connect(tmp_path / "webui.db", OURS)


def test_an_encrypted_or_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "webui.db"
    path.write_bytes(b"\x8f\x01" * 5000)
    with pytest.raises(BadRequest, match="encrypted, or damaged"):
        database.connect(path, OURS)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("attempt to write a readonly database", Forbidden),
        ("unable to open database file", Forbidden),
        ("database is locked", Conflict),
        ("database or disk is full", DiskFull),
    ],
)
def test_what_sqlite_says_becomes_what_to_do(said: str, error: type[OndolError]) -> None:
    assert type(database.told(sqlite3.OperationalError(said), Path("webui.db"))) is error


def test_accounts_are_counted_and_the_one_without_login_is_known(webui: Path) -> None:
    assert database.accounts(webui) == (0, False)
    other = sqlite3.connect(webui)
    other.executemany('INSERT INTO "user" (id, email) VALUES (?, ?)', [("1", "kim@example.com"), ("2", "Admin@localhost")])
    other.commit()
    other.close()
    assert database.accounts(webui) == (2, True)


def test_the_folder_given_comes_before_the_environment_and_that_before_our_own(webui: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert database.locate(webui.parent, {"DATA_DIR": str(nowhere)}, nowhere) == webui
    assert database.locate(webui, {}, nowhere) == webui
    assert database.locate(None, {"DATA_DIR": str(webui.parent)}, nowhere) == webui
    assert database.locate(None, {"DATABASE_URL": f"sqlite:///{webui}", "DATA_DIR": str(nowhere)}, nowhere) == webui
    assert database.locate(None, {}, webui.parent) == webui


def test_a_database_that_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--data-dir"):
        database.locate(None, {}, tmp_path)
    with pytest.raises(NotFound, match="DATA_DIR leads to"):
        database.locate(None, {"DATA_DIR": str(tmp_path)}, tmp_path)


def test_a_postgresql_database_is_to_be_set_by_hand_and_its_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="by hand") as told:
        database.locate(None, {"DATABASE_URL": "postgresql://webui:geheim@db/webui"}, tmp_path)
    assert "geheim" not in str(told.value)


def ondol(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "DATABASE_URL")}
    line = [sys.executable, "-P", "-m", "app.cli", "connect", "open-webui", *words]
    return subprocess.run(line, env={**environment, "ONDOL_HOME": str(home)}, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_all_that_is_needed_for_programs(tmp_path: Path) -> None:
    told = json.loads(ondol(tmp_path, "--json").stdout)
    assert told["address"] == "http://127.0.0.1:11500/v1"
    assert told["key"] == (tmp_path / "key").read_text(encoding="utf-8").strip()
    assert (told["provider"], told["connection_type"], told["headers"]) == ("llama.cpp", "local", settings()["headers"])
    assert told["environment"]["OFFLINE_MODE"] == "true"
    assert told["docker"]["address"] == "http://host.docker.internal:11500/v1"


def test_the_command_prints_the_key_once_for_people(tmp_path: Path) -> None:
    said = ondol(tmp_path).stdout
    assert said.count((tmp_path / "key").read_text(encoding="utf-8").strip()) == 1
    assert "Admin Settings, Connections" in said


def test_a_port_that_is_chosen_at_each_start_asks_for_a_running_server(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 0}\n", encoding="utf-8")
    done = ondol(tmp_path)
    assert (done.returncode, "ondol serve" in done.stderr) == (75, True)


def test_the_command_writes_says_what_was_before_and_then_that_all_is_right(webui: Path, tmp_path: Path) -> None:
    first = ondol(tmp_path, "--write", "--data-dir", str(webui.parent))
    assert f"before  {CLOUD}" in first.stdout
    assert CLOUD in first.stderr
    again = ondol(tmp_path, "--write", "--data-dir", str(webui.parent))
    assert again.stdout.startswith("Already connected to http://127.0.0.1:11500/v1")
    assert stored(webui)[URLS] == [CLOUD, "http://127.0.0.1:11500/v1"]
    key = (tmp_path / "key").read_text(encoding="utf-8").strip()
    assert key not in first.stdout + first.stderr + again.stdout
