"""The diagnostics of a home full of secrets, made by the real child with the real commands."""

from __future__ import annotations

import json
import os
import stat
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from app.core import server_record
from app.core.credentials import api_key
from app.core.errors import OndolError
from app.core.paths import Home
from tray.diagnosis import diagnostics
from tray.diagnosis.diagnostics import ALL_BYTES, LOG_BYTES, make, save

PASSWORD = 'h0rse "b@ttery" 스테이플/'
CLOUD_KEY = "cloud-key-of-no-known-shape-7781"
PLANTED = {
    "a password of a database": PASSWORD,
    "the same, in a URL": "h0rse%20%22b%40ttery%22",
    "a part of it": "b@ttery",
    "the host of a database": "db.secret-corp.example",
    "the name of a database": "payroll_db",
    "a key in the settings": CLOUD_KEY,
    "a key in the environment": "env-key-5512-abcdef",
    "a bearer token": "eyJhbGciOiJIUzI1NiJ9",
    "a chat": "제 연봉은 얼마인가요",
    "an answer": "당신의 연봉은 칠천만 원",
    "a document": "대외비 합병 계약서 본문",
    "a password that a library printed": "printed-by-libpq-99",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a server's record, and with every planted text at the places where it may really stand."""
    home = Home(tmp_path / "온돌 집")
    monkeypatch.setenv("ONDOL_HOME", str(home.root))
    monkeypatch.setenv("PWD", str(Path(sys.executable).parent))
    monkeypatch.setenv("MY_CLOUD_API_KEY", PLANTED["a key in the environment"])
    home.logs.mkdir(parents=True)
    key = api_key(home)
    dsn = f"postgresql://reader:{PLANTED['the same, in a URL']}@db.secret-corp.example:5433/payroll_db"
    home.secrets.write_bytes(msgspec.json.encode({"postgresql://reader@db.secret-corp.example:5433/payroll_db": PASSWORD}))
    home.config.write_text(
        "backends:\n  cloud: {type: openai, config: {model: m, api_key: " + CLOUD_KEY + ", base_url: 'http://127.0.0.1:9/v1'}}\n"
        f"sources:\n  pay: {{type: store, config: {{dsn: '{dsn}'}}}}\nlog: {{files: 4}}\n",
        encoding="utf-8",
    )
    record = "2026-05-04T09:30:00.125+09:00 {} server 1f0c app.place: {}"
    lines = [
        record.format("INFO", "answered in 812 ms"),
        record.format("DEBUG", f"question {PLANTED['a chat']}, answer {PLANTED['an answer']}"),
        record.format("WARNING", f"could not connect: {dsn} with key {key} and {CLOUD_KEY}"),
        record.format("ERROR", f"Authorization: Bearer {PLANTED['a bearer token']} host=db.secret-corp.example dbname=payroll_db"),
        record.format("ERROR", f"failed\\n[SQL: INSERT]\\n[parameters: ('{PLANTED['a document']}',)]\\n  password is {PASSWORD}"),
    ]
    (home.logs / "server.log").write_text("\n".join(lines), encoding="utf-8")
    (home.logs / "ingest.native.log").write_text(f"libpq: password=printed-by-libpq-99 in {dsn}\nggml: ok\n", encoding="utf-8")
    webui = f"2026-11-22 14:42:50.677 | INFO     | open_webui.main:chat:1 - {PLANTED['a chat']}\n{PLANTED['an answer']}\n"
    (home.logs / "open-webui.log").write_text(webui, encoding="utf-8")
    for name in ("book.db", "state.db", "state.db-wal", "tray.json"):
        (home.root / name).write_text("\n".join(PLANTED.values()), encoding="utf-8")
    (home.root / "open-webui").mkdir()
    (home.root / "open-webui" / "webui.db").write_text("\n".join(PLANTED.values()), encoding="utf-8")
    server_record.announce(home, host="127.0.0.1", port=11500, version="0.1.0", token="instance-token-4471-zz")
    return home


def texts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None
        return {name: made.read(name).decode("utf-8") for name in made.namelist()}


def test_no_planted_secret_is_in_the_zip_and_what_helps_is(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "내려받기"
    path = save(home, folder)
    assert path.parent == folder
    found = texts(path)
    everything = "\n".join([*found, *found.values()])
    planted = {**PLANTED, "our key": api_key(home), "the instance token": "instance-token-4471-zz"}
    assert {what: text for what, text in planted.items() if text in everything} == {}

    assert "answered in 812 ms" in found["logs/server.log"]
    assert "ggml: ok" in found["logs/ingest.native.log"]
    assert "open_webui.main:chat:1" in found["logs/open-webui.log"]
    assert json.loads(found["settings.json"])["log"]["files"] == 4
    assert json.loads(found["settings.json"])["backends"]["cloud"]["config"]["api_key"] == "***"
    facts = json.loads(found["facts.json"])
    assert facts["server"]["version"] == "0.1.0"
    assert facts["disk"]["free_gb"] > 0
    assert facts["memory"]["total_gb"] > 0
    assert facts["files"]["book.db"] > 0
    assert "MY_CLOUD_API_KEY" not in facts["environment"]["set"]
    assert facts["system"]["python_at"] == sys.executable.replace(str(Path.home()), "~")
    assert "llama.cpp" in found["doctor.txt"]
    assert "pytest==" in found["packages.txt"]


def test_where_every_part_is_broken_the_zip_says_so_and_is_made(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.config.write_text(
        f"backends: {{cloud: {{type: openai, config: {{api_key: {CLOUD_KEY}}}}}}}\nlog: {{level: [}}\n", encoding="utf-8"
    )
    home.secrets.write_text("{", encoding="utf-8")
    home.server.write_text("{", encoding="utf-8")

    def broken(home: Home) -> dict[str, object]:
        raise RuntimeError("no /proc here, postgresql://a:b@db.secret-corp.example/x")

    monkeypatch.setattr(diagnostics, "facts", broken)
    found = texts(make(home, tmp_path))
    assert found["facts.json"] == "not available: RuntimeError: no /proc here, postgresql://***"
    assert "config.yaml" in found["settings.json"]
    assert "!!  settings" in found["doctor.txt"]
    assert CLOUD_KEY not in "".join(found.values())


def test_of_large_logs_the_ends_are_taken_and_the_whole_stays_small(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "ask", lambda *_: "{}")
    line = "2026-05-04T09:30:00.125+09:00 INFO server {:012d} app.place: " + "가나다라 " * 20 + "\n"
    for number in range(40):
        with (home.logs / f"worker-{number}.log").open("w", encoding="utf-8") as file:
            file.writelines(line.format(one) for one in range(4000))
    found = texts(make(home, tmp_path))
    logs = {name: text for name, text in found.items() if name.startswith("logs/")}
    assert all(len(text.encode()) <= LOG_BYTES + 1000 for text in logs.values())
    assert sum(len(text.encode()) for text in logs.values()) <= ALL_BYTES + LOG_BYTES
    last = found["logs/worker-39.log"].splitlines()
    assert f"{3999:012d}" in last[-1]
    assert last[0].startswith("2026-"), "a line that is cut is left out"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_zip_is_its_owners_alone_and_nothing_half_made_stays(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "ask", lambda *_: "{}")
    folder = tmp_path / "out"
    path = make(home, folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_so_and_leaves_no_half_zip(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "ask", lambda *_: "{}")
    real = os.open

    def full(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(f".zip.{os.getpid()}"):
            real(path, flags, mode)
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OndolError) as caught:
        make(home, tmp_path / "out")
    assert caught.value.code == "disk_full"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_can_not_be_written_is_said_by_the_child_too(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(OndolError, match="a file"):
        save(home, tmp_path / "a file")


def test_a_child_that_takes_too_long_is_ended_and_said_so(home: Home, tmp_path: Path) -> None:
    with pytest.raises(OndolError, match="not ready after"):
        save(home, tmp_path, seconds=0.01)
