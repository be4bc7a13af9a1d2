"""HTML through selectolax: the main text with its headings; navigation, scripts and forms left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingest.documents import Block, Document, tidy
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.headings import Headings
from ingest.readers.rows import row_text

_DROPPED = (
    "script, style, noscript, template, nav, aside, footer, form, svg, iframe, object, button, select, dialog, "
    "[hidden], [aria-hidden='true'], [role='navigation'], [role='banner'], [role='contentinfo'], [role='search']"
)
_MAIN = "main, [role='main'], article"
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_CLOSED_AT_ONCE = re.compile(r"<(title|script|style|textarea|iframe|noscript)\b([^<>]{0,1000}?)/>", re.IGNORECASE)
_HEADING = re.compile(r"h[1-6]")
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_SPACE = re.compile(r"[ \t\n\f\xa0]+")


class HtmlReader:
    """`.html`: titled by its `<title>`, else its first heading, else its file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document."""
        declared = _CHARSET.search(file.data[:4096])
        tree = LexborHTMLParser(decode(file.data, declared.group(1).decode("ascii") if declared else ""))
        named = tree.css_first("title")
        headings = Headings()
        blocks = tuple(_Walk(headings).blocks(_main(tree)))
        title = _SPACE.sub(" ", named.text()).strip() if named else ""
        yield Document(file.id, tidy(title or headings.title or file.stem), blocks)


def fragment_text(html: str) -> str:
    """The text of a piece of HTML inside another format."""
    tree = LexborHTMLParser(html)
    return "\n".join(block.text for block in _Walk(Headings()).blocks(_main(tree)))


def chapter_blocks(data: bytes, book: str) -> Iterator[Block]:
    """The blocks of a page of a book, which is all text: notes and asides count, and a heading is a section unless it repeats the title."""
    # An XML page may close these at once; for an HTML parser all that follows would be inside them.
    text = _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", decode(data))
    tree = LexborHTMLParser(text)
    if tree.body is None:
        return
    for node in tree.body.css("script, style, template, nav, svg"):
        node.decompose()
    yield from _Walk(Headings(book)).blocks(tree.body)


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    body = tree.body
    if body is None:
        return None
    for node in body.css(_DROPPED):
        node.decompose()
    # A page may have many articles (a list of teasers): one is taken for the page only if most of the text is in it.
    largest = max(body.css(_MAIN), key=lambda node: len(node.text()), default=None)
    return largest if largest is not None and len(largest.text()) * 2 > len(body.text()) else body


class _Walk:
    """Goes through the tree in its order, with a stack of its own: pages nest deeper than Python calls."""

    def __init__(self, headings: Headings) -> None:
        self._headings = headings
        self._text: list[str] = []

    def blocks(self, root: LexborNode | None) -> Iterator[Block]:
        stack: list[tuple[LexborNode, bool]] = [(root, True)] if root is not None else []
        while stack:
            node, enters = stack.pop()
            tag = node.tag or ""
            if tag == "-text":
                self._text.append(node.text_content or "")
            elif tag == "br":
                self._text.append("\v")
            elif _HEADING.fullmatch(tag):
                yield from self._flush()
                yield from self._headings.enter(int(tag[1]), tidy(_SPACE.sub(" ", node.text())))
            elif tag == "pre":
                yield from self._flush()
                yield from self._headings.place(iter([Block(tidy(node.text()), kind="code")]))
            elif tag == "table" and enters and node.css_first("table table") is None and node.css_first("tr") is not None:
                yield from self._flush()
                yield from self._headings.place(_table(node))
            else:
                if tag in _BLOCKS:
                    yield from self._flush("list" if tag == "li" and not enters else "text")
                if enters:
                    stack.append((node, False))
                    children = []
                    child = node.child
                    while child is not None:
                        children.append(child)
                        child = child.next
                    stack += [(child, True) for child in reversed(children)]
        yield from self._flush()
        yield from self._headings.end()

    def _flush(self, kind: str = "text") -> Iterator[Block]:
        text = _said("".join(self._text))
        self._text = []
        yield from self._headings.place(iter([Block(text, kind="list" if kind == "list" else "text")]))


def _said(text: str) -> str:
    lines = (line.strip() for line in _SPACE.sub(" ", text).split("\v"))
    return tidy("\n".join(line for line in lines if line))


def _table(table: LexborNode) -> Iterator[Block]:
    header: list[str] = []
    for row in table.css("tr"):
        cells = row.css("th, td")
        values = [_said(cell.text(separator=" ")) for cell in cells]
        if not header and cells and all(cell.tag == "th" for cell in cells) and len(cells) > 1:
            header = values
            continue
        label, rest = (values[0], values[1:]) if len(cells) == 2 and cells[0].tag == "th" else ("", [])
        yield Block(f"{label}: {' '.join(rest)}" if label else row_text(header, values, " | "), kind="row")
    if header and len(table.css("tr")) == 1:
        yield Block(" | ".join(header), kind="row")
