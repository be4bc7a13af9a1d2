"""The API as clients see it: the official openai client, and raw HTTP where the wire matters."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from api_server import KEY, PASSAGES, Running


def send(
    server: Running, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    connection.request(method, path, data, {"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text.startswith(b"{") else text.decode(), dict(answer.getheaders())


def ask(model: str, content: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def test_models_lists_assistants_before_models_with_their_suggestions(client: openai.OpenAI) -> None:
    models = client.models.list().data
    assert [model.id for model in models][:5] == ["handbook", "scribe", "ponderer", "sleeper", "parrot"]
    assert models[0].info["meta"]["suggestion_prompts"][0]["content"] == "When is payday?"  # type: ignore[attr-defined]
    assert client.models.retrieve("parrot").id == "parrot"


def test_a_whole_chat_carries_text_reason_and_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**ask("parrot", "say this"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("say this ", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 2, 9)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 2


def test_a_streamed_chat_ends_with_its_reason_and_usage_where_asked(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(**ask("parrot", "say this"), stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "say this "
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
    assert not any(chunk.usage for chunk in client.chat.completions.create(**ask("parrot"), stream=True))


def test_an_assistant_quotes_with_annotations_that_point_at_the_quote(client: openai.OpenAI, server: Running) -> None:
    answer = client.chat.completions.create(**ask("handbook", "How many days of annual leave?"))
    message = answer.choices[0].message
    assert message.content is not None
    assert message.content.startswith("“Annual leave is 15 days.” [1]")
    assert message.annotations is not None
    cited = message.annotations[0].url_citation
    assert (cited.title, message.content[cited.start_index : cited.end_index]) == ("Leave", "“Annual leave is 15 days.” [1]")
    assert cited.page == 3  # type: ignore[attr-defined]
    assert server.ledger.answers[-1].question == "How many days of annual leave?"
    assert server.ledger.answers[-1].style == "quote"


def test_what_is_not_in_the_data_gets_an_honest_answer_in_the_questions_language(client: openai.OpenAI) -> None:
    english = client.chat.completions.create(**ask("handbook", "How far is the moon?")).choices[0].message
    korean = client.chat.completions.create(**ask("handbook", "달(moon)까지 거리는 얼마인가요?")).choices[0].message
    assert english.content == "I couldn't find an answer to this in your data."
    assert korean.content == "가지고 계신 데이터에서 이 질문의 답을 찾지 못했습니다."
    assert not english.annotations


def test_a_written_answer_cites_what_is_supported_and_marks_what_is_not(client: openai.OpenAI) -> None:
    message = client.chat.completions.create(**ask("scribe", "How many days of annual leave?")).choices[0].message
    assert message.content == (
        "Annual leave is 15 days. [1] The moon pays 900 coins. (?) Bye! \n\n(?) No passage in your data supports this sentence."
    )
    assert message.annotations is not None
    assert [one.url_citation.title for one in message.annotations] == ["Leave"]


def test_events_go_to_those_who_ask_and_to_nobody_else(client: openai.OpenAI) -> None:
    asking = {"extra_headers": {"X-OWUI-Task": ""}}
    events = [
        chunk.event
        for chunk in client.chat.completions.create(**ask("handbook", "annual leave?"), stream=True, **asking)
        if hasattr(chunk, "event")
    ]
    assert [event["type"] for event in events][:3] == ["status", "status", "source"]
    source = next(event["data"] for event in events if event["type"] == "source")
    assert source["metadata"][0] == {
        "source": "Leave",
        "name": "Leave",
        "document_id": "leave",
        "freshness": "unknown",
        "page": 2,
    }
    assert not any(hasattr(chunk, "event") for chunk in client.chat.completions.create(**ask("handbook", "annual leave?"), stream=True))


def test_completions_go_on_from_a_prompt_and_from_several(client: openai.OpenAI) -> None:
    assert client.completions.create(model="parrot", prompt="once upon").choices[0].text == "once upon "
    assert [one.text for one in client.completions.create(model="parrot", prompt=["a", "b c"]).choices] == ["a ", "b c "]
    assert "".join(chunk.choices[0].text for chunk in client.completions.create(model="parrot", prompt="x y", stream=True)) == "x y "


def test_embeddings_come_as_numbers_and_as_base64(client: openai.OpenAI) -> None:
    # The official client asks for base64 and decodes it.
    made = client.embeddings.create(model="default", input=["abc", "de"])
    assert [one.embedding for one in made.data] == [[3.0, 0.5], [2.0, 0.5]]
    plain = client.embeddings.create(model="default", input="abcd", encoding_format="float")
    assert plain.data[0].embedding == [4.0, 0.5]


def test_a_store_is_listed_and_searched_in_openais_shape(client: openai.OpenAI) -> None:
    assert [store.id for store in client.vector_stores.list()] == ["hr"]
    assert client.vector_stores.retrieve("hr").file_counts.total == 2
    found = client.vector_stores.search("hr", query="leave", max_num_results=1).data
    assert [(hit.file_id, hit.filename, hit.content[0].text[:12]) for hit in found] == [("leave", "Leave", "Annual leave")]
    with pytest.raises(openai.NotFoundError, match="no store"):
        client.vector_stores.search("none", query="leave")


def test_each_of_several_questions_brings_its_best_and_too_many_are_refused(client: openai.OpenAI) -> None:
    found = client.vector_stores.search("hr", query=["leave", "travel"], max_num_results=2).data
    assert [hit.file_id for hit in found] == [passage.document_id for passage in PASSAGES]
    with pytest.raises(openai.BadRequestError, match="at most 64"):
        client.vector_stores.search("hr", query=["leave"] * 65)


@pytest.mark.parametrize(
    "filters",
    [
        {"type": "and", "filters": [5]},
        {"type": "and", "filters": ["x"]},
        {"type": "and", "filters": 5},
        {"type": "and", "filters": [{"type": "eq", "key": "year", "value": at} for at in (2023, 2024)]},
        {"a": 1},
    ],
)
def test_filters_that_are_none_are_refused(server: Running, filters: Any) -> None:
    status, refused, _ = send(server, "POST", "/v1/vector_stores/hr/search", {"query": "leave", "filters": filters})
    assert (status, refused["error"]["param"]) == (400, "filters")


def test_a_wrong_key_is_an_authentication_error_below_every_address(server: Running) -> None:
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="`ondol key`"):
        stranger.models.list()
    for path in ("/v1/no-such-thing", "/admin", "/models"):
        assert send(server, "GET", path, headers={"authorization": "Bearer wrong"})[0] == 401
    assert send(server, "GET", "/v1/models", headers={"authorization": ""})[0] == 401


def test_an_unknown_model_is_a_not_found_error_that_names_the_nearest(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError, match="Did you mean 'parrot'"):
            client.chat.completions.create(**ask("parot"), stream=stream)


def test_a_whole_book_as_the_models_name_is_not_told_back(server: Running) -> None:
    status, refused, _ = send(server, "POST", "/v1/chat/completions", ask("책" * 100_000))
    assert status == 404
    assert len(refused["error"]["message"]) < 500


def test_a_prompt_that_is_too_long_is_a_bad_request_with_both_counts(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=r"8192 tokens.*9000") as caught:
            client.chat.completions.create(**ask("full"), stream=stream)
        assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("more", "param"),
    [({"temperature": "hot"}, "temperature"), ({"temperature": 9}, "temperature"), ({"max_tokens": 0}, "max_tokens"), ({"n": 0}, "n")],
)
def test_a_bad_parameter_is_a_bad_request_that_names_it(client: openai.OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ask("parrot", **more))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"messages": 3}', b'{"messages": []}', b"\xff\xfe", b'{"messages": [{"role": "king", "content": "x"}]}']
)
def test_a_body_that_is_no_request_is_a_clear_400(server: Running, body: bytes) -> None:
    status, said, _ = send(server, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert said["error"]["type"] == "invalid_request_error"
    assert said["error"]["message"]


@pytest.mark.parametrize(
    ("body", "said", "param"),
    [
        (b"", "The body is empty. Send a JSON object.", None),
        (b"[]", "Expected `object`, got `array`.", None),
        (b"{}", "'messages' is missing.", "messages"),
        (b'{"messages": [{"content": "x"}]}', "'messages[0].role' is missing.", "messages[0].role"),
        (b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deep", None),
    ],
)
def test_a_refused_body_is_told_what_is_wrong_with_it_in_the_clients_own_words(
    server: Running, body: bytes, said: str, param: str | None
) -> None:
    status, refused, _ = send(server, "POST", "/v1/chat/completions", body)
    assert (status, refused["error"]["param"]) == (400, param)
    assert said in refused["error"]["message"]


def test_a_body_that_is_too_large_is_told_how_large_one_may_be(server: Running) -> None:
    status, refused, _ = send(server, "POST", "/v1/chat/completions", b"{}", headers={"content-length": str(65 * 1024**2)})
    assert status == 413
    assert "64 MB" in refused["error"]["message"]


def test_unknown_fields_are_ignored(server: Running) -> None:
    assert send(server, "POST", "/v1/chat/completions", ask("parrot", made_up={"a": 1}, logit_bias=None))[0] == 200


def test_an_error_in_mid_stream_is_told_in_the_stream_in_openais_shape(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="worker process ended"):
        list(client.chat.completions.create(**ask("dies", "some words"), stream=True))


def test_a_client_that_leaves_stops_the_model_streamed_or_whole(server: Running) -> None:
    for stream in (True, False):
        before = server.backend.stopped
        body = json.dumps(ask("endless", stream=stream)).encode()
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as wire:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
            wire.sendall(head.encode() + f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.3)
        deadline = time.monotonic() + 10
        while server.backend.stopped == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.backend.stopped == before + 1


def test_a_strange_host_or_origin_is_refused_and_a_known_one_is_let_in(server: Running) -> None:
    assert send(server, "GET", "/v1/models", headers={"host": "evil.example"})[0] == 403
    assert send(server, "GET", "/health/live", headers={"host": "evil.example:11500"})[0] == 403
    assert send(server, "GET", "/v1/models", headers={"host": "my-host:11500"})[0] == 200
    assert send(server, "GET", "/v1/models", headers={"origin": "http://evil.example"})[0] == 403
    assert send(server, "GET", "/v1/models", headers={"origin": "http://page.example"})[0] == 200


def test_no_page_of_another_origin_may_read_an_answer(server: Running) -> None:
    headers = {name.lower() for name in send(server, "GET", "/v1/models")[2]}
    assert "access-control-allow-origin" not in headers


def test_health_needs_no_key_and_ready_carries_the_instance_and_a_state_per_part(server: Running) -> None:
    nobody = {"authorization": ""}
    assert send(server, "GET", "/health/live", headers=nobody)[1] == {"status": "ok"}
    ready = send(server, "GET", "/health/ready", headers=nobody)[1]
    assert (ready["instance"], ready["parts"]["index"]["state"]) == ("token-1", "ready")
    assert send(server, "GET", "/health", headers=nobody)[0] == 200


def test_metrics_count_requests_errors_and_tokens_by_names_that_exist(server: Running, client: openai.OpenAI) -> None:
    client.chat.completions.create(**ask("parrot"))
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**ask("a-name-made-up"))
    text = send(server, "GET", "/metrics")[1]
    assert 'ai_requests_total{endpoint="chat.completions",model="parrot",status="ok"}' in text
    assert 'ai_errors_total{code="model_not_found",endpoint="chat.completions"}' in text
    assert "ai_request_duration_seconds_bucket" in text
    assert "ai_active_connections" in text
    assert 'ondol_index_pending{store="hr"} 3.0' in text
    assert "a-name-made-up" not in text


def test_an_address_that_does_not_exist_is_a_404_and_a_wrong_method_a_405(server: Running) -> None:
    assert send(server, "GET", "/v1/nothing")[:2][0] == 404
    status, body, _ = send(server, "DELETE", "/v1/models")
    assert (status, body["error"]["type"]) == (405, "invalid_request_error")


def test_the_schema_names_every_endpoint(server: Running) -> None:
    paths = send(server, "GET", "/schema")[1]["paths"]
    assert {"/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/vector_stores", "/metrics"} <= set(paths)


@pytest.mark.parametrize("text", ["", " " * 50, "x" * 10_000, "🦊" * 100, "\u0000\u0007", "\ud800"])
def test_odd_questions_get_an_answer_or_a_clear_error(server: Running, text: str) -> None:
    status, body, _ = send(server, "POST", "/v1/chat/completions", ask("handbook", text))
    assert status in (200, 400)
    assert body.get("choices") or body["error"]["message"]
