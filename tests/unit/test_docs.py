"""The documentation can't lag: every command and endpoint stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from app.api.asgi import HANDLERS
from app.cli.main import command

ROOT = Path(__file__).resolve().parents[2]
APP = (ROOT / "app" / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every command with its words: `ondol ingest files`."""
    group = typer.main.get_command(command)
    found = []
    for name, one in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", None)
        found += [f"ondol {name} {sub}" for sub in inner] if inner else [f"ondol {name}"]
    return found


def test_every_command_is_documented() -> None:
    assert len(commands()) >= 17
    assert [name for name in commands() if f"`{name}" not in APP] == []


def test_every_endpoint_is_documented() -> None:
    shown = [
        f"{method} {path.replace(':path}', '}').replace(':str}', '}')}"
        for handler in HANDLERS
        for path in handler.paths
        for method in handler.http_methods
        if method != "HEAD"
    ]
    assert len(shown) >= 12
    assert [one for one in shown if f"`{one}`" not in APP] == []


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_words = {line.split()[1] for line in readme.splitlines() if line.startswith("    ondol ")}
    assert first_words
    assert first_words <= {name.split()[1] for name in commands()}


def commands_in(text: str) -> list[str]:
    """The lines that a reader types, without their remarks and quoted words."""
    return [
        re.sub(r'"[^"]*"', '""', line.split("  #")[0]).strip()
        for line in text.splitlines()
        if re.match(r" {4}\w", line) and line.lstrip()[0].isascii()
    ]


def links_in(text: str) -> list[str]:
    """The files that a page names, each there; a picture in Korean counts as its English twin."""
    found: list[str] = re.findall(r"\]\(([a-z]+/[^)#]*)(?:#[^)]*)?\)", text)
    assert [name for name in found if not (ROOT / name).exists()] == []
    return sorted(name.replace("-ko.png", ".png") for name in found)


def test_the_korean_readme_keeps_step_with_the_english_one() -> None:
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    assert [line.count("#") for line in english.splitlines() if line.startswith("#")] == [
        line.count("#") for line in korean.splitlines() if line.startswith("#")
    ]
    assert commands_in(english) == commands_in(korean)
    assert links_in(english) == links_in(korean)


def test_every_bench_is_documented() -> None:
    listed = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "tests" / "bench").glob("*.py") if f"`bench/{path.name}`" not in listed] == []
