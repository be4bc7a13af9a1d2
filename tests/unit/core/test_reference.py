"""The generated tables of app/README.md are those of the code. To write them anew: `python tests/unit/core/test_reference.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core import errors
from app.core.errors import OndolError
from app.core.settings import describe

README = Path(__file__).parents[3] / "app" / "README.md"


def settings_table() -> str:
    rows = [f"| `{key.name}` | {key.type} | {f'`{key.default}`' if key.default else 'needed'} | {key.doc} |" for key in describe()]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows])


def errors_table() -> str:
    rows = [
        f"| `{cls.__name__}` | {cls.status} | {cls.exit_status} | `{cls.type}` | `{cls.code}` | {cls().message} |"
        for cls in errors._tree(OndolError)
        if cls.__module__ == errors.__name__
    ]
    return "\n".join(["| error | HTTP | exit | `type` | `code` | what it says |", "|---|---|---|---|---|---|", *rows])


TABLES = {"settings": settings_table, "errors": errors_table}


def between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: generated -->\n)(.*?)(\n<!-- /{name} -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_table_in_the_readme_is_that_of_the_code(name: str) -> None:
    found = between(name).search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found[2] == TABLES[name]()


def main() -> None:
    text = README.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        made = table()
        text = between(name).sub(lambda found, made=made: found[1] + made + found[3], text)
    README.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
