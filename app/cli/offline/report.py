"""What `ondol doctor --offline` found, as a page that a person reads and an auditor keeps. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.redaction import redact


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `remedy` is empty where it holds."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Part:
    """Some checks under one heading. `about` says how they were made."""

    title: str
    about: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Report:
    """All of it. `facts` are (name, value): when, where, which settings. `advice` follows the verdict."""

    facts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    advice: str = ""

    @property
    def open(self) -> tuple[Check, ...]:
        """What does not hold."""
        return tuple(check for part in self.parts for check in part.checks if not check.ok)

    @property
    def verdict(self) -> str:
        """One sentence."""
        count = sum(len(part.checks) for part in self.parts)
        if not self.open:
            return f"The promise holds: all {count} checks did."
        return f"The promise is not proved: {len(self.open)} of {count} checks did not hold."


def markdown(report: Report) -> str:
    """The report as Markdown. Whatever looks like a password, a key or a token is hidden."""
    lines = ["# Ondol offline report", "", *(f"- {name}: {value}" for name, value in report.facts)]
    for number, part in enumerate(report.parts, 1):
        lines += ["", f"## {number}. {part.title}", "", part.about, ""]
        for check in part.checks:
            lines.append(f"- {'holds' if check.ok else '**DOES NOT HOLD**'}: {check.what}: {check.found}")
            if check.remedy:
                lines.append(f"  - what to do: {check.remedy}")
    lines += ["", "## Verdict", "", report.verdict]
    if report.advice:
        lines += ["", report.advice]
    return redact("\n".join(lines)) + "\n"
