from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import KEY, Running, serving

from app.core.paths import Home
from ingest.sync import ingest_files
from models.hash_embedder import HashEmbedder, WordCounter


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def home(running: Running) -> Home:
    home = Home(running.library_folder.parent)
    folder = home.root / "자료"
    folder.mkdir()
    (folder / "온돌.txt").write_text("따뜻한 바닥")
    (folder / "empty.txt").write_text("")
    ingest_files(home, [folder], "notes", HashEmbedder(), WordCounter())
    return home


def call(running: Running, method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method, running.url + path, json=body, headers={"authorization": f"Bearer {KEY}"})


def test_sources_are_told_with_their_times_their_failures_and_the_disk(running, home):
    said = call(running, "GET", "/ingest/sources").json()
    (source,) = said["sources"]
    assert (source["store"], source["documents"], source["outcome"]) == ("notes", 1, "ok")
    assert source["failures"][0]["next_at"] > source["failures"][0]["last_at"]
    assert said["disk"]["book"] > 10_000
    assert said["running"] == []


def test_a_schedule_is_chosen_and_taken_off_over_the_api(running, home):
    body = {"store": "notes", "source": str(Path(home.root) / "자료")}
    chosen = call(running, "PUT", "/ingest/schedule", {**body, "every": "15m", "on_change": True})
    assert chosen.json()["sources"][0]["schedule"] == "on change and every 15 minutes"
    (source,) = call(running, "GET", "/ingest/sources").json()["sources"]
    assert source["schedule"] == "on change and every 15 minutes"
    assert source["next_at"] == pytest.approx(source["last_started"] + 900)
    assert call(running, "PUT", "/ingest/schedule", body).json()["sources"][0]["schedule"] == ""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/ingest/sync", {"store": "nowhere"}, 404, "ondol ingest status"),
        ("POST", "/ingest/sync", {}, 400, "store"),
        ("PUT", "/ingest/schedule", {"store": "nowhere", "every": "1h"}, 404, "nowhere"),
        ("PUT", "/ingest/schedule", {"store": "notes", "source": "/else", "every": "1h"}, 404, "/else"),
        ("PUT", "/ingest/schedule", {"store": "notes", "every": "soon"}, 400, "15m"),
        ("PUT", "/ingest/schedule", {"store": "notes", "cron": "0 3 * *"}, 400, "three at night"),
    ],
)
def test_what_can_not_be_is_refused_with_what_to_do(running, home, method, path, body, status, says):
    answer = call(running, method, path, body)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]


def test_a_run_is_accepted_at_once(running, home):
    answer = call(running, "POST", "/ingest/sync", {"store": "notes"})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == [{"store": "notes", "source": (home.root / "자료").as_posix()}]


def test_sources_are_for_who_has_the_key(running):
    for method, path in (("GET", "/ingest/sources"), ("POST", "/ingest/sync"), ("PUT", "/ingest/schedule")):
        assert httpx.request(method, running.url + path).status_code == 401
