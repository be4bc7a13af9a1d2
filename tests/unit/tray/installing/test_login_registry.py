from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tray.installing.registry import of_this_user, words

letters = some.text(some.sampled_from('ab \t"\\온'), max_size=12)


@given(some.lists(letters, min_size=1, max_size=5))
def test_the_words_of_a_windows_line_come_back(line: list[str]) -> None:
    assert words(subprocess.list2cmdline(line)) == line


def test_an_empty_line_has_no_words() -> None:
    assert words("  ") == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has one")
def test_elsewhere_there_is_no_registry() -> None:
    with pytest.raises(OSError, match="no registry"):
        of_this_user()
