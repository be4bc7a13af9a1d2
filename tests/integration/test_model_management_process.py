"""Model management of a whole server process: killed in mid-download, ended while somebody listens, offline, and while a model answers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest
from hub_server import Hub, serving
from model_client import Manager, wait_until
from tiny_models import gguf_bytes

from models.library import Library

LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB
TINY = "maker/Tiny-GGUF"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(repos={TINY: {"Tiny-Q4_K_M.gguf": LARGE}})) as hub:
        yield hub


class Served:
    """A server process over one home."""

    def __init__(self, home: Path, hub_url: str = "http://127.0.0.1:9", **settings: str) -> None:
        environment = {**os.environ, "ONDOL_HOME": str(home), "HF_ENDPOINT": hub_url, "HF_HOME": str(home / "hf"), **settings}
        line = [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0", "--json", "--until-stdin-closes"]
        self.process = subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]
        self.key = (home / "key").read_text().strip()
        self.manager = Manager(self.url, self.key)


@contextlib.contextmanager
def served(home: Path, hub_url: str = "http://127.0.0.1:9", **settings: str) -> Iterator[Served]:
    running = Served(home, hub_url, **settings)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def partial(home: Path) -> list[int]:
    return [path.stat().st_size for path in (home / "models").rglob("*.part")]


def test_a_server_that_is_killed_in_mid_download_lists_no_half_model_and_goes_on_when_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 3_000_000
    with served(tmp_path, hub.url) as first:
        assert first.manager.ask("/models", TINY)[0] == 200
        assert hub.stalled.wait(60)
        wait_until(lambda: partial(tmp_path) == [3_000_000], "the bytes are on the disk")
        children = psutil.Process(first.process.pid).children(recursive=True)
        first.process.kill()
        first.process.wait()
    assert children
    assert psutil.wait_procs(children, timeout=20)[1] == []
    assert Library(tmp_path / "models").list() == []
    hub.stall_after = 0
    asked = len(hub.asked)
    with served(tmp_path, hub.url) as second:
        assert second.manager.all() == {}
        assert len(hub.asked) == asked, "nobody asked for it again yet"
        assert second.manager.ask("/models", TINY)[0] == 200
        second.manager.until("tiny", "unloaded")
        assert hub.ranges("/Tiny-Q4_K_M.gguf")[-1] == "bytes=3000000-"
        assert "tiny" in [model.id for model in openai.OpenAI(base_url=f"{second.url}/v1", api_key=second.key).models.list()]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM is a kill there")
def test_a_server_that_ends_closes_the_events_and_ends_its_downloads(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 1_000_000
    with served(tmp_path, hub.url) as running:
        listener = running.manager.listen()
        running.manager.ask("/models", TINY)
        assert hub.stalled.wait(60)
        listener.until("download_progress", TINY)
        children = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        # uvicorn cuts streams off that are still open after its grace.
        assert listener.wait() == "cleanly"
        assert running.process.wait(30) == 0
        assert psutil.wait_procs(children, timeout=20)[1] == []
    assert "Traceback" not in (tmp_path / "logs" / "server.log").read_text(encoding="utf-8")


def test_offline_downloads_are_refused_with_the_setting_and_all_else_works(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf_bytes())
    Library(tmp_path / "models").pull(f"file:{tmp_path}/tiny.gguf")
    with served(tmp_path, hub.url, ONDOL_NETWORK="offline") as running:
        listener = running.manager.listen()
        status, body = running.manager.ask("/models", TINY)
        assert (status, body["error"]["code"]) == (403, "egress_refused")
        assert "offline" in body["error"]["message"]
        assert list(running.manager.all()) == ["tiny"]
        assert running.manager.remove("tiny")[0] == 200
        listener.until("model_remove", "tiny")
        listener.leave()
    assert hub.asked == []


def test_a_model_that_answers_is_neither_unloaded_nor_removed(tmp_path: Path, smollm2: Path) -> None:
    model = Library(tmp_path / "models").pull(f"file:{smollm2}").id
    with served(tmp_path) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
        question = [{"role": "user", "content": "Count from one to a thousand."}]
        listener = running.manager.listen()
        stream = client.chat.completions.create(  # type: ignore[call-overload]
            model=model, messages=question, stream=True, extra_body={"ignore_eos": True, "max_tokens": 1500}
        )
        next(iter(stream))
        told = [event["data"]["status"] for event in listener.until("status_change", model)]
        assert set(told) <= {"loading", "loaded"}
        for status, body in (running.manager.ask("/models/unload", model), running.manager.remove(model)):
            assert (status, body["error"]["code"]) == (409, "conflict")
        assert running.manager.all()[model]["status"] == {"value": "loaded"}
        stream.close()
        wait_until(lambda: running.manager.ask("/models/unload", model)[0] == 200, "the answer has ended")
        assert running.manager.all()[model]["status"] == {"value": "unloaded"}
        listener.leave()
