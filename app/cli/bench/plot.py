"""The measured medians as a picture: an SVG of grouped bars, one panel a figure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

TITLES = {"tokens_per_s": "tokens per second, all streams together", "tokens_per_cpu_s": "tokens per second of processor time"}
_COLOURS = ("#c2410c", "#2563eb", "#0d9488", "#7c3aed", "#64748b")
_WIDTH, _PANEL, _LEFT, _TOP, _FOOT = 760, 270, 24, 76, 30
_HEAD, _LABELS = 34, 34  # of a panel: above its bars, and below them
_ROOM = 18  # of a bar that a ratio fits into; on a lower one it stands above


def svg(summaries: Sequence[Mapping[str, Any]], title: str) -> str:
    """`summaries` are the lines with a `figure` that `measure` tells; figures that no side has are left out."""
    panels = {figure: [one for one in summaries if one["figure"] == figure and one["medians"]] for figure in TITLES}
    panels = {figure: lines for figure, lines in panels.items() if lines}
    names = list(dict.fromkeys(name for lines in panels.values() for line in lines for name in line["medians"]))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    height = _TOP + _PANEL * len(panels) + _FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_LEFT, 28, title, size=17, weight=600),
        *_legend(colours),
    ]
    for index, (figure, lines) in enumerate(panels.items()):
        parts += _panel(figure, lines, colours, _TOP + index * _PANEL)
    parts.append(_text(_LEFT, height - 12, "In or over a bar, with ×: the first server over this one.", size=11, fill="#6b7280"))
    return "\n".join([*parts, "</svg>", ""])


def _legend(colours: Mapping[str, str]) -> list[str]:
    parts, x = [], _LEFT
    for name, colour in colours.items():
        parts += [f'<rect x="{x}" y="44" width="12" height="12" fill="{colour}"/>', _text(x + 18, 55, name)]
        x += 44 + 8 * len(name)
    return parts


def _panel(figure: str, lines: Sequence[Mapping[str, Any]], colours: Mapping[str, str], top: int) -> list[str]:
    room = _PANEL - _HEAD - _LABELS
    base = top + _HEAD + room
    most = max(value for line in lines for value in line["medians"].values())
    group = (_WIDTH - 2 * _LEFT) / len(lines)
    bar = min(64.0, group * 0.8 / len(colours))
    parts = [_text(_LEFT, top + 12, TITLES[figure], weight=600)]
    for index, line in enumerate(lines):
        middle = _LEFT + group * (index + 0.5)
        medians: Mapping[str, float] = line["medians"]
        x = middle - bar * len(medians) / 2
        first = next(iter(medians))
        for name, value in medians.items():
            height = (room - 16) * value / most
            ratio = line["ratios"].get(f"{first} / {name}")
            parts.append(f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{bar - 4:.1f}" height="{height:.1f}" fill="{colours[name]}"/>')
            parts.append(_text(x + bar / 2 - 2, base - height - 5, f"{value:.0f}", anchor="middle", size=12))
            if ratio:
                inside = height >= _ROOM
                y, fill = (base - 7, "#ffffff") if inside else (base - height - 19, colours[name])
                parts.append(_text(x + bar / 2 - 2, y, f"{ratio[0]:.2f}×", anchor="middle", size=11, fill=fill, weight=600))
            x += bar
        streams = line["streams"]
        parts.append(_text(middle, base + 18, f"{streams} stream{'' if streams == 1 else 's'}", anchor="middle"))
    parts.append(f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}" stroke="#9ca3af"/>')
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, fill: str = "#1f2937", weight: int = 400) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'
