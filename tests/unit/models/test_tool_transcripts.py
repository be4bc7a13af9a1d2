"""Calls are told apart from text and thoughts, whatever the family, and wherever the stream is cut."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from transcripts import ALONE, OSLO, TOOLS, WITHIN, Heard, Transcript

from app.core.records import CallPart
from models.engine.reasoning import Thoughts
from models.engine.speech import Said, Speech
from models.engine.tools.dialect import HarmonyDialect
from models.engine.tools.families import DIALECTS

ALL = (*ALONE, *WITHIN)


def parts(family: str, chunks: Iterable[bytes]) -> Said:
    dialect = DIALECTS[family]
    thoughts = None if isinstance(dialect, HarmonyDialect) else Thoughts()
    speech, said = Speech((), thoughts, dialect.listener(TOOLS)), Said()
    for chunk in chunks:
        said += speech.feed(chunk)
    said += speech.finish()
    assert speech.called == bool(said.calls)
    return said


def heard(family: str, chunks: Iterable[bytes]) -> Heard:
    said = parts(family, chunks)
    calls: list[list[str]] = []
    for part in said.calls:
        if part.name:
            assert part.id
            assert part.index == len(calls), "calls are numbered from 0, each begun once"
            calls.append([part.name, ""])
        calls[part.index][1] += part.arguments
    return Heard(said.text, said.reasoning, tuple((name, arguments) for name, arguments in calls))


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.family}-{ALL.index(one)}")
def test_what_is_heard_does_not_depend_on_where_the_stream_is_cut(one: Transcript) -> None:
    data = one.written.encode()
    assert heard(one.family, [data]) == one.heard
    for cut in range(len(data) + 1):
        assert heard(one.family, [data[:cut], data[cut:]]) == one.heard, data[:cut]
    assert heard(one.family, [bytes([byte]) for byte in data]) == one.heard


@pytest.mark.parametrize("family", sorted(DIALECTS))
def test_every_familys_calls_are_heard_with_letters_of_several_bytes(family: str) -> None:
    calls = [arguments for one in ALONE if one.family == family for _, arguments in one.heard.calls]
    assert any(not arguments.isascii() for arguments in calls)


@pytest.mark.parametrize("one", ALONE, ids=lambda one: f"{one.family}-{ALONE.index(one)}")
def test_arguments_are_json_as_they_come_together(one: Transcript) -> None:
    for _, arguments in heard(one.family, [one.written.encode()]).calls:
        assert isinstance(json.loads(arguments), dict)


@pytest.mark.parametrize("one", ALONE, ids=lambda one: f"{one.family}-{ALONE.index(one)}")
def test_an_answer_that_ends_anywhere_holds_a_beginning_of_its_calls(one: Transcript) -> None:
    data = one.written.encode()
    for end in range(len(data)):
        found = heard(one.family, [data[:end]]).calls
        assert [name for name, _ in found] == [name for name, _ in one.heard.calls][: len(found)]
        for (_, begun), (_, whole) in zip(found, one.heard.calls, strict=False):
            assert whole.startswith(begun), data[:end]


@pytest.mark.parametrize("family", sorted({one.family for one in ALONE} - {"harmony"}))  # its text has a channel of its own
def test_text_before_a_call_is_text_wherever_the_stream_is_cut(family: str) -> None:
    one = next(one for one in reversed(ALONE) if one.family == family)  # llama3's last begins with its control word
    data = f"서울을 <봅니다>.\n\n{one.written}".encode()
    for cut in range(len(data) + 1):
        assert heard(family, [data[:cut], data[cut:]]) == one.heard._replace(text="서울을 <봅니다>."), data[:cut]


def test_arguments_stream_while_they_are_written() -> None:
    text = '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>'
    said = parts("hermes", [bytes([byte]) for byte in text.encode()]).calls
    assert said[0].name == "get_weather"
    assert len(said) > len(OSLO) // 2, "a part for each byte here"
    assert "".join(part.arguments for part in said) == OSLO


def test_half_a_mark_is_never_shown() -> None:
    speech = Speech((), None, DIALECTS["hermes"].listener(TOOLS))
    shown = [speech.feed(piece).text for piece in (b"Hi \n", b"<tool", b"_call", b">", b'{"name": "now", "argu', b'ments": {}}</tool_')]
    assert shown == ["Hi", "", "", "", "", ""]
    assert speech.finish().text == ""


def test_mistrals_ids_have_nine_letters_and_others_look_like_openais() -> None:
    def ids(family: str, text: str) -> list[str]:
        return [part.id for part in parts(family, [text.encode()]).calls if isinstance(part, CallPart) and part.id]

    first, second = ids("mistral", "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[ARGS]{}")
    assert first != second
    assert first.isalnum()
    assert len(first) == len(second) == 9
    assert ids("hermes", '<tool_call>{"name": "now", "arguments": {}}</tool_call>')[0].startswith("call_")
