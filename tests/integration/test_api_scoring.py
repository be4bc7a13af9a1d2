"""Prompts that come back with the chances of their tokens, over the wired server, as evaluation harnesses ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tiny_ggufs
from served_models import ServedModels, serving_models

from app.backends.openai import OpenAIBackend
from app.core.records import Context, Generation

# Without blanks, which models of random weights know as the bytes of another character.
PROMPT = "서울의날씨는맑고,thequickbrownfoxjumpsoverthelazydog." * 3
FIELDS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
NEAR = 0.02  # rows that share a batch with others are added up in another order


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    folder = tmp_path_factory.mktemp("served")
    with serving_models(folder / "home", {"tiny": tiny_ggufs.llama(folder / "tiny.gguf")}) as served:
        yield served


def complete(server: ServedModels, prompt: Any = PROMPT, **more: Any) -> Any:
    more = {"temperature": 0, "max_tokens": 6, "echo": True, "logprobs": 2, "extra_body": {"ignore_eos": True}, **more}
    return server.client.completions.create(model=server.ids["tiny"], prompt=prompt, **more)


def tokens_of(server: ServedModels, text: str) -> list[int]:
    return list(server.ask("/tokenize", {"model": server.ids["tiny"], "content": text, "add_special": True})[1]["tokens"])


def test_an_echo_with_chances_tells_those_of_the_prompt_and_the_text_with_their_places(server: ServedModels) -> None:
    made = complete(server)
    choice, tokens = made.choices[0], tokens_of(server, PROMPT)
    told = choice.logprobs
    assert choice.text == PROMPT + complete(server, echo=False).choices[0].text
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == len(tokens) + 6
    assert (told.token_logprobs[0], told.top_logprobs[0]) == (None, None)
    assert all(chance <= max(best.values()) for chance, best in zip(told.token_logprobs[1:], told.top_logprobs[1:], strict=True))
    places = list(zip(told.text_offset, told.tokens, strict=True))[: len(tokens)]
    whole = [(at, token) for at, token in places if "\ufffd" not in token]
    assert len(whole) > len(tokens) / 3
    assert all(PROMPT[at:].startswith(token) for at, token in whole)
    assert told.text_offset[len(tokens)] == len(PROMPT)
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (len(tokens), 6)


def test_a_prompt_alone_is_scored_where_no_token_is_wanted(server: ServedModels) -> None:
    made = complete(server, max_tokens=0)
    assert (made.choices[0].text, made.choices[0].finish_reason) == (PROMPT, "length")
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (len(made.choices[0].logprobs.tokens), 0)
    written = complete(server).choices[0].logprobs.token_logprobs
    assert made.choices[0].logprobs.token_logprobs[1:] == pytest.approx(written[1:-6], abs=NEAR)
    assert complete(server, max_tokens=0, logprobs=None).choices[0].text == PROMPT


@pytest.mark.parametrize("more", [{}, {"max_tokens": 0}, {"n": 2}, {"prompt": [PROMPT, "한글"]}])
def test_streamed_it_is_the_same(server: ServedModels, more: dict[str, Any]) -> None:
    made = complete(server, **more)
    *chunks, last = complete(server, **more, stream=True, stream_options={"include_usage": True})
    assert last.usage.prompt_tokens == made.usage.prompt_tokens
    assert last.usage.completion_tokens == made.usage.completion_tokens
    for choice in made.choices:
        mine = [one for chunk in chunks for one in chunk.choices if one.index == choice.index]
        assert "".join(one.text for one in mine) == choice.text
        streamed = {field: [value for one in mine if one.logprobs for value in getattr(one.logprobs, field)] for field in FIELDS}
        assert streamed["tokens"] == choice.logprobs.tokens
        assert streamed["text_offset"] == choice.logprobs.text_offset
        assert streamed["token_logprobs"][1:] == pytest.approx(choice.logprobs.token_logprobs[1:], abs=NEAR)
        assert [len(one or {}) for one in streamed["top_logprobs"]] == [len(one or {}) for one in choice.logprobs.top_logprobs]
        assert [one.finish_reason for one in mine if one.finish_reason] == [choice.finish_reason]


def test_each_of_several_choices_has_the_prompt_and_its_tokens_count_once(server: ServedModels) -> None:
    made = complete(server, n=3, temperature=1.5, seed=1)
    assert len({one.text for one in made.choices}) == 3
    assert all(one.text.startswith(PROMPT) for one in made.choices)
    tokens = len(tokens_of(server, PROMPT))
    first, *others = [one.logprobs.token_logprobs[1:tokens] for one in made.choices]
    assert all(one == pytest.approx(first, abs=NEAR) for one in others)
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (tokens, 18)


def test_a_harness_that_sends_tokens_reads_the_chance_of_a_continuation(server: ServedModels) -> None:
    context, answer = tokens_of(server, "서울의 날씨는"), tokens_of(server, " 맑음")[1:]
    made = complete(server, [context + answer, context], max_tokens=1, logprobs=1)
    told = made.choices[0].logprobs
    assert len(told.tokens) == len(context) + len(answer) + 1
    assert sum(told.token_logprobs[len(context) : -1]) < 0
    (both, alone) = made.choices
    assert both.logprobs.token_logprobs[1 : len(context)] == pytest.approx(alone.logprobs.token_logprobs[1 : len(context)], abs=NEAR)
    one = complete(server, context, max_tokens=1, logprobs=1)
    assert one.choices[0].text == alone.text
    assert one.usage.prompt_tokens == len(context)


def test_tokens_complete_as_their_text_does(server: ServedModels) -> None:
    plain = {"echo": False, "logprobs": None}
    assert complete(server, tokens_of(server, PROMPT), **plain).choices[0].text == complete(server, **plain).choices[0].text


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([1, "two"], "mixes tokens"),
        ([1, [2]], "mixes tokens"),
        ([10**6], "There is no token 1000000"),
        ([-1], "There is no token -1"),
        ([[1], [2**40]], "There is no token"),
        ([[1], [2**70]], "64 bits"),
        ([True], "prompt"),
        ([[1.5]], "prompt"),
    ],
)
def test_prompts_that_are_none_are_told_so(server: ServedModels, prompt: Any, said: str) -> None:
    status, refused = server.ask("/v1/completions", {"model": server.ids["tiny"], "prompt": prompt, "max_tokens": 1})
    assert status == 400, refused
    assert said in refused["error"]["message"]
    assert "64 bits" in said or "prompt" in refused["error"]["param"]


def test_a_gap_between_two_texts_is_not_scored(server: ServedModels) -> None:
    body = {"model": server.ids["tiny"], "prompt": "a", "suffix": "b", "echo": True, "logprobs": 1}
    status, refused = server.ask("/v1/completions", body)
    assert (status, refused["error"]["param"]) == (400, "echo")


async def test_the_chances_of_a_prompt_come_through_from_another_server_too(server: ServedModels) -> None:
    config = {"model": server.ids["tiny"], "base_url": f"{server.url}/v1", "api_key": server.key, "temperature": 0}
    far = OpenAIBackend("far", config)
    request = Generation(prompt=PROMPT, max_tokens=0, logprobs=2, echo=True)
    pieces = [piece async for piece in far.generate("", request, Context())]
    await far.close()
    told = complete(server, max_tokens=0).choices[0].logprobs
    assert "".join(piece.text for piece in pieces) == PROMPT
    chances = [one.logprob for piece in pieces for one in piece.chances]
    assert (chances[0], chances[1:]) == (None, pytest.approx(told.token_logprobs[1:], abs=NEAR))
