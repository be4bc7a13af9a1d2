"""The official client calls tools, and gets answers in a form, from the real server over a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
from product import Product, Served

pytestmark = pytest.mark.acceptance
MODEL = "smollm2-135m-instruct"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}}]
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
ASKED: Any = [{"role": "user", "content": "What is the weather in Oslo for 3 days?"}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path) -> Iterator[openai.OpenAI]:
    product = Product(tmp_path_factory.mktemp("tools") / "ondol", models_dir)
    with product.serving() as served:
        yield _client(served)


def _client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=120)


def test_a_call_and_its_result_make_a_conversation(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASKED, tools=TOOLS, tool_choice=NAMED, max_tokens=300, seed=1)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    jsonschema.validate(json.loads(call.function.arguments), PARAMETERS)

    told: Any = [*ASKED, choice.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "Snow."}]
    after = client.chat.completions.create(model=MODEL, messages=told, tools=TOOLS, tool_choice="none", max_tokens=12)
    assert after.choices[0].message.content
    assert after.choices[0].message.tool_calls is None


def test_a_streamed_call_is_the_whole_one_in_pieces(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ASKED, tools=TOOLS, tool_choice=NAMED, max_tokens=300, temperature=0)
    calls = whole.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    stream = client.chat.completions.create(
        model=MODEL, messages=ASKED, tools=TOOLS, tool_choice=NAMED, max_tokens=300, temperature=0, stream=True
    )
    parts: list[Any] = []
    reasons = []
    for chunk in stream:
        assert not chunk.choices[0].delta.content
        parts += chunk.choices[0].delta.tool_calls or []
        reasons.append(chunk.choices[0].finish_reason)
    assert (parts[0].index, parts[0].type, parts[0].function.name) == (0, "function", "get_weather")
    assert parts[0].id
    assert all(part.id is None and part.function.name is None for part in parts[1:])
    assert len(parts) > 3
    assert "".join(part.function.arguments or "" for part in parts) == calls[0].function.arguments
    assert reasons[-1] == "tool_calls"


def test_an_answer_comes_in_the_schema_that_was_asked_for(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "weather", "schema": PARAMETERS, "strict": True}}
    answer = client.chat.completions.create(model=MODEL, messages=ASKED, response_format=form, max_tokens=300)
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), PARAMETERS)
    plain = client.completions.create(model=MODEL, prompt="Yes or no?", extra_body={"grammar": 'root ::= "yes" | "no"'})
    assert plain.choices[0].text in ("yes", "no")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}}, "#/not"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": False}}}, "nothing fits"),
        ({"response_format": {"type": "xml"}}, "xml"),
        ({"grammar": 'root ::= "a"{3,1}'}, "line 1"),
        ({"grammar": 'root ::= root "a"'}, "left recursion"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, r"tools\[0\]"),
    ],
)
def test_what_can_not_be_kept_is_a_400_also_for_a_stream(client: openai.OpenAI, body: dict[str, Any], said: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=said):
            client.chat.completions.create(model=MODEL, messages=ASKED, extra_body=body, stream=stream)
