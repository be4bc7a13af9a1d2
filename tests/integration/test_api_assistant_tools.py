"""An assistant answers from its data: tools that it need not call change nothing, what it can't do is a clear error."""

from __future__ import annotations

from typing import Any

import openai
import pytest

ASKED: Any = [{"role": "user", "content": "How many days of annual leave?"}]
TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
CALL: Any = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}


def test_tools_that_need_not_be_called_are_left_alone(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="handbook", messages=ASKED)
    offered = client.chat.completions.create(model="handbook", messages=ASKED, tools=[TOOL])
    assert offered.choices[0].message.content == plain.choices[0].message.content
    assert offered.choices[0].message.tool_calls is None


@pytest.mark.parametrize(
    ("messages", "fields", "said"),
    [
        (ASKED, {"tools": [TOOL], "tool_choice": "required"}, "calls no tools"),
        (ASKED, {"response_format": {"type": "json_object"}}, "in no other form"),
        (
            [*ASKED, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "1", "content": "noon"}],
            {"tools": [TOOL]},
            "results of tools",
        ),
    ],
)
def test_what_an_assistant_can_not_do_is_a_400_that_says_so(
    client: openai.OpenAI, messages: Any, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        client.chat.completions.create(model="handbook", messages=messages, **fields)
