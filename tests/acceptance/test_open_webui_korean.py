"""A Korean user's way through Open WebUI's page, in Korean to its end. Each test leaves a picture of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Chat, browsing
from company import MODEL
from conftest import Page
from engine_process import engines, slow_load, unload
from playwright.sync_api import expect

pytestmark = [pytest.mark.acceptance, pytest.mark.open_webui]
STORY = "배 한 척에 대한 아주 긴 이야기를 백 개의 장으로 나누어 들려주세요."


@pytest.fixture(scope="module")
def chat(chat_page: Page, chromium: Path) -> Iterator[Chat]:
    with browsing(chromium, chat_page.web.url, locale="ko-KR") as page:
        yield page


@pytest.fixture(autouse=True)
def nothing_from_outside(chat: Chat) -> Iterator[None]:
    yield
    assert chat.outside == set()
    assert chat.errors == []


def test_a_korean_question_is_answered_in_the_handbooks_korean_with_its_source(chat: Chat) -> None:
    chat.open("handbook")
    text = chat.ask("본인 결혼 경조휴가는 며칠인가요?")
    assert "7일" in text
    assert "관련 내용" in text
    expect(chat.chips.first).to_have_text("경조휴가와 가족돌봄")
    expect(chat.page).to_have_title(re.compile("경조휴가"))
    chat.shot("ko-answer")
    assert "본인 결혼" in chat.source(0)
    chat.shot("ko-source")


def test_what_is_not_in_the_data_is_said_in_korean(chat: Chat) -> None:
    chat.open("handbook")
    assert "가지고 계신 데이터에서 이 질문의 답을 찾지 못했습니다." in chat.ask("1998년 월드컵 우승국은 어디인가요?")
    assert chat.chips.count() == 0
    chat.shot("ko-not-in-your-data")


def test_a_cold_model_is_announced_in_korean(chat_page: Page, chat: Chat) -> None:
    unload(chat_page.served, MODEL)
    chat.open(MODEL)
    with slow_load(chat_page.served, 3):
        chat.send(STORY)
        expect(chat.progress).to_contain_text("불러오는 중", timeout=20_000)
        chat.shot("ko-loading")


def test_an_engine_that_dies_in_mid_answer_is_told_in_korean_and_the_next_question_is_answered(chat_page: Page, chat: Chat) -> None:
    chat.open(MODEL)
    chat.send(STORY)
    expect(chat.answer.locator(".markdown-prose")).not_to_be_empty(timeout=90_000)
    for engine in engines(chat_page.served):
        engine.kill()
    expect(chat.answer).to_contain_text("한 번 더 시도하세요", timeout=20_000)
    chat.shot("ko-engine-died")
    chat.open("handbook")
    assert "유성온천역" in chat.ask("셔틀버스는 어느 역에서 출발하나요?")


def test_a_message_that_is_too_long_is_refused_in_korean_with_both_counts(chat: Chat) -> None:
    chat.open(MODEL)
    chat.send("단어 " * 5000)
    expect(chat.answer).to_contain_text("내용을 줄이거나 더 큰 모델을 선택하세요", timeout=60_000)
    assert "4096" in chat.answer.inner_text().replace(",", "")
    chat.shot("ko-too-long")
