"""What `ondol bench ingest` found, as lines, as tables for a README, and as a picture. Pure, but for `show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.cli.output import Output

TITLES = {"first": "first sync", "unchanged": "nothing changed", "changed": "1 % changed"}
_COLOURS = ("#c2410c", "#2563eb", "#0d9488", "#7c3aed", "#64748b")
_WIDTH, _PANEL, _LEFT, _TOP = 760, 210, 24, 76
_HEAD, _LABELS = 34, 34


def show(out: Output, line: Mapping[str, Any]) -> None:
    """One result, as it comes."""
    out.data(dict(line))
    if "side" in line:
        out.note(f"  {TITLES[line['phase']]:16} {line['side']:12} {line['seconds']:8.1f} s ({line['cpu_seconds']:.1f} s of the processor)")
    elif "versions" in line:
        out.note("\n".join(f"  {side}: {_spelled(versions)}" for side, versions in line["versions"].items()))
    elif "history" in line:
        out.note(f"  {line['history']}: " + ", ".join(f"{side} {missed}" for side, missed in line["missed"].items()))


def page(said: Sequence[Mapping[str, Any]]) -> str:
    """Two Markdown tables, seconds with the ratios to ours, and rows that are wrong at the end of each history; and what was measured."""
    return "\n\n".join(part for part in (_times(said), _versions(said), _histories(said)) if part)


def _versions(said: Sequence[Mapping[str, Any]]) -> str:
    found = [line["versions"] for line in said if "versions" in line]
    return "\n".join(f"- {side}: {_spelled(versions)}" for one in found for side, versions in one.items())


def _spelled(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _times(said: Sequence[Mapping[str, Any]]) -> str:
    lines = [line for line in said if line.get("figure") == "seconds" and line["medians"]]
    if not lines:
        return ""
    names = list(lines[0]["medians"])
    ours = names[0]
    rows = ["| seconds | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for line in lines:
        cells = [f"{line['medians'][name]:.2f}{_ratio(line, name, ours)}" for name in names]
        rows.append(f"| {TITLES[line['phase']]} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _ratio(line: Mapping[str, Any], name: str, ours: str) -> str:
    found = line["ratios"].get(f"{name} / {ours}")
    return f" ({found[0]:.1f} times)" if found else ""


def _histories(said: Sequence[Mapping[str, Any]]) -> str:
    lines = [line for line in said if "history" in line]
    if not lines:
        return ""
    names = list(lines[0]["missed"])
    rows = ["| rows wrong after | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    rows += [f"| {line['history']} | " + " | ".join(str(line["missed"][name]) for name in names) + " |" for line in lines]
    totals = [str(sum(line["missed"][name] for line in lines)) for name in names]
    return "\n".join([*rows, "| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |"])


def svg(said: Sequence[Mapping[str, Any]], title: str) -> str:
    """The medians of the seconds, one panel a phase, each with its own scale."""
    lines = [line for line in said if line.get("figure") == "seconds" and line["medians"]]
    names = list(lines[0]["medians"]) if lines else []
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}
    height = _TOP + _PANEL * len(lines) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="28" font-size="17" font-weight="600">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="50" fill="#6b7280">seconds; less is better; above a bar, how many times ours</text>',
    ]
    for at, line in enumerate(lines):
        parts += _panel(line, names, colours, _TOP + at * _PANEL)
    return "\n".join([*parts, "</svg>", ""])


def _panel(line: Mapping[str, Any], names: Sequence[str], colours: Mapping[str, str], top: int) -> list[str]:
    room = _PANEL - _HEAD - _LABELS
    base, most = top + _HEAD + room, max(line["medians"].values())
    step = (_WIDTH - 2 * _LEFT) / len(names)
    parts = [f'<text x="{_LEFT}" y="{top + 12}" font-weight="600">{escape(TITLES[line["phase"]])}</text>']
    for at, name in enumerate(names):
        value, middle = line["medians"][name], _LEFT + step * (at + 0.5)
        high = (room - 16) * value / most
        parts.append(f'<rect x="{middle - 45:.1f}" y="{base - high:.1f}" width="90" height="{high:.1f}" fill="{colours[name]}"/>')
        told = f"{value:.2f} s{_ratio(line, name, names[0])}"
        parts.append(f'<text x="{middle:.1f}" y="{base - high - 5:.1f}" text-anchor="middle" font-size="12">{told}</text>')
        parts.append(f'<text x="{middle:.1f}" y="{base + 18}" text-anchor="middle">{escape(name)}</text>')
    parts.append(f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}" stroke="#9ca3af"/>')
    return parts
