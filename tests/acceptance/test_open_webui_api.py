"""The real Open WebUI before our server, over its own API: what its page shows of models, answers, titles, files and errors."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from company import EMBEDDER, MODEL, SUGGESTED
from conftest import Page

from app.core.terms import is_korean

pytestmark = [pytest.mark.acceptance, pytest.mark.open_webui]
KOREAN = "본인 결혼 경조휴가는 며칠인가요?"


def meta(model: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = model["info"]["meta"]
    return found


def test_the_model_list_shows_assistants_with_their_questions_and_hides_embedders(chat_page: Page) -> None:
    models = chat_page.web.models()
    assert {"ondol", "company", "handbook", "writer", MODEL} <= set(models)
    assert [name for name, model in models.items() if meta(model)["hidden"]] == [EMBEDDER]
    handbook = models["handbook"]
    assert meta(handbook)["description"] == "Answers from the handbook, word for word"
    assert [one["content"] for one in meta(handbook)["suggestion_prompts"]] == [SUGGESTED, KOREAN]
    assert [tag["name"] for tag in handbook["tags"]] == ["assistant"]
    assert meta(models["company"])["suggestion_prompts"]


def test_no_model_is_sent_the_schemas_of_the_pages_own_tools(chat_page: Page) -> None:
    chat_page.relay.forget()
    chat_page.web.ask(MODEL, "Say hello.", max_tokens=4)
    assert [request.json.get("tools") for request in chat_page.relay.requests("/v1/chat/completions")] == [None]


def test_an_assistants_answer_comes_with_its_source_and_its_progress(chat_page: Page) -> None:
    answer = chat_page.web.ask("handbook", SUGGESTED)
    assert "18 days" in answer.text
    assert "[1]" in answer.text
    first = answer.sources[0]
    assert first["source"]["name"] == "Annual leave"
    assert "18 days" in first["document"][0]
    assert answer.statuses
    assert answer.finished == "stop"


def test_a_source_of_a_pdf_names_its_page_counted_from_nought(chat_page: Page) -> None:
    answer = chat_page.web.ask("handbook", "How hot is the first firing of porcelain cups?")
    assert "940 degrees" in answer.text
    assert answer.sources[0]["metadata"][0]["page"] == 1


def test_an_answer_that_is_not_streamed_is_the_same(chat_page: Page) -> None:
    assert chat_page.web.ask_whole("handbook", SUGGESTED).text == chat_page.web.ask("handbook", SUGGESTED).text


def test_a_raw_model_answers_streamed_and_whole(chat_page: Page) -> None:
    assert chat_page.web.ask(MODEL, "Say hello.").text.strip()
    assert chat_page.web.ask_whole(MODEL, "Say hello.").text.strip()


@pytest.mark.parametrize("model", ["handbook", MODEL])
@pytest.mark.parametrize("question", [SUGGESTED, KOREAN], ids=["english", "korean"])
def test_a_title_is_json_with_a_title_in_the_questions_language(chat_page: Page, model: str, question: str) -> None:
    title = json.loads(chat_page.web.task("title", model, question))["title"]
    assert title.strip()
    assert is_korean(title) == is_korean(question)


@pytest.mark.parametrize("model", ["handbook", MODEL])
@pytest.mark.parametrize(("kind", "field"), [("tags", "tags"), ("follow_up", "follow_ups"), ("queries", "queries")])
def test_the_pages_other_tasks_are_answered_with_the_json_that_it_reads(chat_page: Page, model: str, kind: str, field: str) -> None:
    listed = json.loads(chat_page.web.task(kind, model, SUGGESTED, "18 days."))[field]
    assert all(isinstance(one, str) and one.strip() for one in listed)


@pytest.mark.parametrize("question", [SUGGESTED, KOREAN], ids=["english", "korean"])
def test_follow_up_questions_are_in_the_questions_language(chat_page: Page, question: str) -> None:
    offered = json.loads(chat_page.web.task("follow_up", "handbook", question, "18"))["follow_ups"]
    assert [one for one in offered if is_korean(one) != is_korean(question)] == []


def kept(chat_page: Page, chat_id: str, seconds: float = 60) -> dict[str, Any]:
    """The chat once its answer, title and tags are written."""
    end = time.monotonic() + seconds
    while True:
        chat = chat_page.web.chat(chat_id)
        if (chat["answer"].get("done") and chat["title"] != "New Chat" and chat["tags"]) or time.monotonic() > end:
            return chat
        time.sleep(0.2)


def test_a_new_chat_is_kept_with_answer_source_title_and_tags(chat_page: Page) -> None:
    chat_id, _ = chat_page.web.begin("handbook", SUGGESTED)
    chat = kept(chat_page, chat_id)
    assert "18 days" in chat["answer"]["content"]
    assert [source["source"]["name"] for source in chat["answer"]["sources"]] == ["Annual leave"]
    assert "annual leave" in chat["title"].lower()
    assert chat["tags"]


def test_a_chat_and_its_three_tasks_are_four_requests_of_which_three_name_their_task(chat_page: Page) -> None:
    chat_page.relay.forget()
    chat_id, _ = chat_page.web.begin("handbook", SUGGESTED)
    kept(chat_page, chat_id)
    told = [request.headers["x-owui-task"] for request in chat_page.relay.requests("/v1/chat/completions")]
    assert sorted(told) == ["", "follow_up_generation", "tags_generation", "title_generation"]


@pytest.mark.parametrize("model", ["handbook", MODEL])
def test_a_file_of_the_chat_reaches_the_model_untouched_and_is_no_task(chat_page: Page, model: str) -> None:
    """Open WebUI finds the file's passages over our embeddings and writes them into the user's message."""
    notes = chat_page.web.upload("spring-fair.txt", b"The code word of the spring fair is heliotrope. The fair opens at ten.")
    chat_page.relay.forget()
    answer = chat_page.web.ask(model, "What is the code word of the spring fair?", files=[notes])
    sent = [one for one in chat_page.relay.requests("/v1/chat/completions") if one.json.get("stream")]
    assert len(sent) == 1
    assert "heliotrope" in sent[0].json["messages"][-1]["content"]
    assert chat_page.relay.requests("/v1/embeddings")
    # What a tiny model makes of it is its own affair; an assistant that had searched would say so, and quote.
    assert answer.text.strip()
    assert not answer.sources
    assert not any("Searching" in line for line in answer.statuses)


def test_a_model_that_has_gone_is_named_to_the_user(chat_page: Page) -> None:
    assert chat_page.web.ask("no-such-model", "Hello").error == "Model not found"


@pytest.mark.parametrize("model", ["handbook", MODEL])
def test_with_an_old_key_in_the_connection_the_user_reads_where_the_right_one_is(chat_page: Page, model: str) -> None:
    assert chat_page.web.ask(model, "Hello", max_tokens=4).status == 200
    with chat_page.relay.replacing(chat_page.served.key, "k" * len(chat_page.served.key)):
        answer = chat_page.web.ask(model, "Hello")
    assert answer.status == 401
    assert "`ondol key` prints the right one" in answer.error


def test_verifying_a_connection_with_a_wrong_key_says_where_the_right_one_is(chat_page: Page) -> None:
    told = chat_page.web.verify(chat_page.relay.url, "sk-wrong")
    assert told.status_code == 401
    assert "`ondol key` prints the right one" in told.text


@pytest.mark.parametrize(("word", "told"), [("word ", "Shorten the messages"), ("단어 ", "줄이")], ids=["english", "korean"])
def test_a_message_beyond_the_models_context_is_refused_with_both_counts(chat_page: Page, word: str, told: str) -> None:
    answer = chat_page.web.ask(MODEL, word * 6000)
    assert answer.status == 400
    assert "4096" in answer.error
    assert told in answer.error
