"""Markdown through markdown-it-py: headings become the path, marks disappear, tables keep their headers with each row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.documents import Block, Document
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.headings import Headings
from ingest.readers.html import fragment_text
from ingest.readers.rows import row_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)


class MarkdownReader:
    """`.md`: titled by its front matter, else by a heading of level 1 at its beginning, else by its file's name."""

    def __init__(self) -> None:
        self._parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        text = decode(file.data)
        title, skipped = "", 0
        if front := _FRONT_MATTER.match(text):
            named = _FRONT_TITLE.search(front.group(1))
            title = named.group(1) if named else ""
            skipped = front.group().count("\n")
            text = text[front.end() :]
        headings = Headings(title)
        blocks = tuple(self._blocks(text, headings, skipped))
        yield Document(file.id, headings.title or file.stem, blocks)

    def _blocks(self, text: str, headings: Headings, skipped: int) -> Iterator[Block]:
        for inside in _top_level(self._parser.parse(text)):
            opening = inside[0]
            line = opening.map[0] + 1 + skipped if opening.map else None
            if opening.type == "heading_open":
                yield from headings.enter(int(opening.tag[1:]), _plain(inside), line)
            else:
                yield from headings.place(_content(inside, line, skipped))
        yield from headings.end()


def _top_level(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Each outermost element with all that stands inside it."""
    begin = depth = 0
    for at, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[begin : at + 1]
            begin = at + 1


def _content(inside: Sequence[Token], line: int | None, skipped: int) -> Iterator[Block]:
    match inside[0].type:
        case "table_open":
            yield from _table(inside, skipped)
        case "bullet_list_open" | "ordered_list_open":
            yield Block(_list(inside), line=line, kind="list")
        case "fence" | "code_block":
            yield Block(inside[0].content, line=line, kind="code")
        case "html_block":
            yield Block(fragment_text(inside[0].content), line=line)
        case _:
            yield Block(_plain(inside), line=line)


def _plain(tokens: Sequence[Token]) -> str:
    """The text of all inside, a paragraph a line."""
    lines: list[str] = []
    for token in tokens:
        if token.type == "inline":
            lines.append(_inline(token))
        elif token.type in ("fence", "code_block"):
            lines.append(token.content.rstrip("\n"))
    return "\n".join(lines)


def _inline(token: Token) -> str:
    said: list[str] = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            said.append("\n" if child.type == "hardbreak" else " ")
        elif child.type == "image":
            said.append(_inline(child) or child.content)
        elif child.type != "html_inline":
            said.append(child.content)
    return "".join(said)


def _list(tokens: Sequence[Token]) -> str:
    """Items on lines of their own, inner lists set in."""
    lines: list[str] = []
    depth, mark = -1, ""
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            depth -= 1
        elif token.type == "list_item_open":
            mark = f"{token.info}{token.markup} " if token.info else "- "
        elif token.type in ("inline", "fence", "code_block"):
            said = _inline(token) if token.type == "inline" else token.content.rstrip("\n")
            lines.append(f"{'  ' * depth}{mark}{said}")
            mark = " " * len(mark)
    return "\n".join(lines)


def _table(tokens: Sequence[Token], skipped: int) -> Iterator[Block]:
    header: list[str] = []
    row: list[str] = []
    line: int | None = None
    for token in tokens:
        if token.type == "tr_open":
            row, line = [], token.map[0] + 1 + skipped if token.map else None
        elif token.type == "inline":
            row.append(_inline(token).strip())
        elif token.type == "thead_close":
            header = row
        elif token.type == "tr_close" and header:
            yield Block(row_text(header, row, " | "), line=line, kind="row")
    if header and row is header:
        yield Block(" | ".join(header), line=line, kind="row")
