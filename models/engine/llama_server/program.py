"""llama.cpp's own server as it is installed: where the program is, what it can, and the words that start it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from app.core.errors import BadSetting

ASK_SECONDS = 30.0  # a graphics driver may take its time, also for --help
_NEEDED = ("--host", "--port", "--api-key", "--ctx-size", "--parallel", "--threads", "--kv-unified", "--jinja")
_WANTED = ("--offline", "--no-ui", "--no-webui", "--no-slots")
_HINT = "Get it from llama.cpp's releases, put it on PATH or name it with `models.llama_server`; or set `models.engine: built-in`."


class Program(NamedTuple):
    """A llama-server that can be used. `version` is the first line that it says of itself."""

    path: Path
    version: str
    options: frozenset[str]


class Share(NamedTuple):
    """What it gets: tokens of context that all requests share, requests at once, threads, layers on the GPU (-1: it decides).

    `adapters` over the model, and the `projector` by which it sees.
    """

    cells: int
    parallel: int
    threads: int
    gpu_layers: int
    adapters: tuple[str, ...] = ()
    projector: str = ""


def find(named: str) -> Program:
    """The program of that name or path, else `llama-server` of PATH; asked what it can. BadSetting where there is none that will do."""
    found = shutil.which(str(Path(named).expanduser()) if named else "llama-server")
    if not found:
        missing = f"There is no program {named}" if named else "There is no llama-server on PATH"
        raise BadSetting(f"{missing}, and `models.engine` is llama-server.", hint=_HINT)
    path = Path(found).resolve()
    options = frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]+", _said(path, "--help")))
    lacking = [option for option in _NEEDED if option not in options]
    if lacking:
        raise BadSetting(f"{path} doesn't know {lacking[0]}: it is too old, or no llama-server.", hint=_HINT)
    version = next((line.strip() for line in _said(path, "--version").splitlines() if line.strip()), "")
    return Program(path, version, options)


def line(program: Program, model: Path, share: Share, port: int) -> list[str]:
    """The words that start it on loopback. Its key stands in the environment (LLAMA_API_KEY), not here, where every user could read it."""
    words = [str(program.path), "--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--jinja"]
    # One cache for all, as our own engine has it: a chat may be long while others are short.
    words += ["--ctx-size", str(share.cells), "--parallel", str(share.parallel), "--kv-unified"]
    words += ["--threads", str(share.threads), "--threads-batch", str(share.threads)]
    if share.gpu_layers >= 0:
        words += ["--gpu-layers", str(share.gpu_layers)]
    if share.projector:
        words += ["--mmproj", share.projector]
    for path in share.adapters:
        words += ["--lora", path]
    if share.adapters:
        words.append("--lora-init-without-apply")  # each request says how strong they are
    return [*words, *(option for option in _WANTED if option in program.options)]


def _said(path: Path, option: str) -> str:
    try:
        done = subprocess.run([str(path), option], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_SECONDS, check=False)
    except OSError as error:
        raise BadSetting(f"{path} can't be run: {error.strerror or error}.", hint=_HINT) from None
    except subprocess.TimeoutExpired:
        raise BadSetting(f"{path} did not answer {option} within {ASK_SECONDS:.0f} s.", hint=_HINT) from None
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
