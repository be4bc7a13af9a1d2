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
_DEEPEST, _LONGEST = 256, 10_000_000
"""Elements in one another, and bytes of a name or value: libxml2's own bounds."""
_ENTITY = b"<!ENTITY"
"""As it stands in bytes of one or, without their zeros, two to a letter."""


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
    except etree.XMLSyntaxError as error:
        if error.code in (etree.ErrorTypes.ERR_RESOURCE_LIMIT, etree.ErrorTypes.ERR_NAME_TOO_LONG, etree.ErrorTypes.ERR_ENTITY_LOOP):
            raise (_entities(part) if _ENTITY in data.replace(b"\0", b"") else _out_of_bounds(part)) from None
        line, column = error.position
        raise _invalid(part, f" at line {line}, column {column}") from None
    except ValueError:
        raise _invalid(part) from None
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise _entities(part)
    return root


def _entities(part: str) -> ItemError:
    return ItemError(
        f"declares entities in {part}, which can be made to grow without end or to bring in other files.",
        hint="Don't trust it; if it is your own, save it without a DOCTYPE.",
    )


def _out_of_bounds(part: str) -> ItemError:
    return ItemError(
        f"nests its elements more than {_DEEPEST} deep in {part}, or has a value of more than {_LONGEST // 1_000_000} MB there.",
        hint="Split it.",
    )


def _invalid(part: str, place: str = "") -> ItemError:
    return ItemError(
        f"is damaged: its part {part} is not valid XML{place}.", hint="Open it in the program that wrote it and save it again."
    )


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
