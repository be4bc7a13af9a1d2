"""Model management over a real server: downloads from a small hub, their progress, cancel and errors; loading and removing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from api_server import KEY, Running, serving
from hub_server import Hub, only_hub
from model_client import Manager, wait_until
from tiny_models import gguf_bytes, sentence_files, write_files

from app.api.management import LOOK
from app.api.parts import ManagedModel
from models.installed import InstalledModel

LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB
TINY = "maker/Tiny-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with only_hub(Hub(repos={TINY: {"Tiny-Q4_K_M.gguf": LARGE, "Tiny-Q8_0.gguf": gguf_bytes(seed=8)}}), monkeypatch, tmp_path) as hub:
        yield hub


@pytest.fixture
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


@pytest.fixture
def manager(server: Running) -> Manager:
    return Manager(server.url, KEY)


def half_downloads(server: Running) -> list[Path]:
    return [path for path in server.library_folder.rglob("*.part") if path.is_file()]


def test_nobody_is_looked_out_for_after_the_listener_has_left(server: Running, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [0], server.managed.models

    async def counted() -> Sequence[ManagedModel]:
        looks[0] += 1
        return await look()

    monkeypatch.setattr(server.managed, "models", counted)
    listener = manager.listen()
    wait_until(lambda: looks[0] > 2, "the models are looked at while somebody listens")
    listener.leave()

    def rests() -> bool:
        before = looks[0]
        time.sleep(3 * LOOK)
        return looks[0] == before

    wait_until(rests, "the models are looked at no more")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/models"), ("POST", "/models"), ("DELETE", "/models?model=x"), ("POST", "/models/load"), ("GET", "/models/sse")],
)
def test_nobody_manages_models_without_the_key(server: Running, method: str, path: str) -> None:
    assert Manager(server.url, "").call(method, path)[0] == 401
    assert Manager(server.url, "wrong").call(method, path)[0] == 401


def test_a_download_is_followed_by_its_events_until_its_model_is_listed(hub: Hub, server: Running, manager: Manager) -> None:
    listener = manager.listen()
    assert "text/event-stream" in listener.head
    assert listener.first.startswith(b":")
    assert manager.ask("/models", f"{TINY}:Q4_K_M")[0] == 200
    # In either order: the file lies in its place a moment before its download has ended.
    events = listener.until_all(("download_finished", f"{TINY}:Q4_K_M"), ("status_change", "tiny"))
    assert [event["data"] for event in events if event["event"] == "download_finished"] == [{"id": "tiny"}]
    assert list(manager.all()) == ["tiny"]
    assert manager.all()["tiny"]["status"] == {"value": "unloaded"}
    assert str(server.library_folder) not in str(manager.call("GET", "/models"))
    listener.leave()


def test_a_download_shows_its_bytes_while_it_runs_and_is_one_however_often_it_is_asked_for(hub: Hub, manager: Manager) -> None:
    hub.stall_after = 3_000_000
    listener = manager.listen()
    assert manager.ask("/models", TINY) == (200, {"success": True, "status": "downloading"})
    assert hub.stalled.wait(60)
    assert manager.ask("/models", f"hf:{TINY}")[0] == 200
    assert set(listener.until("download_progress", TINY)[-1]["data"]) == {"progress"}
    shown = manager.all()[TINY]
    [(file, progress)] = shown["status"]["progress"].items()
    assert (file, progress["total"]) == ("Tiny-Q4_K_M.gguf", len(LARGE))
    assert 0 < progress["done"] <= 3_000_000
    assert f"{100 * progress['done'] // len(LARGE)} % of " in shown["display_name"]
    assert len(hub.ranges("/Tiny-Q4_K_M.gguf")) == 1
    status, body = manager.ask("/models/load", TINY)
    assert (status, body["error"]["code"]) == (409, "conflict")
    assert manager.remove(TINY)[0] == 200
    listener.leave()


def test_a_cancelled_download_leaves_nothing_and_can_be_asked_for_again(hub: Hub, server: Running, manager: Manager) -> None:
    hub.stall_after = 1_000_000
    listener = manager.listen()
    manager.ask("/models", TINY)
    assert hub.stalled.wait(60)
    listener.until("download_progress", TINY)
    assert manager.remove(TINY) == (200, {"success": True})
    listener.until("model_remove", TINY)
    assert manager.all() == {}
    assert half_downloads(server) == []
    hub.stall_after = 0
    manager.ask("/models", TINY)
    manager.has_come("tiny")
    listener.leave()


def test_a_stopped_download_goes_on_where_it_stopped(hub: Hub, server: Running, manager: Manager) -> None:
    hub.stall_after = 2_000_000
    manager.ask("/models", TINY)
    assert hub.stalled.wait(60)
    wait_until(lambda: [path.stat().st_size for path in half_downloads(server)] == [2_000_000], "the bytes are on the disk")
    assert manager.ask("/models/unload", TINY)[0] == 200
    assert manager.all()[TINY]["status"]["value"] == "stopped"
    hub.stall_after = 0
    assert manager.ask("/models/load", TINY)[0] == 200
    manager.has_come("tiny")
    assert hub.ranges("/Tiny-Q4_K_M.gguf")[-1] == "bytes=2000000-"


def test_a_wrong_name_is_told_to_whoever_asked_and_leaves_no_line(hub: Hub, manager: Manager) -> None:
    for name, said in (("maker/Nothing", "maker/Nothing"), (f"{TINY}:Q3_K_S", "Q4_K_M, Q8_0")):
        status, body = manager.ask("/models", name)
        assert status == 404
        assert said in body["error"]["message"]
    status, body = manager.ask("/models", "tiny model")
    assert (status, "OWNER/NAME" in body["error"]["message"]) == (400, True)
    assert manager.ask("/models", "")[0] == manager.call("POST", "/models", {})[0] == 400
    assert manager.all() == {}


def test_a_download_that_fails_later_says_why_in_its_line_and_event_and_can_be_tried_again(
    hub: Hub, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.flips_a_byte = True
    listener = manager.listen()
    assert manager.ask("/models", TINY)[0] == 200
    failed = listener.until("download_failed", TINY)[-1]
    assert "SHA-256" in failed["data"]["error"]["message"]
    shown = manager.all()[TINY]
    assert shown["status"]["value"] == "failed"
    assert "SHA-256" in shown["display_name"]
    hub.flips_a_byte = False
    assert manager.ask("/models/load", TINY)[0] == 200
    listener.until("download_finished", TINY)
    assert list(manager.all()) == ["tiny"]
    listener.leave()


def test_the_line_of_a_failed_download_goes_with_delete(hub: Hub, manager: Manager) -> None:
    hub.flips_a_byte = True
    manager.ask("/models", TINY)
    manager.until(TINY, "failed")
    assert manager.ask("/models/unload", TINY)[0] == 200
    assert manager.remove(TINY)[0] == 200
    assert manager.all() == {}


def test_a_full_disk_ends_a_download_with_the_numbers(hub: Hub, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    # A listing that promises more bytes than any disk has.
    monkeypatch.setitem(hub.repos, "maker/Vast-GGUF", {"Vast-Q4_K_M.gguf": Vast(b"GGUF")})
    status, body = manager.ask("/models", "maker/Vast-GGUF")
    assert status == 507
    assert "must stay free" in body["error"]["message"]
    assert manager.all() == {}


class Vast(bytes):
    """Says that it is a petabyte long."""

    def __len__(self) -> int:
        return 10**15


def test_what_only_the_servers_own_computer_can_see_is_not_fetched_over_the_api(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "secret.gguf").write_bytes(gguf_bytes())
    for name in (f"file:{tmp_path}/secret.gguf", "http://127.0.0.1:9/x.gguf"):
        status, body = manager.ask("/models", name)
        assert (status, body["error"]["code"]) == (403, "forbidden")
    assert manager.all() == {}


def test_a_model_that_is_here_is_not_fetched_again(hub: Hub, manager: Manager) -> None:
    manager.ask("/models", TINY)
    manager.has_come("tiny")
    hub.asked.clear()
    assert manager.ask("/models", TINY) == (200, {"success": True, "status": "completed"})
    assert hub.asked == []


def test_a_model_still_goes_by_the_name_that_it_was_asked_for_by(hub: Hub, manager: Manager) -> None:
    manager.ask("/models", TINY)
    manager.has_come("tiny")
    assert manager.ask("/models/unload", TINY)[0] == 200
    assert manager.remove(f"https://huggingface.co/{TINY}")[0] == 200
    assert manager.all() == {}


def test_a_fourth_download_waits_for_its_turn_outside(hub: Hub, manager: Manager) -> None:
    hub.stall_after = 1_000
    for number in range(4):
        hub.repos[f"maker/M{number}-GGUF"] = {f"M{number}-Q4_K_M.gguf": gguf_bytes(rows=100, seed=number)}
    assert [manager.ask("/models", f"maker/M{number}-GGUF")[0] for number in range(4)] == [200, 200, 200, 429]
    for number in range(3):
        assert manager.remove(f"maker/M{number}-GGUF")[0] == 200


def test_unknown_models_are_said_to_be_unknown(manager: Manager) -> None:
    for status, body in (manager.ask("/models/load", "no"), manager.ask("/models/unload", "no"), manager.remove("no")):
        assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert manager.call("DELETE", "/models")[0] == 400


def test_a_model_is_loaded_and_unloaded_and_removed_on_request(server: Running, manager: Manager, smollm2: Path) -> None:
    model = server.library.pull(f"file:{smollm2}").id
    listener = manager.listen()
    assert manager.ask("/models/load", model) == (200, {"success": True})
    assert manager.all()[model]["status"] == {"value": "loaded"}
    assert manager.ask("/models/unload", model)[0] == 200
    assert manager.all()[model]["status"] == {"value": "unloaded"}
    assert manager.remove(model)[0] == 200
    listener.until("model_remove", model)
    assert manager.all() == {}
    assert smollm2.exists()
    listener.leave()


def test_a_model_that_can_not_be_loaded_says_so_and_is_removed_all_the_same(server: Running, manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(gguf_bytes(architecture="unheardof"))
    model = server.library.pull(f"file:{tmp_path}/broken.gguf").id
    status, body = manager.ask("/models/load", model)
    assert status == 400, body
    assert manager.all()[model]["status"] == {"value": "unloaded", "failed": True}
    assert manager.remove(model)[0] == 200
    assert manager.all() == {}


def test_the_embedding_model_is_loaded_and_unloaded_but_stays_while_stores_need_it(
    server: Running, manager: Manager, minilm: InstalledModel
) -> None:
    model = server.library.pull(f"file:{minilm.path}").id
    assert manager.ask("/models/load", model) == (200, {"success": True})
    assert manager.all()[model]["status"] == {"value": "loaded"}
    assert manager.ask("/models/unload", model)[0] == 200
    assert manager.all()[model]["status"] == {"value": "unloaded"}
    status, body = manager.remove(model)
    assert (status, "(hr)" in body["error"]["message"]) == (409, True)
    assert list(manager.all()) == [model]


def test_an_embedding_model_beside_the_one_in_use_is_not_loaded_but_can_be_removed(
    server: Running, manager: Manager, tmp_path: Path
) -> None:
    first, second = (
        server.library.pull(f"file:{write_files(tmp_path / name, sentence_files(title=name, seed=seed))}").id
        for seed, name in enumerate(("first", "second"))
    )
    status, body = manager.ask("/models/load", second)
    assert (status, f"ondol models use {second}" in body["error"]["message"]) == (400, True)
    assert manager.ask("/models/unload", second)[0] == 200
    assert manager.remove(second)[0] == 200
    assert list(manager.all()) == [first]
