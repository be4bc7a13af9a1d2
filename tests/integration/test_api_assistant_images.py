"""Pictures in questions to assistants: they go on to a model that writes, beside the passages that were found."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from api_server import KEY, Running
from tiny_pictures import picture, url

SHOWN = {"type": "image_url", "image_url": {"url": url(picture(1))}}


def ask(server: Running, model: str, *before: dict[str, Any]) -> str:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
    question = {"role": "user", "content": [{"type": "text", "text": "How much leave do I have?"}, SHOWN]}
    sent: Any = [*before, question]
    return client.chat.completions.create(model=model, messages=sent).choices[0].message.content or ""


def test_the_picture_of_a_question_goes_on_to_the_model_behind_the_passages(server: Running) -> None:
    assert "15 days" in ask(server, "scribe")
    request, _ = server.backend.seen[-1]
    told, shown = request.messages[-1].content  # type: ignore[misc]  # two parts
    assert "[1] " in told["text"]  # type: ignore[index]
    assert told["text"].endswith("How much leave do I have?")  # type: ignore[index]
    assert shown == SHOWN


def test_pictures_of_earlier_turns_stay_where_they_were(server: Running) -> None:
    earlier = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, SHOWN]}
    ask(server, "scribe", earlier, {"role": "assistant", "content": "A lamp."})
    request, _ = server.backend.seen[-1]
    assert [len(message.pictures) for message in request.messages] == [0, 1, 0, 1]


def test_an_assistant_that_quotes_says_that_it_looks_at_no_pictures(server: Running) -> None:
    with pytest.raises(openai.BadRequestError, match="quotes its documents"):
        ask(server, "handbook")
