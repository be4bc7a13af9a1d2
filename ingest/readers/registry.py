"""Which reader reads which file: by suffix, from the entry point group `ondol.readers`; built-in ones come in by the same door."""

from __future__ import annotations

import logging
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

from app.core.errors import ItemError
from ingest.readers.contract import Container, Reader

GROUP = "ondol.readers"

log = logging.getLogger(__name__)


class Readers:
    """Readers by suffix, each made when its first file comes."""

    def __init__(self) -> None:
        self._made: dict[str, Reader | Container] = {}

    @cached_property
    def _found(self) -> dict[str, EntryPoint]:
        return {point.name.lower(): point for point in entry_points(group=GROUP)}

    @property
    def suffixes(self) -> list[str]:
        """What can be read, sorted."""
        return sorted(self._found)

    def can_read(self, suffix: str) -> bool:
        """Whether some reader has registered this suffix (lower case, without the dot)."""
        return suffix in self._found

    def reader(self, suffix: str) -> Reader | Container:
        """The reader for a suffix. ItemError: there is none, or its plug-in is broken."""
        if suffix not in self._made:
            point = self._found.get(suffix)
            if point is None:
                kinds = ", ".join(f".{known}" for known in self.suffixes) or "none (install Ondol again: its entry points are missing)"
                raise ItemError(f"is of a kind (.{suffix}) that no reader knows.", hint=f"Readable are: {kinds}.")
            try:
                self._made[suffix] = point.load()()
            except Exception as error:  # noqa: BLE001 - a stranger's plug-in may raise anything; its files fail, the run goes on
                log.warning("the reader %s is broken: %s", point.value, error)
                owner = point.dist.name if point.dist else "unknown"
                raise ItemError(
                    f"can't be read: the reader {point.value} of the package {owner} is broken ({error}).",
                    hint=f"Repair or remove {owner}.",
                ) from None
        return self._made[suffix]
