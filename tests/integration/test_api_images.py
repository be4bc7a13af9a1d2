"""Pictures over the real server: the model list, a chat as the official client and as Open WebUI send it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
import tiny_ggufs
import tiny_projectors
from served_models import ServedModels, serving_models
from tiny_pictures import picture, url

RED, BLUE = picture(1), picture(2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    folder = tmp_path_factory.mktemp("pictures")
    sees = tiny_ggufs.llama(folder / "sees.gguf")
    tiny_projectors.gemma3(folder / "mmproj-sees-f16.gguf")
    blind = tiny_ggufs.llama(folder / "blind.gguf", seed=8)
    with serving_models(folder / "home", {"sees": sees, "blind": blind}) as running:
        yield running


def message(text: str, *urls: str) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": text}, *({"type": "image_url", "image_url": {"url": one}} for one in urls)],
    }


def ask(server: ServedModels, *messages: dict[str, Any], model: str = "sees", **more: Any) -> Any:
    sent: Any = list(messages)
    return server.client.chat.completions.create(model=model, messages=sent, temperature=0, max_tokens=12, **more)


def test_the_list_tells_which_models_see(server: ServedModels) -> None:
    _, found = server.ask("/v1/models")
    vision = {one["id"]: one["info"]["meta"]["capabilities"]["vision"] for one in found["data"]}
    assert (vision["sees"], vision["blind"]) == (True, False)
    _, managed = server.ask("/models")
    inputs = {one["id"]: one["architecture"]["input_modalities"] for one in managed["data"]}
    assert (inputs["sees"], inputs["blind"]) == (["text", "image"], ["text"])


def test_a_picture_changes_the_answer_and_counts_in_the_usage(server: ServedModels) -> None:
    red, blue, none = (ask(server, message("What is this?", *shown)) for shown in ([url(RED)], [url(BLUE)], []))
    assert len({one.choices[0].message.content for one in (red, blue, none)}) == 3
    assert red.usage.prompt_tokens >= none.usage.prompt_tokens + tiny_projectors.SQUARE


def test_a_streamed_chat_goes_on_about_its_picture(server: ServedModels) -> None:
    first = message("What is this?", url(RED))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in ask(server, first, stream=True) if chunk.choices)
    assert said == ask(server, first).choices[0].message.content
    again = ask(server, first, {"role": "assistant", "content": said}, {"role": "user", "content": "Why?"})
    assert again.usage.prompt_tokens_details.cached_tokens >= tiny_projectors.SQUARE


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("https://example.com/cat.png", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
        ("/etc/passwd", "not fetched"),
        ("data:image/png;base64,!!!!", "base64 is broken"),
        (url(b"%PDF-1.7 and so on"), "none that is known"),
        (url(RED[:12]), "can't be read"),
        (url(RED[: len(RED) // 2]), "damaged"),
        ("data:image/png;base64," + "A" * (29 << 20), "larger than 20 MB"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_send(server: ServedModels, sent: str, told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told) as error:
        ask(server, message("What is this?", sent))
    assert error.value.param == "messages"


def test_a_model_that_can_not_see_says_so_and_is_not_loaded_for_it(server: ServedModels) -> None:
    with pytest.raises(openai.BadRequestError, match="reads text only"):
        ask(server, message("What is this?", url(RED)), model="blind")
    _, managed = server.ask("/models")
    assert {one["id"]: one["status"]["value"] for one in managed["data"]}["blind"] == "unloaded"


def test_more_pictures_than_a_request_may_hold_are_refused(server: ServedModels) -> None:
    with pytest.raises(openai.BadRequestError, match="33 pictures"):
        ask(server, message("Which?", *[url(RED)] * 33))


def test_a_chat_too_long_for_its_pictures_tells_both_counts(server: ServedModels) -> None:
    with pytest.raises(openai.BadRequestError, match="2048") as error:
        ask(server, message("Which? " * 120, *[url(RED)] * 32))
    assert error.value.code == "context_length_exceeded"


def test_the_prompt_of_a_chat_shows_where_its_picture_stands(server: ServedModels) -> None:
    status, found = server.ask("/apply-template", {"model": "sees", "messages": [message("What is this?", url(RED))]})
    assert (status, found["prompt"]) == (200, "User: What is this?<__media__>\nAssistant:")
