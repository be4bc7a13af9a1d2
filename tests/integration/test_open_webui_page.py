"""`ondol open-webui` as a process, with a stand-in program in a real environment and a real Ondol server beside it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import page_program
import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line")


PATIENCE = 200.0  # its own waits end before


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_program.install(tmp_path_factory.mktemp("page") / "환경")


class Run:
    """One `ondol open-webui --json`, its events as they come."""

    def __init__(self, home: Path, words: list[str], environment: dict[str, str]) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "open-webui", "--json", *words],
            env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next(self) -> dict[str, Any] | None:
        """The next event; None at the end of the output."""
        line = self._lines.get(timeout=PATIENCE)
        if not line:
            self._lines.put("")
            return None
        self.events.append(json.loads(line))
        return self.events[-1]

    def until(self, wanted: str) -> dict[str, Any]:
        """Read on to the event; fails where the output ends before."""
        while (event := self._next()) is not None:
            if event.get("event") == wanted or wanted in event:
                return event
        raise AssertionError(f"no {wanted} in {self.events}")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # prints its stacks
            raise
        while self._next() is not None:
            pass
        return status

    @property
    def given(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "open-webui" / "data" / "given.json").read_text(encoding="utf-8"))
        return found

    def rows(self) -> dict[str, Any]:
        database = sqlite3.connect(self.home / "open-webui" / "data" / "webui.db")
        found = {key: json.loads(value) for key, value in database.execute("SELECT key, value FROM config")}
        database.close()
        return found


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path, program: Path) -> Iterator[Start]:
    runs: list[Run] = []
    home, server = tmp_path / "홈 folder", free_port()

    def begin(*words: str, port: int | None = None, **more: str) -> Run:
        at = ["--port", str(port or free_port()), "--no-browser", "--path", str(program)]
        environment = {**os.environ, "ONDOL_HOME": str(home), "ONDOL_PORT": str(server), "DATABASE_URL": "postgresql://shop", **more}
        runs.append(Run(home, [*at, *words], environment))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_it_starts_connected_and_offline_beside_a_server_of_its_own_and_ends_both(start: Start) -> None:
    run = start("--no-login")
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


def test_ctrl_c_is_an_ordinary_end(start: Start) -> None:
    run = start()
    run.until("ready")
    assert run.end(signal.SIGINT) == 0
    assert [event["event"] for event in run.events][-1] == "stopping"


def test_closing_its_standard_input_ends_it_for_those_who_have_no_signals(start: Start) -> None:
    run = start("--until-stdin-closes")
    run.until("ready")
    assert run.process.stdin is not None
    run.process.stdin.close()
    assert run.process.wait(60) == 0


def test_at_the_next_start_the_connection_follows_key_and_port_and_the_secret_stays(start: Start) -> None:
    first = start()
    first.until("ready")
    secret = first.given["environment"]["WEBUI_SECRET_KEY"]
    first.end()
    (first.home / "key").unlink()
    second = start(ONDOL_PORT=str(free_port()))
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


def test_a_second_start_shows_the_page_of_the_first(start: Start) -> None:
    first = start()
    url = first.until("ready")["url"]
    second = start()
    assert second.until("ready") == {"event": "ready", "url": url, "already": True, "seconds": 0.0}
    assert second.process.wait(30) == 0
    assert answers(url)


def test_one_whose_keeper_was_killed_is_ended_and_begun_again(start: Start) -> None:
    port = free_port()
    first = start(port=port)
    first.until("ready")
    left = json.loads((first.home / "open-webui" / "running.json").read_text(encoding="utf-8"))["pid"]
    first.process.kill()
    first.process.wait()
    assert psutil.pid_exists(left)
    second = start(port=port)
    second.until("ready")
    assert second.events[0] == {"event": "leftover", "pid": left}
    assert gone(left)


def test_one_that_will_not_end_is_ended_with_all_that_it_started(start: Start) -> None:
    run = start(PAGE_MOOD="stubborn")
    run.until("ready")
    child = int((run.home / "open-webui" / "data" / "child.pid").read_text(encoding="utf-8"))
    assert run.end() == 0
    assert gone(child)


def test_one_that_ends_by_itself_is_told_with_its_last_words(start: Start) -> None:
    run = start(PAGE_MOOD="crash")
    told = run.until("error")["error"]
    assert "status 3" in told["message"]
    assert "the last thing that it said" in told["message"]
    assert run.process.wait(30) == 69


def test_one_that_does_not_answer_in_time_is_told_and_ended(start: Start) -> None:
    run = start("--wait", "2", PAGE_MOOD="silent")
    told = run.until("error")["error"]
    assert told["code"] == "deadline_exceeded"
    assert "alembic" in told["message"]
    assert run.process.wait(30) == 75
    assert not (run.home / "open-webui" / "running.json").exists()


def test_a_port_of_another_program_is_told_with_one_that_is_free(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = start(port=other.getsockname()[1])
        told = run.until("error")["error"]
    assert "ondol open-webui --port" in told["message"]
    assert run.process.wait(30) == 75


def test_without_login_is_refused_once_there_are_accounts(start: Start) -> None:
    first = start()
    first.until("ready")
    database = sqlite3.connect(first.home / "open-webui" / "data" / "webui.db")
    database.execute('INSERT INTO "user" (id, email) VALUES (1, ?)', ("kim@example.com",))
    database.commit()
    database.close()
    first.end()
    run = start("--no-login")
    assert "1 account already" in run.until("error")["error"]["message"]


def test_the_log_of_the_run_before_is_kept(start: Start) -> None:
    for _ in range(2):
        run = start()
        run.until("ready")
        run.end()
    assert {path.name for path in (run.home / "logs").glob("open-webui.log*")} == {"open-webui.log", "open-webui.log.1"}


def test_docker_is_asked_for_an_image_that_is_there_and_given_no_secret_in_its_words(start: Start, tmp_path: Path) -> None:
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
