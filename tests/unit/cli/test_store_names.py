from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import typer.main

from app.cli.main import command


def options(of: Any) -> Iterator[Any]:
    for inner in getattr(of, "commands", {}).values():
        yield from options(inner)
    yield from of.params


def test_a_stores_name_is_the_same_in_both_unicode_forms_wherever_it_is_typed() -> None:
    named = [option for option in options(typer.main.get_command(command)) if option.metavar == "STORE"]
    assert len(named) > 8
    for option in named:
        assert option.callback(None, option, unicodedata.normalize("NFD", "가게")) == "가게"
