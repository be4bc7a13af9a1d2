"""What python-calamine does not tell of a workbook, or would not bear: looked at in the file's parts before it is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from app.core.errors import ItemError
from ingest.readers.contract import FileContent
from ingest.readers.office import compound
from ingest.readers.office.markup import attribute, child, children
from ingest.readers.office.ooxml import Package
from ingest.readers.unzip import Unzipped

LARGEST_AREA = 20_000_000
"""Cells from the first to the last that is filled: the library keeps them all, however few there are."""

Place = tuple[int, int]
"""(row, column) from 0."""

_CELL = re.compile(rb"""<(?:\w+:)?c\s[^>]{0,200}?\br\s*=\s*["']([A-Z]{1,3})([0-9]{1,7})["'](?:\s+s\s*=\s*["']([0-9]{1,6})["'])?""")
_PERCENTAGES = frozenset([9, 10])
_SAID = re.compile(r'"[^"]*"|\\.')


def looked_at(file: FileContent) -> Mapping[str, frozenset[Place]]:
    """For each sheet of an XLSX, which of its cells are shown as percentages; of other formats that is not known.

    ItemError: the file is encrypted, inflates beyond the limit, or has cells worlds apart.
    """
    if compound.is_compound(file.data):
        if "EncryptedPackage" in compound.Compound(file.data):
            raise ItemError("is protected by a password.", hint="Save a copy without one.")
        return {}
    parts = Unzipped(file.data, file.limits.unpacked_bytes)
    if "META-INF/manifest.xml" in parts and b"encryption-data" in parts.read("META-INF/manifest.xml"):
        raise ItemError("is protected by a password.", hint="Save a copy without one.")
    package = Package(parts, "xl/workbook.xml")
    names = {part.lower(): name for name, part in _sheets(package)} if package.main in parts else {}
    formats = _percentage_formats(package)
    found = {}
    for part in parts.names:
        data = parts.read(part)
        if part.lower() in names:
            found[names[part.lower()]] = _percentages(data, formats, part)
    return found


def _sheets(package: Package) -> Iterator[tuple[str, str]]:
    for sheet in children(child(package.xml(package.main), "sheets"), "sheet"):
        # The plain `sheetId` beside it counts sheets; the relationship is the id in a namespace.
        if part := package.by_id(package.main, attribute(sheet, "id")):
            yield attribute(sheet, "name"), part


def _percentage_formats(package: Package) -> frozenset[bytes]:
    """The indexes of cell formats that show a percentage, as the sheets write them."""
    part = package.linked(package.main, "styles")
    if not part:
        return frozenset()
    root = package.xml(part)
    codes = {attribute(one, "numFmtId"): _SAID.sub("", attribute(one, "formatCode")) for one in children(child(root, "numFmts"), "numFmt")}
    shown = {str(id) for id in _PERCENTAGES} | {id for id, code in codes.items() if "%" in code}
    formats = children(child(root, "cellXfs"), "xf")
    return frozenset(str(at).encode() for at, one in enumerate(formats) if attribute(one, "numFmtId") in shown)


def _percentages(sheet: bytes, formats: frozenset[bytes], part: str) -> frozenset[Place]:
    top = left = 1 << 30
    bottom = right = -1
    found = set()
    for letters, digits, style in _CELL.findall(sheet):
        column = 0
        for letter in letters:
            column = column * 26 + letter - 64
        row = int(digits)
        top, left, bottom, right = min(top, row), min(left, column), max(bottom, row), max(right, column)
        if style in formats:
            found.add((row - 1, column - 1))
    if (bottom - top + 1) * (right - left + 1) > LARGEST_AREA and bottom >= 0:
        raise ItemError(
            f"has a sheet whose filled cells lie too far apart ({part}).", hint="Delete the stray cells at its far end and save it again."
        )
    return frozenset(found)
