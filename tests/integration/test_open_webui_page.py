"""`ondol open-webui` as a process, with a stand-in program in a real environment and a real Ondol server beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import sys
from pathlib import Path

import page_program
import pytest
from page_run import Run, Start, answers, free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line")


def test_it_starts_connected_and_offline_beside_a_server_of_its_own_and_ends_both(start_page: Start) -> None:
    run = start_page("--no-login")
    ready = run.until("ready")
    server = next(event for event in run.events if event["event"] == "server")
    assert server["started"] is True
    assert answers(ready["url"])
    environment = run.given["environment"]
    assert environment["OPENAI_API_BASE_URLS"] == f"{server['url']}/v1"
    assert (environment["OFFLINE_MODE"], environment["WEBUI_AUTH"], environment["USE_SLIM_DOCKER"]) == ("true", "False", "true")
    assert "DATABASE_URL" not in environment
    assert run.given["arguments"][:3] == ["serve", "--host", "127.0.0.1"]
    assert run.end() == 0
    assert not answers(ready["url"])
    assert not answers(server["url"])
    assert not (run.home / "open-webui" / "running.json").exists()


def test_at_the_next_start_the_connection_follows_key_and_port_and_the_secret_stays(start_page: Start) -> None:
    first = start_page()
    first.until("ready")
    secret = first.given["environment"]["WEBUI_SECRET_KEY"]
    first.end()
    (first.home / "key").unlink()
    second = start_page(ONDOL_PORT=str(free_port()))
    second.until("ready")
    server = next(event for event in second.events if event["event"] == "server")
    rows = second.rows()
    key = (second.home / "key").read_text(encoding="utf-8").strip()
    assert (rows["openai.api_base_urls"], rows["openai.api_keys"]) == ([f"{server['url']}/v1"], [key])
    assert (rows["rag.openai.api_base_url"], rows["rag.openai.api_key"]) == (f"{server['url']}/v1", key)
    assert second.given["environment"]["WEBUI_SECRET_KEY"] == secret
    assert stat.S_IMODE((second.home / "open-webui" / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE((second.home / "open-webui").stat().st_mode) == 0o700
    assert key not in json.dumps(second.events)


def test_a_second_start_shows_the_page_of_the_first(start_page: Start) -> None:
    first = start_page()
    url = first.until("ready")["url"]
    second = start_page()
    assert second.until("ready") == {"event": "ready", "url": url, "already": True, "seconds": 0.0}
    assert second.process.wait(30) == 0
    assert answers(url)


def test_a_port_of_another_program_is_told_with_one_that_is_free(start_page: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = start_page(port=other.getsockname()[1])
        told = run.until("error")["error"]
    assert "ondol open-webui --port" in told["message"]
    assert run.process.wait(30) == 75


def test_without_login_is_refused_once_there_are_accounts(start_page: Start) -> None:
    first = start_page()
    first.until("ready")
    database = sqlite3.connect(first.home / "open-webui" / "data" / "webui.db")
    database.execute('INSERT INTO "user" (id, email) VALUES (1, ?)', ("kim@example.com",))
    database.commit()
    database.close()
    first.end()
    run = start_page("--no-login")
    assert "1 account already" in run.until("error")["error"]["message"]


def test_the_log_of_the_run_before_is_kept(start_page: Start) -> None:
    for _ in range(2):
        run = start_page()
        run.until("ready")
        run.end()
    assert {path.name for path in (run.home / "logs").glob("open-webui.log*")} == {"open-webui.log", "open-webui.log.1"}


def test_docker_is_asked_for_an_image_that_is_there_and_given_no_secret_in_its_words(start_page: Start, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    client = folder / "docker"
    # Records what it is told; `run` listens where the container would.
    client.write_text(
        f"""#!/bin/sh
echo "$@" >> '{folder}/told'
case "$1" in
  image) echo ghcr.io/open-webui/open-webui:main ;;
  run) test -n "$OPENAI_API_KEYS" && echo "key was there" >> '{folder}/told'
       for word in "$@"; do case "$word" in PORT=*) port=${{word#PORT=}} ;; *:8080) port=$(echo "$word" | cut -d: -f2) ;; esac; done
       DATA_DIR='{folder}' exec '{sys.executable}' '{page_program.__file__}' --port "$port" ;;
esac
""",
        encoding="utf-8",
    )
    client.chmod(0o755)
    assert shutil.which("docker", path=str(folder)) == str(client)
    home = tmp_path / "home"
    environment = {
        **os.environ,
        "ONDOL_HOME": str(home),
        "ONDOL_PORT": str(free_port()),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    run = Run(home, ["--docker", "--no-browser", "--port", str(free_port())], environment)
    try:
        run.until("ready")
    finally:
        run.end()
    told = (folder / "told").read_text(encoding="utf-8").splitlines()
    key = (home / "key").read_text(encoding="utf-8").strip()
    assert [line.split()[0] for line in told] == ["image", "rm", "run", "key", "rm"]
    assert "--pull never" in told[2]
    assert not any(key in line for line in told)
