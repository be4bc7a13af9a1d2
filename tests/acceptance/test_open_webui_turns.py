"""The real Open WebUI before a server whose own model writes its titles: what the second turn of a chat reads."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_webui
import open_webui_install
import pytest
from company import MODEL, SUGGESTED, company
from postgres_servers import embedded_server
from recording_relay import Relay, Request

from models.installed import InstalledModel

pytestmark = [pytest.mark.acceptance, pytest.mark.open_webui]
TASKS = {"title_generation", "follow_up_generation", "tags_generation"}


@dataclass(frozen=True)
class Turn:
    """A chat's first turn, all of it done: its requests by their task ("" the chat itself), the kept answer, and our server."""

    sent: dict[str, Request]
    answer: dict[str, Any]
    url: str


@pytest.fixture(scope="module")
def first_turn(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> Iterator[Turn]:
    program, folder = open_webui_install.installed(), tmp_path_factory.mktemp("turns")
    product = company(folder / "home", models_dir)
    with (product.home / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("\ntasks: {model: same}\n")
    with product.serving() as served, embedded_server() as vectors:
        relay = Relay(urlsplit(served.url).port or 0)
        try:
            with open_webui.running(program, relay.url, served.key, folder / "data", vectors) as web:
                relay.forget()
                chat_id, _ = web.begin(MODEL, SUGGESTED, max_tokens=24, temperature=0)
                end = time.monotonic() + 300
                while time.monotonic() < end:
                    sent = {request.headers["x-owui-task"]: request for request in relay.requests("/v1/chat/completions")}
                    if set(sent) == {"", *TASKS} and not web.running(chat_id):
                        break
                    time.sleep(0.3)
                yield Turn(sent, web.chat(chat_id)["answer"], served.url)
        finally:
            relay.close()


def usage(turn: Turn, body: dict[str, Any]) -> dict[str, Any]:
    """What our server counts for a request that comes as the chat's own did."""
    chat = turn.sent[""]
    headers = {name: value for name, value in chat.headers.items() if name.startswith(("x-owui", "authorization", "content-type"))}
    request = urllib.request.Request(f"{turn.url}{chat.path}", json.dumps({**body, "stream": False}).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as answer:
        found: dict[str, Any] = json.load(answer)["usage"]
    return found


def test_the_second_turn_after_the_four_requests_of_the_first_reads_its_new_tokens_alone(first_turn: Turn) -> None:
    assert set(first_turn.sent) == {"", *TASKS}
    body = first_turn.sent[""].json
    before = first_turn.answer["usage"]
    turn = [{"role": "assistant", "content": first_turn.answer["content"]}, {"role": "user", "content": "And in the first year?"}]
    told = usage(first_turn, {**body, "messages": [*body["messages"], *turn]})
    cached = told["prompt_tokens_details"]["cached_tokens"]
    assert cached >= before["prompt_tokens"] + before["completion_tokens"] - 1, "the last chosen token was never read"
    assert told["prompt_tokens"] > cached
