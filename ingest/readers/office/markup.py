"""The one doorway to lxml. Names are compared without their namespaces: one format has several (transitional, strict, drafts).

Nothing outside the bytes is ever asked for, no entity is expanded, and libxml2's own bounds on depth and size stay on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.errors import ItemError

Element = Any
"""An lxml element: it ships no types."""

LARGEST = 100_000_000
"""Bytes of one part. Its tree takes several times as much memory."""


def parse(data: bytes, part: str) -> Element:
    """The root of one XML part. ItemError: it is not well-formed, too large, or declares entities."""
    try:
        from lxml import etree
    except ImportError:
        raise missing_library() from None
    if len(data) > LARGEST:
        raise ItemError(
            f"has a part of {len(data) // 1_000_000} MB ({part}).", hint=f"{LARGEST // 1_000_000} MB can be read: split the file."
        )
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ItemError(
            f"is damaged: its part {part} is not valid XML ({error}).",
            hint="Open it in the program that wrote it and save it again.",
        ) from None
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise ItemError(f"declares entities in {part}, which no office program does.", hint="Don't trust this file.")
    return root


def missing_library() -> ItemError:
    """The error of a file whose reader's library is not installed."""
    return ItemError("needs libraries that are not installed.", hint="Install them: pip install 'ondol[office]'")


def name(element: Element) -> str:
    """The local name; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, wanted: str, otherwise: str = "") -> str:
    """An attribute by its local name."""
    for key, value in element.attrib.items():
        if key == wanted or key.endswith("}" + wanted):
            return str(value)
    return otherwise


def child(element: Element | None, *path: str) -> Element | None:
    """The first child of that name, and its first child of the next name, and so on."""
    for step in path:
        element = None if element is None else next((one for one in element if name(one) == step), None)
    return element


def children(element: Element | None, wanted: str) -> Iterator[Element]:
    """The children of that name."""
    if element is not None:
        yield from (one for one in element if name(one) == wanted)


def descendants(element: Element, *wanted: str) -> Iterator[Element]:
    """All elements of those names below, in document order."""
    return (one for one in element.iter() if name(one) in wanted)


def number(text: str, otherwise: int = 0) -> int:
    """An attribute's whole number, where it is one."""
    try:
        return int(text)
    except ValueError:
        return otherwise
