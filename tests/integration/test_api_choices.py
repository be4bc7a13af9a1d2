"""Several choices over the real server with small parts: whose events are told, and how an error of one ends all."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from api_server import Running


def chunks(client: openai.OpenAI, model: str, n: int) -> list[Any]:
    more: Any = {"stream_options": {"include_usage": True, "include_events": True}}
    messages: Any = [{"role": "user", "content": "How much leave do I have?"}]
    return list(client.chat.completions.create(model=model, messages=messages, n=n, stream=True, **more))


def test_an_assistants_choices_each_cite_and_its_sources_are_told_once(client: openai.OpenAI) -> None:
    events = [[chunk.event for chunk in chunks(client, "handbook", n) if getattr(chunk, "event", None)] for n in (1, 2)]
    assert events[0] == events[1] != []
    messages: Any = [{"role": "user", "content": "How much leave do I have?"}]
    made: Any = client.chat.completions.create(model="handbook", messages=messages, n=2)
    assert made.choices[0].message.content == made.choices[1].message.content
    assert all(choice.message.annotations for choice in made.choices)


def test_each_choice_is_counted_and_their_prompt_once(client: openai.OpenAI) -> None:
    usage = chunks(client, "parrot", 3)[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens) == (7, 3 * 6, 2)


def test_an_error_of_one_choice_is_told_once_and_ends_the_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="worker process ended"):
        chunks(client, "dies", 2)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="dies", messages=[{"role": "user", "content": "x"}], n=2)


def test_who_leaves_stops_all_choices(server: Running, client: openai.OpenAI) -> None:
    import time

    before = server.backend.stopped
    messages: Any = [{"role": "user", "content": "go"}]
    stream = client.chat.completions.create(model="endless", messages=messages, n=3, stream=True)
    for at, _ in enumerate(stream):
        if at == 10:
            break
    stream.close()
    until = time.monotonic() + 20
    while server.backend.stopped < before + 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert server.backend.stopped == before + 3
