"""Tables that are drawn with lines: rulings become cells, segments of text go into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ingest.readers.pages.joining import cell_text
from ingest.readers.pages.shapes import Rule, Segment, Table

_NEAR = 3.0
"""Points within which two lines are one, or meet."""
_SHORT_LABEL = 60
"""Characters of a cell over many rows that are said in each of them: a label, no story."""
_MOST_LINES = 400


@dataclass(frozen=True)
class _Grid:
    """Lines that hold together: `xs` and `ys` are the edges, in order."""

    lying: list[Rule]
    standing: list[Rule]
    xs: list[float]
    ys: list[float]


def tables(segments: Sequence[Segment], lying: Sequence[Rule], standing: Sequence[Rule]) -> tuple[list[Table], list[Segment]]:
    """The tables of a page, and the segments that stand in none."""
    found: list[Table] = []
    rest = list(segments)
    for grid in _grids(_merged(lying), _merged(standing)):
        inside, outside = _split(rest, grid)
        table = _table(grid, inside)
        if table is not None:
            found.append(table)
            rest = outside
    return found, rest


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Pieces of one line as one: they lie at the same place and touch or overlap."""
    made: list[Rule] = []
    tracks: list[tuple[float, list[Rule]]] = []
    for rule in sorted(rules, key=lambda rule: rule.at):
        if tracks and rule.at - tracks[-1][0] <= _NEAR:
            tracks[-1][1].append(rule)
        else:
            tracks.append((rule.at, [rule]))
    for _, track in tracks:
        at = sum(rule.at for rule in track) / len(track)
        begin = end = None
        for rule in sorted(track, key=lambda rule: rule.begin):
            if end is None or begin is None or rule.begin > end + _NEAR:
                if begin is not None and end is not None:
                    made.append(Rule(at, begin, end))
                begin, end = rule.begin, rule.end
            else:
                end = max(end, rule.end)
        if begin is not None and end is not None:
            made.append(Rule(at, begin, end))
    return made


def _grids(lying: list[Rule], standing: list[Rule]) -> Iterator[_Grid]:
    """Groups of lines that cross or touch each other, from the largest; one with fewer than two rows or columns is no table."""
    if len(lying) > _MOST_LINES or len(standing) > _MOST_LINES:
        return
    for rows, columns in sorted(_touching(lying, standing), key=lambda lines: -len(lines[0]) * len(lines[1])):
        ys, xs = _edges(rows), _edges(columns)
        if rows and columns:
            # Tables of many offices are open at their sides: where the lying lines run on, there is a cell more.
            left, right = min(rule.begin for rule in rows), max(rule.end for rule in rows)
            xs = [*([left] if left < xs[0] - 4 * _NEAR else []), *xs, *([right] if right > xs[-1] + 4 * _NEAR else [])]
        if len(ys) > 2 and len(xs) > 2:
            yield _Grid(rows, columns, xs, ys)


def _touching(lying: list[Rule], standing: list[Rule]) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """Lines that cross or meet, directly or by others."""
    left_lying, left_standing = list(lying), list(standing)
    while left_lying:
        rows, columns = [left_lying.pop()], list[Rule]()
        grown = True
        while grown:
            more = [rule for rule in left_standing if any(_meet(row, rule) for row in rows)]
            left_standing = [rule for rule in left_standing if rule not in more]
            columns += more
            also = [rule for rule in left_lying if any(_meet(rule, column) for column in more)]
            left_lying = [rule for rule in left_lying if rule not in also]
            rows += also
            grown = bool(also)
        yield rows, columns


def _meet(lying: Rule, standing: Rule) -> bool:
    across = lying.begin - _NEAR <= standing.at <= lying.end + _NEAR
    return across and standing.begin - _NEAR <= lying.at <= standing.end + _NEAR


def _edges(rules: list[Rule]) -> list[float]:
    edges: list[float] = []
    for rule in sorted(rules, key=lambda rule: rule.at):
        if not edges or rule.at - edges[-1] > _NEAR:
            edges.append(rule.at)
    return edges


def _split(segments: list[Segment], grid: _Grid) -> tuple[list[Segment], list[Segment]]:
    inside: list[Segment] = []
    outside: list[Segment] = []
    for segment in segments:
        if not grid.ys[0] - _NEAR < segment.middle < grid.ys[-1] + _NEAR:
            outside.append(segment)
            continue
        walls = [rule.at for rule in grid.standing if rule.begin - _NEAR < segment.middle < rule.end + _NEAR]
        for part in segment.cut(walls):
            middle = (part.left + part.right) / 2
            (inside if grid.xs[0] - _NEAR < middle < grid.xs[-1] + _NEAR else outside).append(part)
    return inside, outside


def _table(grid: _Grid, segments: list[Segment]) -> Table | None:
    """Rows of cells. None: a frame around running text, or a drawing without words."""
    width, height = len(grid.xs) - 1, len(grid.ys) - 1
    owner = _cells(grid, width, height)
    texts: dict[tuple[int, int], list[Segment]] = {}
    for segment in segments:
        row, column = _place(grid.ys, segment.middle), _place(grid.xs, (segment.left + segment.right) / 2)
        texts.setdefault(owner[row, column], []).append(segment)
    if len(texts) < 3:
        return None
    rows: list[tuple[str, ...]] = []
    for row in range(height):
        cells: list[str] = []
        for column in range(width):
            mine = owner[row, column]
            text = cell_text(texts.get(mine, ()))
            first = mine == (row, column)
            label = mine[0] != row and mine[1] == column and len(text) <= _SHORT_LABEL
            cells.append(text if first or label else "")
        fresh = any(owner[row, column][0] == row and (owner[row, column]) in texts for column in range(width))
        if fresh:
            rows.append(tuple(cells))
    kept = [at for at in range(width) if any(row[at] for row in rows)]
    if len(rows) < 2 or len(kept) < 2:
        return None
    return Table(
        tuple(tuple(row[at] for at in kept) for row in rows),
        grid.xs[0],
        grid.ys[0],
        grid.xs[-1],
        grid.ys[-1],
        tuple(round(grid.xs[at], 1) for at in kept),
        median(segment.size for segment in segments),
    )


def _cells(grid: _Grid, width: int, height: int) -> dict[tuple[int, int], tuple[int, int]]:
    """For each field of the grid the upper left field of the cell that it belongs to: fields without a wall between them are one cell."""
    owner = {(row, column): (row, column) for row in range(height) for column in range(width)}
    for row in range(height):
        for column in range(width):
            middle_x, middle_y = (grid.xs[column] + grid.xs[column + 1]) / 2, (grid.ys[row] + grid.ys[row + 1]) / 2
            if column and not _wall(grid.standing, grid.xs[column], middle_y):
                owner[row, column] = owner[row, column - 1]
            elif row and not _wall(grid.lying, grid.ys[row], middle_x):
                owner[row, column] = owner[row - 1, column]
    return owner


def _wall(rules: list[Rule], at: float, point: float) -> bool:
    return any(abs(rule.at - at) <= _NEAR and rule.begin - _NEAR < point < rule.end + _NEAR for rule in rules)


def _place(edges: list[float], point: float) -> int:
    """Which field between the edges holds the point; the nearest one for a point just outside."""
    inner = edges[1:-1]
    return sum(point >= edge for edge in inner)
