"""Open WebUI's own page in a headless Chromium, before our server: what its users see. Each test leaves a picture of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Chat, browsing
from company import MODEL, SUGGESTED
from conftest import Page
from engine_process import running, slow_load, unload
from playwright.sync_api import expect

LOADING = re.compile(r"Loading SmolLM2-135M-Instruct.*\d+ % of 98 MB")
pytestmark = [pytest.mark.acceptance, pytest.mark.open_webui]


@pytest.fixture(scope="module")
def chat(chat_page: Page, chromium: Path) -> Iterator[Chat]:
    with browsing(chromium, chat_page.web.url) as page:
        yield page


@pytest.fixture(autouse=True)
def nothing_from_outside(chat: Chat) -> Iterator[None]:
    """Of every test here: the page asks no host beyond this machine, and no script of it breaks."""
    yield
    assert chat.outside == set()
    assert chat.errors == []


def test_a_suggested_question_is_answered_with_chips_and_its_source(chat: Chat) -> None:
    chat.open("handbook")
    suggested = chat.suggestions.filter(has_text=SUGGESTED)
    expect(suggested).to_be_visible()
    chat.shot("en-suggestions")
    suggested.click()
    assert "18 days" in chat.answered()
    expect(chat.chips.first).to_have_text("Annual leave")
    expect(chat.progress).to_have_text(re.compile(r"Found \d+ passages"))
    expect(chat.page).to_have_title(re.compile("annual leave", re.I))
    chat.shot("en-answer")


def test_a_chip_opens_the_passage_with_its_page(chat: Chat) -> None:
    chat.open("handbook")
    assert "940 degrees" in chat.ask("How hot is the first firing of porcelain cups?")
    shown = chat.source(0)
    chat.shot("en-source")
    assert "kiln-manual" in shown
    assert "(page 2)" in " ".join(shown.split())
    assert "eleven hours and reaches 940 degrees" in shown


def test_a_passage_that_is_cited_three_times_is_one_source(chat: Chat) -> None:
    chat.open("handbook")
    chat.ask(SUGGESTED)
    names = set(chat.chips.all_inner_texts())
    expect(chat.answer.get_by_role("button", name=re.compile(r"^Toggle \d+ source"))).to_contain_text(f"{len(names)} Source")


def test_what_is_not_in_the_data_is_said_so_without_a_chip(chat: Chat) -> None:
    chat.open("handbook")
    assert "I couldn't find an answer to this in your data." in chat.ask("Who won the football world cup in 1998?")
    assert chat.chips.count() == 0
    chat.shot("en-not-in-your-data")


@pytest.mark.parametrize("model", [MODEL, "writer"])
def test_a_cold_model_shows_its_size_and_how_far_it_is_until_it_writes(chat_page: Page, chat: Chat, model: str) -> None:
    unload(chat_page.served, MODEL)
    chat.open(model)
    with slow_load(chat_page.served, 3):
        chat.send("How hot is the first firing of porcelain cups?")
        expect(chat.progress).to_have_text(LOADING, timeout=20_000)
        chat.shot(f"en-loading-{model}")
        expect(chat.answer.locator(".markdown-prose")).to_have_text(re.compile(r"\w"), timeout=90_000)
    chat.stop()
    chat.shot(f"en-loaded-{model}")


def test_the_stop_button_ends_the_answer_and_frees_the_engine(chat_page: Page, chat: Chat) -> None:
    chat.open(MODEL)
    chat.send("Tell a very long story about a ship, with many chapters.")
    expect(chat.answer.locator(".markdown-prose")).to_have_text(re.compile(r"\w"), timeout=90_000)
    chat.stop()
    end = time.monotonic() + 5
    while running(chat_page.served) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(chat_page.served) == 0


def test_a_model_that_has_gone_from_the_server_is_an_error_that_says_what_there_is(chat_page: Page, chat: Chat) -> None:
    chat.open("handbook")
    with chat_page.relay.replacing('"model":"handbook"', '"model":"handbooq"'):
        chat.send("How many days of annual leave do I get?")
        expect(chat.answer).to_contain_text("Did you mean 'handbook'?", timeout=20_000)
    chat.shot("en-error")
