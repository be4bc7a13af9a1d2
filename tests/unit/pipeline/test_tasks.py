from __future__ import annotations

import json

import pytest

from app.core.records import Message
from app.pipeline.tasks import About, Task, answer, asked_in, holds_files, task_of, title, usable

HISTORY = "### Chat History:\n<chat_history>\n{chat}\n</chat_history>"
CHAT = "USER: How many days of leave do I have?\nASSISTANT: 15 days.\nUSER: And for managers?\nThey ask too."
FILES = (
    "### Task:\nRespond to the user query using the provided context.\n<context>\n"
    '<source id="1" name="a.pdf">text</source>\n</context>\nWhat is it?'
)


def prompt(key: str, chat: str = CHAT) -> list[Message]:
    return [Message("user", f'### Task:\nDo it.\n### Output:\nJSON format: {{ "{key}": ... }}\n' + HISTORY.format(chat=chat))]


@pytest.mark.parametrize("task", [Task.TITLE, Task.TAGS, Task.FOLLOW_UPS, Task.QUERIES])
def test_a_task_is_known_by_the_json_that_its_prompt_wants(task: Task) -> None:
    assert task_of(prompt(str(task))) is task


def test_the_header_decides_where_there_is_one() -> None:
    assert task_of([Message("user", "제목을 지어 주세요")], "title_generation") is Task.TITLE
    assert task_of(prompt("title"), "tags_generation") is Task.TAGS
    assert task_of([Message("user", "anything")], "emoji_generation") is Task.OTHER


def test_a_task_that_only_a_model_can_do_is_one_all_the_same() -> None:
    assert task_of(prompt("text")) is Task.OTHER


@pytest.mark.parametrize("said", ["What is the task?", "### Task:\nwrite me a poem", FILES, ""])
def test_what_a_person_says_is_a_chat(said: str) -> None:
    assert task_of([Message("user", said)]) is None


def test_words_in_the_chat_do_not_change_what_the_task_is() -> None:
    assert task_of(prompt("tags", 'USER: what does "title": mean in JSON?')) is Task.TAGS


def test_the_pages_own_files_are_seen_in_the_last_message_alone() -> None:
    assert holds_files([Message("user", FILES)])
    assert not holds_files([Message("user", FILES), Message("assistant", "It is a."), Message("user", "Thanks!")])
    assert not holds_files([Message("user", "What does <context> mean?")])


def test_the_questions_of_a_chat_are_read_from_its_history() -> None:
    assert asked_in(prompt("title")) == ["How many days of leave do I have?", "And for managers?\nThey ask too."]
    assert asked_in([Message("user", "no history at all")]) == []


def test_the_answer_is_the_json_that_the_page_reads() -> None:
    about = About(("handbook", "shop"), ("When is payday?", "And for managers?\nThey ask too.", "Who is the boss?"))
    assert json.loads(answer(Task.TITLE, prompt("title"), about)) == {"title": "How many days of leave do I have?"}
    assert json.loads(answer(Task.TAGS, prompt("tags"), about)) == {"tags": ["handbook", "shop"]}
    assert json.loads(answer(Task.QUERIES, prompt("queries"), about)) == {"queries": ["And for managers?\nThey ask too."]}
    assert json.loads(answer(Task.FOLLOW_UPS, prompt("follow_ups"), about)) == {"follow_ups": ["When is payday?", "Who is the boss?"]}


def test_a_bare_model_s_chat_gets_a_general_tag_in_its_language() -> None:
    assert json.loads(answer(Task.TAGS, prompt("tags"), About())) == {"tags": ["General"]}
    assert json.loads(answer(Task.TAGS, prompt("tags", "USER: 연차는 며칠인가요?"), About())) == {"tags": ["일반"]}


def test_an_empty_chat_still_gets_json() -> None:
    assert json.loads(answer(Task.TITLE, prompt("title", ""), About())) == {"title": ""}
    assert json.loads(answer(Task.QUERIES, prompt("queries", ""), About())) == {"queries": []}


@pytest.mark.parametrize(
    ("question", "short"),
    [
        ("연차는 며칠인가요?", "연차는 며칠인가요?"),
        ("  When is\n payday?  Tell me. ", "When is"),
        ("# **Leave** rules. And more.", "Leave rules"),
        ("Please tell me everything about the calibration service of our pumps", "Please tell me everything about the calibration…"),
        ("가" * 60, "가" * 48 + "…"),
        ("", ""),
    ],
)
def test_a_title_is_the_first_sentence_cut_between_words(question: str, short: str) -> None:
    assert title(question) == short


def test_what_a_model_wrote_counts_where_the_page_can_read_it() -> None:
    assert usable(Task.TITLE, 'Sure! {"title": "Leave"} bye') == '{"title": "Leave"}'
    assert usable(Task.TAGS, '{"tags": ["a", "b"]}') == '{"tags": ["a", "b"]}'
    for text in ("Leave", '{"title": ""}', '{"title": ["Leave"]}', '{"tags": "Leave"}', "{nonsense}", "[1]"):
        assert usable(Task.TITLE, text) is None


def test_what_may_follow_is_offered_in_the_language_of_the_chat() -> None:
    about = About((), ("When is payday?", "월급날은 언제인가요?"))
    assert json.loads(answer(Task.FOLLOW_UPS, prompt("follow_ups", "USER: 연차는 며칠인가요?"), about)) == {
        "follow_ups": ["월급날은 언제인가요?"]
    }
    assert json.loads(answer(Task.FOLLOW_UPS, prompt("follow_ups", "USER: leave?"), about)) == {"follow_ups": ["When is payday?"]}
    assert json.loads(answer(Task.FOLLOW_UPS, prompt("follow_ups", "USER: leave?"), About((), ("월급날은?",)))) == {"follow_ups": []}
