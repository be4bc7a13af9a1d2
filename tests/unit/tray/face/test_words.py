"""Every text of the tray in both languages."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path
from typing import get_args

import pytest

from tray.face.words import WORDS, Language, language, notice, say
from tray.records import ActionKind, Notice, State

TRAY = Path(__file__).parents[4] / "tray"
SAME_IN_BOTH = {"menu.model", "menu.download_reason", "menu.language_en", "menu.language_ko"}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", WORDS)
def test_each_word_is_there_in_both_languages_with_the_same_placeholders(code: str) -> None:
    english, korean = WORDS[code]
    assert english.strip()
    assert korean.strip()
    assert placeholders(english) == placeholders(korean)


@pytest.mark.parametrize("code", sorted(WORDS.keys() - SAME_IN_BOTH))
def test_korean_is_korean_and_english_is_not(code: str) -> None:
    english, korean = WORDS[code]
    assert re.search("[가-힣]", korean)
    assert not re.search("[가-힣]", english)


def test_no_korean_particle_hangs_on_a_placeholder_whose_last_letter_nobody_knows() -> None:
    particle = re.compile(r"\}['\"]?(은|는|이|가|을|를|과|와|으로|로)(?![가-힣])")
    assert [code for code, (_, korean) in WORDS.items() if particle.search(korean)] == []


def test_every_word_that_the_tray_asks_for_by_its_name_is_there() -> None:
    asked = set()
    for path in TRAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("say", "Problem", "Notice", "Unavailable", "_warn"):
                    asked.add(str(node.args[0].value))
    assert len(asked) > 40
    assert sorted(asked - WORDS.keys()) == []


def test_every_state_and_every_notice_has_its_words() -> None:
    assert {f"state.{state}" for state in State} <= WORDS.keys()
    codes = get_args(Notice.__annotations__["code"]) if not isinstance(Notice.__annotations__["code"], str) else ()
    source = (TRAY / "records.py").read_text(encoding="utf-8").split("class Notice:")[1]
    codes = codes or tuple(re.findall(r'^        "(\w+)",', source, re.MULTILINE))
    assert len(codes) >= 14
    assert set(codes) <= WORDS.keys()


def test_every_problem_that_the_server_can_have_is_said_with_its_values() -> None:
    told = (TRAY / "records.py").read_text(encoding="utf-8").split("class Problem:")[1].split('"""')[1]
    problems = re.findall(r"(\w+): ((?:\w+(?:, )?)+|-) \(", told)
    assert len(problems) >= 12
    for code, values in problems:
        for text in WORDS[code]:
            assert placeholders(text) <= set(values.split(", ")), code


def test_a_missing_value_leaves_a_hole_and_an_unknown_code_is_shown_as_it_stands() -> None:
    assert say("port_taken", "en", port=1) == "Port 1 is in use by another program:"
    assert say("from_a_newer_part", "ko") == "from_a_newer_part"


def test_a_value_with_braces_is_text() -> None:
    assert say("saved", "en", path="C:\\{0}\\{name}") == "Saved to C:\\{0}\\{name}"


@pytest.mark.parametrize(("spoken", "title"), [("en", "Ondol"), ("ko", "온돌")])
def test_a_notice_has_the_products_name_as_title(spoken: Language, title: str) -> None:
    assert notice(Notice("download_finished", {"name": "gemma"}), spoken)[0] == title
    assert "gemma" in notice(Notice("download_finished", {"name": "gemma"}), spoken)[1]


def test_a_failed_server_is_told_with_its_own_problem() -> None:
    assert "12345" in notice(Notice("failed", {"code": "port_taken", "port": "12345", "program": "nginx"}), "en")[1]
    assert notice(Notice("failed"), "en")[1].startswith("The server does not start")


@pytest.mark.parametrize(
    ("choice", "environ", "system", "spoken"),
    [
        ("en", {"LANG": "ko_KR.UTF-8"}, "ko", "en"),
        ("ko", {"LANG": "en_US.UTF-8"}, "", "ko"),
        ("auto", {"LANG": "ko_KR.UTF-8"}, "", "ko"),
        ("auto", {"LANG": "ko"}, "", "ko"),
        ("auto", {"LANG": "kok_IN.UTF-8"}, "", "en"),
        ("auto", {"LANG": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "", "en"),
        ("auto", {"LANG": "ko_KR.UTF-8", "LC_ALL": "de_DE.UTF-8"}, "", "en"),
        ("auto", {"LANG": "en_US.UTF-8", "LANGUAGE": "ko:en"}, "", "ko"),
        ("auto", {"LANG": "C", "LANGUAGE": "ko"}, "ko", "en"),
        ("auto", {"LANG": "C.UTF-8", "LANGUAGE": "ko"}, "ko", "en"),
        ("auto", {}, "ko-KR", "ko"),
        ("auto", {}, "ko_KR", "ko"),
        ("auto", {}, "fr-FR", "en"),
        ("auto", {}, "", "en"),
        ("gibberish", {"LANG": "ko_KR.UTF-8"}, "", "ko"),
    ],
)
def test_the_choice_comes_first_then_the_environment_then_the_system(
    choice: str, environ: dict[str, str], system: str, spoken: str
) -> None:
    assert language(choice, environ, system) == spoken


def test_every_remedy_has_a_word_for_what_its_click_does() -> None:
    remedies = {f"remedy.{kind}" for kind in ActionKind} & WORDS.keys()
    assert {"remedy.restart_server", "remedy.open_logs", "remedy.sync_now", "remedy.open_chat"} <= remedies
