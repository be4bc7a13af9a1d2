"""The doorway to OCR: the program Tesseract, where this machine has it with Korean and English.

It gets pictures on its standard input and writes words with their places and confidence; nothing is written to the disk.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.core.errors import ItemError
from ingest.readers.contract import TESSERACT

LANGUAGES = ("kor", "eng")
PAGE_SECONDS = 60.0
PAGE, SPARSE = 4, 11
"""Modes: lines over a page (its own search for columns tears short last words off Korean lines); words anywhere, as on a photo."""
_CELLS = 12
_USUAL = (
    "/opt/homebrew/bin/tesseract",
    "/usr/local/bin/tesseract",
    "%ProgramFiles%/Tesseract-OCR/tesseract.exe",
    "%LocalAppData%/Programs/Tesseract-OCR/tesseract.exe",
)


@dataclass(frozen=True)
class Word:
    """A word on a picture, in its pixels. `confidence` is 0 to 100; words of one `line` belong together.

    `joined`: it follows the one before it without a space. Korean words are recognised in pieces.
    """

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float
    line: tuple[int, int, int]
    joined: bool = False


@dataclass(frozen=True)
class Tesseract:
    """The program. A picture is a file in memory: PGM, PNG."""

    program: str
    seconds: float = PAGE_SECONDS

    def words(self, picture: bytes, mode: int = PAGE, languages: Sequence[str] = LANGUAGES) -> list[Word]:
        """What it reads on a picture, in its reading order. ItemError: it failed, or took longer than `seconds`, and was ended."""
        options = ["-l", "+".join(languages), "--psm", str(mode), "--dpi", "300", "txt", "tsv"]
        status, said, told = _run([self.program, "stdin", "stdout", *options], picture, self.seconds)
        if status != 0:
            last = told.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit status {status}"]
            raise ItemError(f"can't be read by OCR: {last[0][:200]}.")
        return list(words(said.decode("utf-8", "replace")))


def find() -> Tesseract:
    """Tesseract with the languages. ItemError: it is not here, with how to install it on this system."""
    program = located(os.environ.get(TESSERACT, ""))
    if program is None:
        raise ItemError("needs OCR, and Tesseract is not installed.", hint=f"{how_to_install()} Then ingest again.")
    if missing := missing_languages(program):
        raise ItemError(
            f"needs OCR, and Tesseract lacks the language {' and '.join(missing)}.", hint=f"{how_to_install()} Then ingest again."
        )
    return Tesseract(program)


def located(named: str = "") -> str | None:
    """The program: the one that the setting names (and no other), the one on PATH, or the one in its usual folder."""
    if named:
        return shutil.which(named)
    usual = (os.path.expandvars(place) for place in _USUAL)
    return shutil.which("tesseract") or next((place for place in usual if Path(place).is_file()), None)


def missing_languages(program: str) -> list[str]:
    """Which of the languages it lacks; all where it doesn't run."""
    try:
        _, said, told = _run([program, "--list-langs"], b"", 20.0)
    except ItemError:
        return list(LANGUAGES)
    known = (said + b"\n" + told).decode("utf-8", "replace").split()
    return [language for language in LANGUAGES if language not in known]


def how_to_install() -> str:
    """What its owner does on this system to have it with Korean."""
    system = platform.system()
    if system == "Windows":
        return "Install it with: winget install UB-Mannheim.TesseractOCR (choose Korean among the additional language data)."
    if system == "Darwin":
        return "Install it with: brew install tesseract tesseract-lang."
    return f"Install it with: {_linux(_release())}."


def _linux(release: str) -> str:
    if "fedora" in release or "rhel" in release:
        return "sudo dnf install tesseract tesseract-langpack-kor"
    if "arch" in release:
        return "sudo pacman -S tesseract tesseract-data-kor tesseract-data-eng"
    if "alpine" in release:
        return "apk add tesseract-ocr tesseract-ocr-data-kor tesseract-ocr-data-eng"
    if "suse" in release:
        return "sudo zypper install tesseract-ocr tesseract-ocr-traineddata-korean"
    return "sudo apt install tesseract-ocr tesseract-ocr-kor"


def _release() -> str:
    try:
        told = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{told.get('ID', '')} {told.get('ID_LIKE', '')}".lower()


def words(told: str) -> Iterator[Word]:
    """The words of Tesseract's table of tab-separated values; the plain text beside it knows where no space is between two of them."""
    rows = [line.split("\t") for line in told.split("\n")]
    text = "\n".join(cells[0] for cells in rows if len(cells) < _CELLS)
    at = 0
    for cells in rows:
        if len(cells) < _CELLS or cells[0] != "5" or not cells[11].strip():
            continue
        said = cells[11].strip()
        place = text.find(said, at)
        joined = place == at > 0
        at = place + len(said) if place >= 0 else at
        block, paragraph, number, _, left, top, width, height = (int(cell) for cell in cells[2:10])
        yield Word(said, float(cells[10]), left, top, left + width, top + height, (block, paragraph, number), joined)


def _run(command: list[str], given: bytes, seconds: float) -> tuple[int, bytes, bytes]:
    """(exit status, output, errors). One thread each: pages are read side by side, and four threads on one are hardly faster."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise ItemError(f"can't be read by OCR: {command[0]} does not start ({error.strerror}).") from None
    try:
        said, told = process.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ItemError(f"took OCR longer than {seconds:g} seconds.") from None
    finally:
        _end(process)
    return process.returncode, said, told


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started (a wrapper script may be in its place), where they still run."""
    if process.poll() is None:
        try:
            below = psutil.Process(process.pid).children(recursive=True)
        except psutil.Error:
            below = []
        for child in below:
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            pipe.close()
