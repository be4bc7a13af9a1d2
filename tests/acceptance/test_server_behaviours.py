"""What llama.cpp's own server promises its clients, asked of the real `ondol serve`: see models/engine/llama_server_tests.md."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_process
import openai
import pytest
from product import Product, Served

MODEL = "smollm2-135m-instruct"
pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("behaviours") / "home"
    product = Product(home, smollm2.parent.parent)
    config = f"models: {{default: {MODEL}, context: 512, parallel: 2, threads: 1, max_queue: 4}}\n"
    (home / "config.yaml").write_text(config, encoding="utf-8")
    with product.serving() as served:
        yield served


def post(served: Served, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """(status, body) of a request with the key, unless other headers are given."""
    headers = {"authorization": f"Bearer {served.key}"} if headers is None else headers
    request = urllib.request.Request(f"{served.url}{path}", json.dumps(body).encode(), {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def chat(served: Served, text: str = "Name a colour.", **more: Any) -> tuple[int, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 12, "temperature": 0, **more}
    return post(served, "/v1/chat/completions", body)


def events(served: Served, path: str, body: dict[str, Any]) -> list[Any]:
    """The events of a stream, `[DONE]` as None."""
    request = urllib.request.Request(
        f"{served.url}{path}",
        json.dumps({"model": MODEL, "temperature": 0, "stream": True, **body}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {served.key}"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        lines = [line[6:].strip() for line in answer if line.startswith(b"data: ")]
    return [None if line == b"[DONE]" else json.loads(line) for line in lines]


def test_what_was_read_before_is_told_as_cached_and_a_prompt_that_parts_from_it_is_read_from_there(served: Served) -> None:
    text = "Count: " + " ".join(str(number) for number in range(40))
    counts = []
    for ending in ("alpha", "alpha", "omega"):
        _, told = chat(served, f"{text} {ending}", max_tokens=1)
        counts.append((told["usage"]["prompt_tokens"], told["usage"]["prompt_tokens_details"]["cached_tokens"]))
    (total, _), (_, again), (_, other) = counts
    assert again == total - 1
    assert total - 20 < other < total - 1


def test_a_stream_is_one_answer_with_one_id_a_role_first_one_reason_and_usage_last(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 6, "stream_options": {"include_usage": True}}
    told = events(served, "/v1/chat/completions", body)
    assert told.pop() is None
    assert len({event["id"] for event in told}) == 1
    assert {event["object"] for event in told} == {"chat.completion.chunk"}
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all("role" not in event["choices"][0]["delta"] for event in told[1:-1])
    reasons = [event["choices"][0]["finish_reason"] for event in told[:-1]]
    assert [reason for reason in reasons if reason] == ["length"]
    assert told[-1]["choices"] == []
    assert told[-1]["usage"]["completion_tokens"] == 6


def test_a_text_is_the_same_streamed_and_whole(served: Served) -> None:
    whole = post(
        served, "/v1/completions", {"model": MODEL, "prompt": "I believe the meaning of life is", "max_tokens": 12, "temperature": 0}
    )[1]
    told = events(served, "/v1/completions", {"prompt": "I believe the meaning of life is", "max_tokens": 12})
    assert "".join(event["choices"][0]["text"] for event in told if event) == whole["choices"][0]["text"]


def test_the_same_seed_gives_the_same_text_and_another_seed_another_one(served: Served) -> None:
    def write(seed: int) -> str:
        body = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 16, "temperature": 1.0, "seed": seed}
        return str(post(served, "/v1/completions", body)[1]["choices"][0]["text"])

    assert write(7) == write(7)
    assert len({write(seed) for seed in range(4)}) == 4


def test_more_requests_than_there_are_places_are_all_answered(served: Served) -> None:
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: chat(served, f"Say {number}.", max_tokens=10), range(6)))
    assert [status for status, _ in found] == [200] * 6
    assert all(body["choices"][0]["message"]["content"] for _, body in found)


@contextlib.contextmanager
def crowd(served: Served, size: int) -> Iterator[None]:
    """While the block runs, so many long answers are under way or wait for their turn."""
    body = json.dumps({"model": MODEL, "prompt": "Once", "max_tokens": 400, "temperature": 0, "ignore_eos": True})
    headers = {"authorization": f"Bearer {served.key}", "content-type": "application/json"}
    with contextlib.ExitStack() as stack:
        for _ in range(size):
            connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)))
            connection.request("POST", "/v1/completions", body, headers)
        until_there_are(served, size)
        yield
    until_there_are(served, 0)


def until_there_are(served: Served, size: int) -> None:
    """Requests in the engine, those that wait for it among them."""
    end = time.monotonic() + 60
    while engine_process.running(served) + engine_process.waiting(served) != size:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "said"), [("Hi", "4 requests are waiting."), ("안녕하세요", "대기 중인 요청이 너무 많습니다")])
def test_a_full_queue_is_a_429_that_says_when_to_come_again(served: Served, stream: bool, text: str, said: str) -> None:
    assert chat(served, max_tokens=1)[0] == 200  # the model is there
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 1, "stream": stream}
    headers = {"authorization": f"Bearer {served.key}", "content-type": "application/json"}
    asked = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with crowd(served, 6), pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=30)
    assert refused.value.code == 429
    assert refused.value.headers["retry-after"] == "2"
    told = json.load(refused.value)["error"]
    assert (told["type"], told["code"]) == ("rate_limit_error", "busy")
    assert said in told["message"]
    assert chat(served, max_tokens=1)[0] == 200


def test_a_long_and_short_answers_share_one_cache_and_none_is_dropped(served: Served) -> None:
    # Together they want more than the 512 tokens that there are.
    asked = [{"model": MODEL, "prompt": "A", "max_tokens": count, "temperature": 0, "ignore_eos": True} for count in (150, 40, 250, 150)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda body: post(served, "/v1/completions", body), asked))
    assert [body["usage"]["completion_tokens"] for _, body in found] == [150, 40, 250, 150]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_is_a_400_with_both_counts_before_any_stream_begins(served: Served, stream: bool) -> None:
    status, body = chat(served, "What is the best book? " * 300, stream=stream)
    assert status == 400
    assert body["error"]["code"] == "context_length_exceeded"
    assert "512" in body["error"]["message"]


def test_without_a_limit_a_text_ends_with_the_context_and_says_so(served: Served) -> None:
    body = {"model": MODEL, "prompt": "word " * 480, "temperature": 0, "ignore_eos": True}
    _, told = post(served, "/v1/completions", body)
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"] == 512


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ({"type": "json_object", "schema": {"const": "42"}}, '"42"'),
        ({"type": "json_schema", "json_schema": {"schema": {"const": "foooooo"}}}, '"foooooo"'),
        ({"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"enum": [True]}}}, "true"),
    ],
)
def test_a_schema_binds_the_text(served: Served, form: dict[str, Any], wanted: str) -> None:
    status, body = chat(served, "Write an example.", response_format=form)
    assert status == 200
    assert body["choices"][0]["message"]["content"] == wanted


def test_a_grammar_and_a_schema_of_llama_cpps_own_fields_bind_the_text(served: Served) -> None:
    assert chat(served, grammar='root ::= "a"{5,5}')[1]["choices"][0]["message"]["content"] == "aaaaa"
    assert chat(served, json_schema={"const": "42"})[1]["choices"][0]["message"]["content"] == '"42"'


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "sound"}},
        {"response_format": {"type": "json_object", "schema": 123}},
        {"response_format": {"type": "json_object", "schema": {"type": 123}}},
        {"response_format": {"type": "json_object", "schema": {"type": "hiccup"}}},
        {"grammar": "root ::= this is (not valid GBNF"},
        {"grammar": 'root ::= "a"', "json_schema": {"const": 1}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}], "tool_choice": "required"},
    ],
)
def test_a_form_that_makes_no_sense_is_a_400_and_nothing_else_suffers(served: Served, more: dict[str, Any]) -> None:
    status, body = chat(served, **more)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert chat(served)[0] == 200


@pytest.mark.parametrize(
    "messages",
    [None, "string", [], [123], [{}], [{"role": 123}], [{"role": "system", "content": 123}], [{"role": "user", "content": "a"}, {}]],
)
def test_messages_that_are_none_are_a_400(served: Served, messages: Any) -> None:
    status, body = post(served, "/v1/chat/completions", {"model": MODEL, "messages": messages, "max_tokens": 2})
    assert status == 400
    assert body["error"]["message"]


def test_text_parts_are_joined_and_parts_that_the_model_can_not_read_are_refused(served: Served) -> None:
    parts = [{"type": "text", "text": "Name a"}, {"type": "text", "text": "colour."}]
    assert chat(served, messages=[{"role": "user", "content": parts}])[0] == 200
    for part in ({"type": "image_url", "image_url": {"url": "file:///etc/hostname"}}, {"type": "input_audio", "input_audio": {}}):
        status, body = chat(served, messages=[{"role": "user", "content": [part]}])
        assert status == 400
        assert "hostname" not in body["error"]["message"]


def test_a_tool_that_must_be_called_is_called_with_arguments_that_fit_streamed_and_whole(served: Served) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Seoul", "Busan"]}}, "required": ["city"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    body = {"messages": [{"role": "user", "content": "Weather?"}], "tools": [tool], "tool_choice": "required"}
    body |= {"parallel_tool_calls": False, "max_tokens": 60}
    status, told = chat(served, **body)
    assert status == 200
    (call,) = told["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"])["city"] in ("Seoul", "Busan")
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    parts = [call for event in events(served, "/v1/chat/completions", body) if event for call in _calls(event)]
    assert json.loads("".join(part["function"].get("arguments") or "" for part in parts)) == json.loads(call["function"]["arguments"])


def _calls(event: Any) -> list[Any]:
    return [call for choice in event["choices"] for call in choice["delta"].get("tool_calls") or ()]


def test_who_closes_the_connection_frees_the_place_at_once(served: Served) -> None:
    for _ in range(3):
        stream = served.client.completions.create(model=MODEL, prompt="Once", max_tokens=400, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
    end = time.monotonic() + 10
    while engine_process.running(served):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_key_may_come_in_the_headers_of_openai_or_anthropic_and_no_other_one_is_taken(served: Served) -> None:
    body = {"model": MODEL, "prompt": "Hi", "max_tokens": 1}
    assert post(served, "/v1/completions", body, {"x-api-key": served.key})[0] == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": served.key[:-1]}, {"x-api-key": ""}):
        status, told = post(served, "/v1/completions", body, headers)
        assert (status, told["error"]["type"]) == (401, "authentication_error")
    for public in ("/health", "/health/live"):
        with urllib.request.urlopen(f"{served.url}{public}", timeout=10) as answer:
            assert answer.status == 200
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="wrong", max_retries=0).models.list()


def test_an_answer_counts_in_the_metrics_with_its_tokens(served: Served) -> None:
    def tokens() -> float:
        with urllib.request.urlopen(f"{served.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("ondol_tokens_total{") and "completion" in line)

    before = tokens()
    chat(served, max_tokens=5, ignore_eos=True)
    assert tokens() == before + 5
