"""The real Open WebUI before our server: many questions at once, strange ones, and ones that nobody waits for any more."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from company import MODEL
from conftest import Page

pytestmark = [pytest.mark.acceptance, pytest.mark.open_webui]
STORY = "Tell a very long story about a ship, with many chapters."


def at_work(chat_page: Page) -> tuple[int, int]:
    """How many answers our server is at, and how many the engine is at."""
    with urllib.request.urlopen(f"{chat_page.served.url}/metrics", timeout=10) as told:
        lines = told.read().decode().splitlines()
    names = ("ai_active_connections", "ondol_engine_running")
    active, running = (sum(int(float(line.split()[-1])) for line in lines if line.startswith(name)) for name in names)
    return active, running


def until(chat_page: Page, wanted: tuple[int, int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if at_work(chat_page) == wanted:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("model", ["handbook", MODEL])
def test_twenty_questions_at_once_are_all_answered(chat_page: Page, model: str) -> None:
    with ThreadPoolExecutor(20) as people:
        answers = list(people.map(lambda number: chat_page.web.ask(model, f"question {number}", max_tokens=12), range(1, 21)))
    assert [answer for answer in answers if not (answer.status == 200 and answer.finished and not answer.error)] == []
    assert until(chat_page, (0, 0), 10)


def test_who_has_to_wait_for_others_is_told_the_place(chat_page: Page) -> None:
    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda number: chat_page.web.ask(MODEL, f"question {number}", max_tokens=48), range(12)))
    assert any("number 1 in the queue" in line for answer in answers for line in answer.statuses)


ODD = {
    "empty": "",
    "blank": " \n\t ",
    "ten thousand characters": "word " * 2000,
    "one long word": "x" * 1000,
    "a hundred emoji": "😀" * 100,
    "control characters": "\x00\x07\x1b[31m red \x7f",
    "a lone surrogate": "broken \ud800 letter",
    "directions": "\u202egnirts\u202c \u200b\ufeff",
}


@pytest.mark.parametrize("model", ["handbook", MODEL])
@pytest.mark.parametrize("question", ODD.values(), ids=ODD.keys())
def test_an_odd_question_gets_an_answer_or_a_clear_error_and_the_server_lives(chat_page: Page, question: str, model: str) -> None:
    answer = chat_page.web.ask(model, question, max_tokens=12)
    if answer.status == 200 and not answer.error:
        assert answer.finished
    else:
        assert answer.status == 400
        assert answer.error
        assert "Traceback" not in answer.error
    assert chat_page.served.health()


def test_stop_frees_the_engine_in_mid_answer(chat_page: Page) -> None:
    for _ in range(5):
        _, tasks = chat_page.web.begin(MODEL, STORY, tasks=False, ignore_eos=True)
        assert until(chat_page, (1, 1), 30)
        time.sleep(0.3)
        assert at_work(chat_page) == (1, 1)
        chat_page.web.stop(tasks[0])
        assert until(chat_page, (0, 0), 2)


def test_stop_frees_the_engine_before_the_first_word(chat_page: Page) -> None:
    long = "word " * 3000 + STORY
    for _ in range(5):
        _, tasks = chat_page.web.begin(MODEL, f"{time.monotonic()} {long}", tasks=False, ignore_eos=True)
        assert until(chat_page, (1, 1), 30)
        chat_page.web.stop(tasks[0])
        assert until(chat_page, (0, 0), 2)


def test_a_browser_that_goes_away_frees_the_engine(chat_page: Page) -> None:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": STORY}], "ignore_eos": True}
    with chat_page.web.http.stream("POST", "/api/chat/completions", json=body) as reply:
        lines = reply.iter_lines()
        next(lines)
        assert until(chat_page, (1, 1), 30)
    assert until(chat_page, (0, 0), 5)
