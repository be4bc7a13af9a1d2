"""Which Open WebUI this machine has: a program in an environment of its own, or an image of a docker engine that answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from app.chat_page import docker
from app.chat_page.environment import NOT_OURS
from app.core.errors import BadRequest, NotFound

PROGRAM = "open-webui.exe" if sys.platform == "win32" else "open-webui"
FOLDERS = ("Scripts", "bin") if sys.platform == "win32" else ("bin",)
PYTHONS = ("python.exe",) if sys.platform == "win32" else ("python3", "python")
ASK_SECONDS = 60.0
# chromadb is of the full installation alone; Open WebUI has to be told that it is missing.
ASK = """
import importlib.metadata as m, importlib.util as u, json
here = u.find_spec("open_webui") is not None
print(json.dumps({"version": m.version("open-webui") if here else "", "full": u.find_spec("chromadb") is not None}))
"""


class Installation(msgspec.Struct, frozen=True):
    """What can be started. `program` is its path, or the docker client's; `image` stands with docker alone."""

    kind: Literal["program", "docker"]
    program: str
    image: str = ""
    version: str = ""
    slim: bool = False

    @property
    def name(self) -> str:
        """For people."""
        if self.kind == "docker":
            return f"Open WebUI in Docker ({self.image})"
        return f"Open WebUI {self.version} ({'slim, ' if self.slim else ''}{self.program})"


def find(
    *,
    path: Path | None,
    own: Path,
    in_docker: bool,
    executable: Path,
    environ: Mapping[str, str],
    which: Callable[[str], str | None] = shutil.which,
) -> Installation:
    """The first of: `path`, the folder `own`, beside our interpreter, on PATH, in Docker. NotFound says how to get one."""
    if path is not None:
        program = next((one for one in _in(path) if one.is_file()), None)
        if program is None:
            raise NotFound(
                f"There is no Open WebUI at {path}.", hint=f"--path takes the program {PROGRAM}, or the folder of its environment."
            )
        return _asked(program, environ)
    if not in_docker:
        on_path = which(PROGRAM)
        for place in (own, executable.parent, *([Path(on_path)] if on_path else [])):
            program = next((one for one in _in(place) if one.is_file()), None)
            if program is not None:
                return _asked(program, environ)
    client = which("docker")
    image = docker.image(client) if client else None
    if client and image:
        return Installation("docker", client, image)
    if in_docker:
        raise NotFound(
            "No docker engine answers, or it has no image of Open WebUI.",
            hint=f"Start it, and fetch the image once, while there is a network: docker pull {docker.OFFICIAL}:main",
        )
    raise NotFound("There is no Open WebUI on this machine.", hint=how_to_get(own))


def how_to_get(own: Path, *, windows: bool = sys.platform == "win32") -> str:
    """The commands that put it where it is found first, for this machine's shell."""
    folder = own / "venv"
    python = "py -3.12" if windows else "python3"
    pip = f'& "{folder}\\Scripts\\pip.exe"' if windows else f'"{folder}/bin/pip"'
    listed = (
        f'"{folder}\\Lib\\site-packages\\requirements-slim.txt"'
        if windows
        else f'"{folder}"/lib/python3*/site-packages/requirements-slim.txt'
    )
    return (
        "Get it once, while there is a network (Python 3.11 or 3.12; sizes and times were measured on Linux):\n"
        f'  {python} -m venv "{folder}"\n'
        "  slim, 0.8 GB, 1 to 5 minutes (pip then names packages that are missing: the slim one does without them):\n"
        f"    {pip} install --no-deps open-webui\n"
        f"    {pip} install -r {listed}\n"
        "  or full, 2.9 GB:\n"
        f"    {pip} install open-webui\n"
        "Then `ondol open-webui` again. One that is elsewhere: --path PROGRAM."
    )


def _in(place: Path) -> Iterator[Path]:
    """The program itself, or where it lies in a folder that is an environment or holds one."""
    if place.name.lower() in (PROGRAM, "open-webui") and not place.is_dir():
        yield place
        return
    yield place / PROGRAM
    for folder in FOLDERS:
        yield place / "venv" / folder / PROGRAM
        yield place / ".venv" / folder / PROGRAM
        yield place / folder / PROGRAM


def interpreter(program: Path) -> Path | None:
    """The Python that a console script runs with: beside it (links followed), else the one that its first line names."""
    real = program.resolve()
    for name in PYTHONS:
        if (found := real.parent / name).is_file():
            return found
    with real.open("rb") as file:
        first = file.readline(1000)
    if first.startswith(b"#!"):
        named = Path(os.fsdecode(first[2:].strip().split(b" ")[0]))
        return named if named.is_file() else None
    return None


def _asked(program: Path, environ: Mapping[str, str]) -> Installation:
    """The version, and whether it is the slim one; a program that can't be asked is taken for a full one."""
    python = interpreter(program)
    if python is None:
        return Installation("program", str(program))
    clean = {name: value for name, value in environ.items() if name not in NOT_OURS}
    try:
        asked = subprocess.run([str(python), "-P", "-c", ASK], env=clean, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
        told = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return Installation("program", str(program))
    if not told["version"]:
        raise BadRequest(
            f"{program} is there, but its Python ({python}) has no Open WebUI.", hint="Install it again: the last time it was not finished."
        )
    return Installation("program", str(program), version=told["version"], slim=not told["full"])
