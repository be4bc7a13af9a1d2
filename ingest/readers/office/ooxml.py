"""An Office Open XML package (docx, pptx): its parts and how they point to each other."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Self

from app.core.errors import ItemError
from ingest.readers.contract import FileContent
from ingest.readers.office import compound
from ingest.readers.office.markup import Element, attribute, child, children, parse
from ingest.readers.unzip import Unzipped


@dataclass(frozen=True)
class Link:
    """Where a part points: the kind's last word (`footnotes`, `slide`), and the other part's name."""

    id: str
    kind: str
    part: str


class Package:
    """The parts of one file. `main` is the part that everything else hangs on."""

    def __init__(self, parts: Unzipped, main: str) -> None:
        self.main = main
        self._parts = parts
        self._links: dict[str, list[Link]] = {}

    @classmethod
    def open(cls, file: FileContent, kind: str) -> Self:
        """`kind` is the suffix that the file should have. ItemError: protected, of an older format, damaged."""
        if compound.is_compound(file.data):
            raise compound.why_not_open_xml(file.data, kind)
        package = cls(Unzipped(file.data, file.limits.unpacked_bytes), "")
        package.main = package.linked("", "officeDocument")
        if not package.main:
            raise ItemError(f"is a ZIP, but no {kind.upper()} file.", hint=f"Save it as .{kind} again.")
        return package

    def xml(self, part: str) -> Element:
        """A part's root. ItemError: it is missing or damaged."""
        return parse(self._parts.read(part), part)

    def links(self, part: str) -> list[Link]:
        """Where a part points, in its order, and the other part is there; "" asks for the package itself."""
        if part not in self._links:
            folder, _, leaf = part.rpartition("/")
            where = posixpath.join(folder, "_rels", f"{leaf}.rels")
            root = self.xml(where) if where in self._parts else None
            self._links[part] = [
                Link(attribute(one, "Id"), attribute(one, "Type").rpartition("/")[2], _joined(folder, attribute(one, "Target")))
                for one in children(root, "Relationship")
                if attribute(one, "TargetMode") != "External"
            ]
        return [link for link in self._links[part] if link.part in self._parts]

    def linked(self, part: str, kind: str) -> str:
        """The first part of that kind; "" where there is none, or it is not in the file."""
        return next((link.part for link in self.links(part) if link.kind == kind), "")

    def by_id(self, part: str, id: str) -> str:
        """The part that a relationship id means; "" where there is none."""
        return next((link.part for link in self.links(part) if link.id == id), "")

    def title(self) -> str | None:
        """What the file's properties call it."""
        part = self.linked("", "core-properties")
        found = child(self.xml(part), "title") if part else None
        return None if found is None else found.text


def _joined(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
