"""What Open WebUI sends beside and around a chat, and what it is shown while it waits."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from api_server import KEY, Running, serving

HEADERS = {"authorization": f"Bearer {KEY}"}
PAGE = {**HEADERS, "X-OWUI-Task": ""}
CHAT = "<chat_history>\nUSER: {asked}\nASSISTANT: 15 days.\n</chat_history>"
FILES = (
    "### Task:\nRespond to the user query using the provided context.\n\n<context>\n"
    '<source id="1" name="offer.pdf">The offer ends in May.</source>\n</context>\n\nWhen does the offer end?'
)


def ask(server: Running, model: str, text: str, **body: Any) -> str:
    answer = httpx.post(f"{server.url}/v1/chat/completions", headers=HEADERS, json=chat(model, text, **body))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def chat(model: str, text: str, **body: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **body}


def task(wanted: str, asked: str = "How many days of leave?") -> str:
    return f'### Task:\nDo it.\nJSON format: {{ "{wanted}": "..." }}\n{CHAT.format(asked=asked)}'


def streamed(server: Running, model: str, text: str, headers: dict[str, str] = PAGE) -> list[dict[str, Any]]:
    body = chat(model, text, stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", headers=headers, json=body) as answer:
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]


def lines(chunks: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    events = [chunk["event"] for chunk in chunks if "event" in chunk]
    return [(event["data"]["description"], event["data"]["done"]) for event in events if event["type"] == "status"]


@pytest.mark.parametrize("model", ["handbook", "writer"])
def test_a_title_comes_from_the_question_and_asks_no_model(server: Running, model: str) -> None:
    before = len(server.backend.seen)
    assert json.loads(ask(server, model, task("title"))) == {"title": "How many days of leave?"}
    assert len(server.backend.seen) == before


def test_an_assistants_chats_are_tagged_with_their_data_and_followed_by_its_questions(server: Running) -> None:
    assert json.loads(ask(server, "handbook", task("tags"))) == {"tags": ["hr"]}
    assert json.loads(ask(server, "handbook", task("follow_ups"))) == {"follow_ups": ["When is payday?"]}
    assert json.loads(ask(server, "handbook", task("follow_ups", "When is payday?"))) == {"follow_ups": []}


def test_a_task_that_needs_a_model_goes_to_the_assistants_own_behind_chats_and_without_a_search(server: Running) -> None:
    answer = httpx.post(
        f"{server.url}/v1/chat/completions",
        headers={**HEADERS, "X-OWUI-Task": "emoji_generation"},
        json=chat("handbook", "Which emoji fits: How many days of leave?"),
    )
    assert answer.json()["choices"][0]["message"]["content"].startswith("Annual leave is 15 days [1].")
    assert server.backend.seen[-1][1].priority == "task"
    assert server.backend.seen[-1][0].messages[0].content == "Which emoji fits: How many days of leave?"


def test_the_configured_model_writes_the_titles_in_few_tokens_behind_chats() -> None:
    with serving(task_model="titler") as server:
        assert json.loads(ask(server, "handbook", task("title"))) == {"title": "Leave"}
        request, context = server.backend.seen[-1]
        assert (context.priority, request.max_tokens) == ("task", 64)
        # What it writes is no list of tags: the answer made without it stands in.
        assert json.loads(ask(server, "handbook", task("tags"))) == {"tags": ["hr"]}


@pytest.mark.parametrize("model", ["dies", "full", "not-there"])
def test_a_title_comes_also_when_the_model_for_it_fails(model: str) -> None:
    with serving(task_model=model) as server:
        assert json.loads(ask(server, "writer", task("title"))) == {"title": "How many days of leave?"}


def test_the_chats_own_model_may_write_the_titles() -> None:
    with serving(task_model="same") as server:
        server.backend.texts["writer"] = '{"title": "By the writer"}'
        assert json.loads(ask(server, "scribe", task("title"))) == {"title": "By the writer"}


@pytest.mark.parametrize("model", ["handbook", "parrot"])
def test_the_pages_own_files_pass_untouched_as_a_chat(server: Running, model: str) -> None:
    ask(server, model, FILES)
    request, context = server.backend.seen[-1]
    assert [message.content for message in request.messages] == [FILES]
    assert context.priority == "chat"


def test_what_the_model_thinks_comes_apart_and_is_never_cited(server: Running) -> None:
    deltas = [choice["delta"] for chunk in streamed(server, "ponderer", "How many days of leave?") for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "The passages say it."
    assert "".join(delta.get("content", "") for delta in deltas).strip() == "Annual leave is 15 days. [1]"


def test_a_whole_answer_carries_what_the_model_thought(server: Running) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", headers=HEADERS, json=chat("thinker", "leave?")).json()
    assert answer["choices"][0]["message"]["reasoning_content"] == "The passages say it."
    plain = httpx.post(f"{server.url}/v1/chat/completions", headers=HEADERS, json=chat("parrot", "leave?")).json()
    assert "reasoning_content" not in plain["choices"][0]["message"]


@pytest.mark.parametrize("model", ["cold", "sleeper"])
def test_a_wait_is_told_as_it_goes_on_and_closed_when_text_comes(server: Running, model: str) -> None:
    told = lines(streamed(server, model, "How many days of leave?"))
    assert told[-6:] == [
        ("Loading Cold One: 50 % of 2.1 GB", False),
        ("Loading Cold One: 100 % of 2.1 GB", False),
        ("Cold One is loaded", True),
        ("Waiting: number 2 in the queue", False),
        ("Waiting: number 1 in the queue", False),
        ("Your turn", True),
    ]
    assert ("Loading Cold One: 0 % of 2.1 GB", False) in told


def test_a_korean_reads_the_wait_in_korean(server: Running) -> None:
    told = lines(streamed(server, "cold", "연차는 며칠인가요?"))
    assert told[0] == ("Cold One 불러오는 중: 2.1 GB 중 0 %", False)
    assert told[-2:] == [("대기 중: 1번째 순서", False), ("차례가 되었습니다", True)]


def test_a_client_that_did_not_ask_sees_no_events(server: Running) -> None:
    chunks = streamed(server, "sleeper", "How many days of leave?", HEADERS)
    assert not any("event" in chunk for chunk in chunks)
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text.strip() == "Annual leave is 15 days. [1]"


@pytest.mark.parametrize(
    ("model", "words"), [("full", "9000토큰"), ("not-there", "그런 모델이 없습니다"), ("dies", "모델 프로세스가 종료되었습니다")]
)
def test_an_error_speaks_the_questions_language(server: Running, model: str, words: str) -> None:
    for stream in (False, True):
        body = chat(model, "연차는 며칠인가요?", stream=stream)
        answer = httpx.post(f"{server.url}/v1/chat/completions", headers=HEADERS, json=body)
        found = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if '"error"' in line]
        assert words in found[0]["error"]["message"]


def test_half_a_character_is_a_clear_error(server: Running) -> None:
    body = '{"model": "parrot", "messages": [{"role": "user", "content": "half \\ud83d here"}]}'
    answer = httpx.post(f"{server.url}/v1/chat/completions", headers={**HEADERS, "content-type": "application/json"}, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The text holds half a character")


def test_citations_come_once_as_events_or_as_annotations(server: Running) -> None:
    def kinds(headers: dict[str, str]) -> tuple[bool, bool]:
        chunks = streamed(server, "handbook", "How many days of leave?", headers)
        return any("event" in chunk for chunk in chunks), any("annotations" in one["delta"] for chunk in chunks for one in chunk["choices"])

    assert (kinds(PAGE), kinds(HEADERS)) == ((True, False), (False, True))


def test_an_english_error_stays_english(server: Running) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", headers=HEADERS, json=chat("not-there", "How many days?"))
    assert answer.json()["error"]["message"].startswith("There is no model 'not-there'.")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_before_the_first_text_stops_the_model(server: Running, stream: bool) -> None:
    held = server.backend
    stopped = held.stopped
    place = urlsplit(server.url)
    body = json.dumps(chat("silent", "say nothing", stream=stream)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer {KEY}\r\n"
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        connection.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        wait_for(lambda: held.silent)
    wait_for(lambda: held.stopped > stopped)
    held.silent = False
    wait_for(lambda: 'model="silent",status="cancelled"' in httpx.get(f"{server.url}/metrics").text.replace(" ", ""))


def wait_for(true: Any) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
