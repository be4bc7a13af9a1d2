"""Spreadsheets (xlsx, xls, xlsb, ods) through python-calamine: each sheet a section, each row with the names of its columns."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed, tidy
from ingest.readers.contract import FileContent
from ingest.readers.office.grid import is_number
from ingest.readers.office.markup import missing_library
from ingest.readers.office.workbook_parts import Place, looked_at
from ingest.readers.rows import row_text

LONGEST = 50_000
"""Rows of one sheet. A longer one is data for a table of a database or for a CSV, whose rows are documents of their own."""

_HEADER_WITHIN = 20
_LONGEST_NAME = 80


class WorkbookReader:
    """`.xlsx`, `.xlsm`, `.xls`, `.xlsb`, `.ods`: one document, titled by the file's name.

    Hidden sheets are read too; a formula is read as its last value.
    """

    def __init__(self, rows: int = LONGEST) -> None:
        self._rows = rows

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """One document, and a failure for each sheet that is too long to be read to its end."""
        percentages = looked_at(file)
        blocks: list[Block] = []
        with _translated():
            for name, sheet in _sheets(file.data):
                title = " ".join(tidy(name).split())
                blocks += _blocks(_filled(sheet, self._rows, percentages.get(name, frozenset())), title)
                if sheet.height > self._rows:
                    yield _too_long(file, title, sheet.height, self._rows)
        yield Document(file.id, file.stem, tuple(blocks))


def _sheets(data: bytes) -> Iterator[tuple[str, Any]]:
    try:
        import python_calamine as calamine
    except ImportError:
        raise missing_library() from None
    book = calamine.load_workbook(io.BytesIO(data))
    for sheet in book.sheets_metadata:
        if sheet.typ == calamine.SheetTypeEnum.WorkSheet:
            yield sheet.name, book.get_sheet_by_name(sheet.name)


@contextmanager
def _translated() -> Iterator[None]:
    """The library's errors in ours. On some damage its Rust part panics, which Python sees as an error outside of `Exception`."""
    try:
        yield
    except (ItemError, MemoryError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - as said above
        if type(error).__name__ == "PasswordError":
            raise ItemError("is protected by a password.", hint="Save a copy without one.") from None
        raise ItemError("is damaged or not whole.", hint="Open it in its program and save it again.") from None


def _too_long(file: FileContent, sheet: str, rows: int, read: int) -> Failed:
    return Failed(
        f"{file.id}#{sheet}",
        f"The sheet {sheet!r} of {file.id} has {rows:,} rows; the first {read:,} were read. "
        "Save it as CSV: each of its rows is then a document of its own.",
    )


def _filled(sheet: Any, most: int, percentages: frozenset[Place]) -> Iterator[list[str]]:
    """The rows with something in them, as texts; a merged cell is said in each row that it covers."""
    top, left = sheet.start or (0, 0)
    covered: dict[int, list[tuple[int, int]]] = {}
    for (first_row, column), (last_row, _) in sheet.merged_cell_ranges or ():
        if last_row > first_row:
            covered.setdefault(first_row - top, []).append((column - left, last_row - top))
    hanging: dict[int, tuple[int, str]] = {}
    for at, row in enumerate(sheet.to_python(nrows=most)):
        texts = [shown(value, (top + at, left + column) in percentages) for column, value in enumerate(row)]
        hanging = {column: held for column, held in hanging.items() if held[0] >= at}
        for column, (_, text) in hanging.items():
            if column < len(texts) and not texts[column]:
                texts[column] = text
        for column, last in covered.get(at, ()):
            if 0 <= column < len(texts) and texts[column]:
                hanging[column] = (last, texts[column])
        if any(texts):
            yield texts


def _blocks(rows: Iterator[list[str]], sheet: str) -> Iterator[Block]:
    """Rows up to the header are said as they are (a title, a date); those below it with its names."""
    begun = [row for _, row in zip(range(_HEADER_WITHIN), rows, strict=False)]
    at = _header_at(begun)
    header = [" ".join(name.split()) for name in begun[at]] if at is not None else []
    for number, row in enumerate(begun):
        if number != at or len(begun) == 1:
            yield Block(row_text(header if at is not None and number > at else [""] * len(row), row, " | "), (sheet,), kind="row")
    for row in rows:
        yield Block(row_text(header or [""] * len(row), row, " | "), (sheet,), kind="row")


def _header_at(rows: list[list[str]]) -> int | None:
    """Which of the first rows names the columns: the first one that is about as wide as the widest, of short texts, each another."""
    widest = max((sum(map(bool, row)) for row in rows), default=0)
    for at, row in enumerate(rows):
        names = [text for text in row if text]
        if len(names) >= max(2, widest * 0.7) and at + 1 < len(rows):
            plain = all(len(name) <= _LONGEST_NAME and not is_number(name) for name in names)
            return at if plain and len(set(names)) == len(names) else None
    return None


def shown(value: object, percentage: bool = False) -> str:
    """A cell's value as a reader would write it: whole numbers without a point, dates in ISO form, a midnight as its day."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float() if percentage:
            return f"{value * 100:.10g}%"
        case float():
            return f"{value:.15g}" if abs(value) < 1e15 else repr(value)
        case dt.datetime():
            return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds")
        case dt.time():
            return value.isoformat("seconds")
        case dt.timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        case _:
            return tidy(str(value)).strip()
