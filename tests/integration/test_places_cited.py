"""Where in its document a passage begins goes with it, from the reader to whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_world import World
from typer.testing import CliRunner

from app.api import shapes
from app.cli import ask, standalone
from app.cli.main import command
from app.core.records import Context, Passage, SearchQuery
from app.pipeline.steps import Citation, Source
from ingest.index.exact import ExactVectors
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions

NOTES = """# 휴가

First words stand here.

## Kilns

The kiln for porcelain burns at 940 degrees.
"""
KILN_LINE = 7


@pytest.fixture
def kiln(tmp_path: Path) -> Iterator[Passage]:
    """The passage about kilns, as a search over a Markdown file finds it."""
    world = World(tmp_path / "home")
    world.home.root.mkdir()
    (tmp_path / "notes.md").write_text(NOTES, encoding="utf-8")
    world.files(tmp_path / "notes.md")
    searcher = Searcher(world.home.book, LocalQuestions(world.embedder), ExactVectors(world.home))
    found = asyncio.run(searcher.search("notes", SearchQuery("porcelain kiln degrees", 1), Context()))
    yield found.passages[0]
    searcher.close()


def test_a_passage_of_a_markdown_file_is_cited_with_the_line_on_which_it_begins(kiln: Passage) -> None:
    assert NOTES.splitlines()[KILN_LINE - 1].startswith("The kiln")
    cited = shapes.annotation(Citation(1, 0, 5, kiln))["url_citation"]
    assert (cited["page"], cited["line"]) == (None, KILN_LINE)
    assert shapes.search_hit(kiln)["attributes"] == {"line": KILN_LINE}


def test_the_chat_pages_chip_and_the_command_that_reads_it_have_the_line_too(kiln: Passage) -> None:
    data = shapes.source_event(Source(1, kiln))["data"]
    assert (data["metadata"][0]["line"], "page" in data["metadata"][0]) == (KILN_LINE, False)
    read = ask._source(data)
    assert (read["page"], read["line"]) == (None, KILN_LINE)


def test_the_search_command_says_line_or_page_behind_the_name(kiln: Passage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paper = Passage("p#0", "p", "Words of a PDF.", "Paper", page=3)
    hits = [shapes.search_hit(kiln), shapes.search_hit(paper), shapes.search_hit(Passage("r#0", "r", "Words of a row.", "Row"))]
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(standalone, "search", lambda home, store, query, limit: hits)
    said = CliRunner().invoke(command, ["search", "kilns", "--in", "notes"]).output
    assert f"1. {kiln.title}, line {KILN_LINE}  (" in said
    assert "2. Paper, page 3  (p," in said
    assert "3. Row  (r," in said
