"""XML as text, by its elements: records as rows of their values, running text as paragraphs."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.documents import Block, Document, tidy
from ingest.readers.contract import FileContent
from ingest.readers.office.markup import Element, descendants, name, parse

_TITLES = ("title", "제목")


class XmlReader:
    """`.xml`: one document, titled by its first `<title>`, else by its file's name."""

    def read(self, file: FileContent) -> Iterator[Document]:
        """One document. Nothing outside the file is asked for, and no entity expanded."""
        root = parse(file.data, file.file_name)
        named = next((said for element in descendants(root, *_TITLES) if (said := _said(element))), "")
        yield Document(file.id, named or file.stem, tuple(block for block in _blocks(root) if block.text))


def _blocks(root: Element) -> Iterator[Block]:
    waiting = [root]
    while waiting:
        element = waiting.pop()
        inner = [child for child in element if name(child)]
        if _is_running(element) or not inner:
            row = _row([element], element) if not _is_running(element) else _said(element)
            yield Block(row, line=element.sourceline, kind="text" if _is_running(element) else "row")
        elif all(len(child) == 0 for child in inner):
            yield Block(_row(inner, element), line=element.sourceline, kind="row")
        else:
            yield Block(_row([], element), line=element.sourceline, kind="row")
            waiting += reversed(inner)


def _is_running(element: Element) -> bool:
    """Text with elements in it: a paragraph with its emphasis and links."""
    return any((child.tail or "").strip() for child in element) or bool(len(element) and (element.text or "").strip())


def _row(leaves: list[Element], holder: Element) -> str:
    own = [f"{key.rpartition('}')[2]}: {value.strip()}" for key, value in holder.attrib.items() if value.strip()]
    said = []
    for leaf in leaves:
        values = [_said(leaf), *(value.strip() for value in leaf.attrib.values() if leaf is not holder)]
        if value := " ".join(filter(None, values)):
            said.append(f"{name(leaf)}: {value}")
    return tidy("\n".join([*own, *said]))


def _said(element: Element) -> str:
    return tidy(" ".join("".join(element.itertext()).split()))
