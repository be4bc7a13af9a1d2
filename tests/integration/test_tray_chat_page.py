"""Open chat, over a real child process: a small program that speaks as `ondol open-webui --json` does."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import page_program
import psutil
import pytest
from model_client import wait_until

from app.core.paths import Home
from tray.records import ChatPage
from tray.watching.chat_page import ChatKeeper, free_port

PROGRAM = Path(__file__).with_name("ondol_program.py")
SERVER = "http://127.0.0.1:11500"
URL = "http://127.0.0.1:8080"
READY = {"say": {"event": "ready", "url": URL, "already": False, "seconds": 1.0}}
STAY = {"stay": True}
Start = Callable[..., ChatKeeper]


def error(code: str, message: str) -> dict[str, Any]:
    return {"say": {"error": {"message": message, "code": code, "type": "x", "param": None}}}


class Played:
    """A home, what the small program is to say, and what was told and shown."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "온돌 home")
        self.home.root.mkdir()
        self.told: list[ChatPage] = []
        self.shown: list[str] = []

    def script(self, *runs: list[dict[str, Any]]) -> None:
        (self.folder / "open-webui.json").write_text(json.dumps(runs))

    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def last(self) -> ChatPage:
        return self.told[-1] if self.told else ChatPage()

    @property
    def states(self) -> list[str]:
        """Each that it went through; only a detail changed in between."""
        return [state for state, _ in itertools.groupby(one.state for one in self.told)]

    def until(self, state: str) -> None:
        wait_until(lambda: self.last.state == state, f"the page is {state}")

    def starts(self, count: int) -> None:
        wait_until(lambda: len(self.calls()) == count, f"{count} starts")


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


@pytest.fixture
def start(played: Played) -> Iterator[Start]:
    started: list[ChatKeeper] = []

    def make(*, server: str = SERVER, **options: Any) -> ChatKeeper:
        line = (sys.executable, str(PROGRAM), str(played.folder))
        keeper = ChatKeeper(played.home, played.told.append, played.shown.append, line=line, **{"pauses": (0.05, 0.05), **options})
        keeper.follow(server)
        started.append(keeper)
        return keeper

    yield make
    for one in started:
        one.close(0.5)


def test_the_first_click_starts_the_page_and_shows_it_when_it_is_ready_and_the_next_shows_it_at_once(played: Played, start: Start) -> None:
    played.script([{"say": {"event": "starting", "url": URL}}, {"until": "go"}, READY, STAY])
    chat = start()
    chat.open()
    chat.open()
    played.until("starting")
    played.starts(1)
    assert played.shown == []
    (played.folder / "go").touch()
    played.until("ready")
    wait_until(lambda: played.shown == [URL], "it is shown once")
    chat.open()
    wait_until(lambda: played.shown == [URL, URL], "it is shown again")
    words = played.calls()[0]["words"]
    assert words[:4] == ["open-webui", "--no-browser", "--json", "--until-stdin-closes"]
    assert len(played.calls()) == 1


def test_nothing_is_started_before_somebody_asks_nor_before_the_server_is_ready(played: Played, start: Start) -> None:
    played.script([READY, STAY])
    chat = start(server="")
    chat.follow(SERVER)
    chat.follow("")
    time.sleep(0.2)
    assert played.calls() == []
    waiting = start(server="")
    waiting.open()
    played.until("starting")
    time.sleep(0.2)
    assert played.calls() == []
    waiting.follow(SERVER)
    played.until("ready")
    wait_until(lambda: played.shown == [URL], "it is shown")


def test_where_none_is_installed_it_says_how_to_get_one_and_asks_again_at_the_next_click(played: Played, start: Start) -> None:
    played.script([error("not_found", "There is no Open WebUI. Get it once: pip install open-webui"), {"exit": 66}], [READY, STAY])
    chat = start()
    chat.open()
    played.until("absent")
    assert "pip install" in played.last.error
    time.sleep(0.3)
    assert len(played.calls()) == 1
    chat.open()
    played.until("ready")
    wait_until(lambda: played.shown == [URL], "it is shown")


def test_a_page_that_ends_by_itself_is_started_again_without_another_window(played: Played, start: Start) -> None:
    played.script([READY, {"until": "crash"}, {"exit": 69}], [READY, STAY])
    chat = start()
    chat.open()
    played.until("ready")
    (played.folder / "crash").touch()
    played.starts(2)
    wait_until(lambda: played.states[-3:] == ["ready", "starting", "ready"], "it is ready again")
    assert played.shown == [URL]


def test_a_page_that_ends_again_and_again_has_failed_with_why_and_a_click_tries_again(played: Played, start: Start) -> None:
    bad = [error("upstream_failed", "Open WebUI ended by itself (status 1)."), {"exit": 69}]
    played.script(bad, bad, bad, [READY, STAY])
    chat = start()
    chat.open()
    played.until("failed")
    assert len(played.calls()) == 3
    assert "status 1" in played.last.error
    chat.open()
    played.until("ready")
    wait_until(lambda: played.shown == [URL], "it is shown")


def test_what_open_webui_said_last_is_neither_told_nor_logged(played: Played, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    played.script(
        [error("upstream_failed", "It ended by itself (status 1). The end of its log:\nINFO a question\nSee the log."), {"exit": 69}]
    )
    start(pauses=()).open()
    played.until("failed")
    assert played.last.error == "It ended by itself (status 1)."
    assert "a question" not in caplog.text


def test_what_another_start_would_only_say_again_is_not_tried_again(played: Played, start: Start) -> None:
    played.script([error("bad_setting", "config.yaml: line 3"), {"exit": 78}])
    start().open()
    played.until("failed")
    time.sleep(0.3)
    assert len(played.calls()) == 1


def test_a_killed_page_says_its_status(played: Played, start: Start) -> None:
    played.script([READY, STAY])
    start(pauses=()).open()
    played.until("ready")
    psutil.Process(played.calls()[0]["pid"]).kill()
    played.until("failed")
    assert "status -9" in played.last.error or "status 1" in played.last.error


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line")
def test_the_real_command_speaks_to_the_server_that_it_is_told_and_starts_none(played: Played) -> None:
    page_program.install(played.home.root / "open-webui" / "venv")
    port = free_port(20_100)
    assert port is not None
    chat = ChatKeeper(played.home, played.told.append, played.shown.append, port=port)
    try:
        chat.follow("http://127.0.0.1:11599")
        chat.open()
        wait_until(lambda: played.last.state == "ready", "the page is ready")
        given = json.loads((played.home.root / "open-webui" / "data" / "given.json").read_text())
        assert given["environment"]["OPENAI_API_BASE_URLS"] == "http://127.0.0.1:11599/v1"
        assert not played.home.server.exists()
    finally:
        chat.close()


def test_where_another_program_has_the_port_the_next_free_one_is_taken(played: Played, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        played.script([error("conflict", f"Port {port} is in use by another program."), {"exit": 75}], [READY, STAY])
        chat = start(port=port)
        chat.open()
        played.until("ready")
        taken = [int(call["words"][-1]) for call in played.calls()]
        assert taken[0] == port < taken[1] <= port + 20
        assert chat.port == taken[1]


def test_a_conflict_that_is_not_about_the_port_is_a_failure(played: Played, start: Start) -> None:
    played.script([error("conflict", "This Open WebUI has accounts already."), {"exit": 75}])
    free = free_port(20_000)
    assert free is not None
    start(port=free).open()
    played.until("failed")
    assert len(played.calls()) == 1


def test_a_server_that_moved_is_followed_and_one_that_came_back_where_it_was_is_not(played: Played, start: Start) -> None:
    played.script([READY, STAY])
    chat = start()
    chat.open()
    played.until("ready")
    chat.follow("")
    chat.follow(SERVER)
    time.sleep(0.3)
    assert len(played.calls()) == 1
    chat.follow("http://127.0.0.1:11501")
    played.starts(2)
    played.until("ready")
    told = [call["words"][call["words"].index("--server") + 1] for call in played.calls()]
    assert told == [SERVER, "http://127.0.0.1:11501"]
    wait_until(lambda: not psutil.pid_exists(played.calls()[0]["pid"]), "the first has ended")
    assert played.shown == [URL]


def test_a_page_that_another_run_keeps_is_shown_and_left_alone(played: Played, start: Start) -> None:
    played.script([{"say": {"event": "ready", "url": URL, "already": True, "seconds": 0.0}}])
    chat = start()
    chat.open()
    wait_until(lambda: played.shown == [URL], "it is shown")
    played.until("ready")
    wait_until(lambda: not psutil.pid_exists(played.calls()[0]["pid"]), "the command has ended")
    time.sleep(0.2)
    assert len(played.calls()) == 1
    chat.open()  # it may have gone meanwhile: only the command can tell
    wait_until(lambda: played.shown == [URL, URL], "it is shown again")
    assert len(played.calls()) == 2


def test_closing_ends_the_page_and_one_that_does_not_listen_with_all_that_it_started(played: Played, start: Start) -> None:
    for place, steps in enumerate(([READY, STAY], [{"spawn": "child"}, READY, {"deaf": True}])):
        played.told.clear()
        played.script(*[steps] * 3)
        chat = start()
        chat.open()
        played.until("ready")
        page = psutil.Process(played.calls()[place]["pid"])
        chat.close(0.5)
        assert not page.is_running()
        chat.open()
        time.sleep(0.1)
        assert len(played.calls()) == place + 1
    child = int((played.folder / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, "the child has ended")


def test_a_page_whose_tray_was_killed_ends_by_itself(played: Played) -> None:
    played.script([READY, STAY])
    line = (sys.executable, str(PROGRAM), str(played.folder))
    tray = (
        "import time; from pathlib import Path; from app.core.paths import Home; from tray.watching.chat_page import ChatKeeper\n"
        f"keeper = ChatKeeper(Home(Path({str(played.home.root)!r})), print, print, line={line!r})\n"
        f"keeper.follow({SERVER!r}); keeper.open(); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", tray], cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)
    played.starts(1)
    page = psutil.Process(played.calls()[0]["pid"])
    process.kill()
    process.wait()
    wait_until(lambda: not page.is_running(), "the page has ended")
