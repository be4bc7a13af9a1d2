from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tray.installing.desktop_entry import exec_value, exec_words, text, values

words = some.text(some.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)


@given(some.lists(words, min_size=1, max_size=5))
def test_any_words_come_back_from_an_exec_line(line: list[str]) -> None:
    entry = text({"Type": "Application", "Exec": exec_value(line)})
    assert exec_words(values(entry)["Exec"]) == line


@given(words)
def test_any_name_comes_back_from_an_entry(name: str) -> None:
    assert values(text({"Name": name.strip(), "Type": "x"})) == {"Name": name.strip(), "Type": "x"}


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/home dir/온돌", '"/home dir/온돌"'),
        ("100%", '"100%%"'),
        ("a$b", '"a\\\\$b"'),
        ("a\\b", '"a\\\\\\\\b"'),
        ("", '""'),
    ],
)
def test_a_word_is_quoted_as_the_standard_wants_it(word: str, written: str) -> None:
    assert exec_value([word]) == written


def test_field_codes_of_another_hand_stand_for_nothing() -> None:
    assert exec_words('/bin/ondol "a b" %u --x%F') == ["/bin/ondol", "a b", "--x"]


def test_only_the_first_group_counts_and_remarks_do_not() -> None:
    found = values(
        "# a remark\n[Desktop Entry]\nName = Ondol\n#Name=No\nbroken line\n[Desktop Action quit]\nName=Quit\n[Desktop Entry]\nName=2"
    )
    assert found == {"Name": "Ondol"}
