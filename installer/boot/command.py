"""The command line of the bootstrap."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from boot import choices
from boot.checks import check
from boot.choices import Options
from boot.console import Console, Failed
from boot.setup import RUN_EXTRAS, TEST_EXTRAS, Clone, set_up

ROOT = Path(__file__).resolve().parents[2]


def parser() -> argparse.ArgumentParser:
    """`run` and `test`, with the same options for the builds."""
    builds = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = builds.add_argument_group(
        "builds (each also as an environment variable: ONDOL_TORCH, ONDOL_TORCH_INDEX, ONDOL_LLAMA, ONDOL_LLAMA_INDEX)"
    )
    group.add_argument(
        "--torch", choices=choices.TORCH_MODES, help="PyTorch: the CPU build, what the default index has, or by machine (auto)"
    )
    group.add_argument("--torch-index", metavar="URL", help="where the CPU build of PyTorch is")
    group.add_argument(
        "--llama", choices=choices.LLAMA_MODES, help="llama.cpp: a prebuilt wheel, a build on this machine (faster on its CPU), or auto"
    )
    group.add_argument("--llama-index", metavar="URL", help="where prebuilt llama.cpp wheels are, in folders cpu, metal, cu124, ...")

    top = argparse.ArgumentParser(
        prog="bootstrap.py", description="Ondol from a fresh clone: installs into .venv, nothing elsewhere.", allow_abbrev=False
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", parents=[builds], allow_abbrev=False, help="install, load the demo, start the server, ask two questions, keep serving",
        description="The demo lives in .ondol-demo inside the clone. The server takes ONDOL_PORT (11500), or the next free port.",
    )  # fmt: skip
    run.add_argument("--once", action="store_true", help="end after the questions instead of serving on")
    commands.add_parser(
        "test", parents=[builds], allow_abbrev=False, help="install with the test tools, then lint, types, walls and tests",
        description="What is not an option of this command goes to pytest, for example: test tests/unit -k port",
    )  # fmt: skip
    return top


def main(arguments: Sequence[str]) -> int:
    """Exit status 0 when all was done; 1 when a step failed; 130 after Ctrl-C; that of pytest for `test`."""
    top = parser()
    flags, rest = top.parse_known_args(arguments)
    if rest and flags.command != "test":
        top.error(f"unknown: {' '.join(rest)}")
    signal.signal(signal.SIGTERM, _as_interrupt)
    for stream in (sys.stdout, sys.stderr):
        # Korean answers on a console of another code page: a question mark is better than a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    console = Console()
    clone = Clone(ROOT)
    try:
        options = Options.read({name: getattr(flags, name) for name in ("torch", "torch_index", "llama", "llama_index")}, os.environ)
        if flags.command == "test":
            environment = set_up(clone, TEST_EXTRAS, options, console)
            return check(environment, clone.root, console, clone.logs, [word for word in rest if word != "--"])
        environment = set_up(clone, RUN_EXTRAS, options, console)
        # Only here: the tests need nothing of the demo.
        from boot.demo import run_demo

        run_demo(clone, environment, console, once=flags.once)
    except Failed as error:
        console.failed(error)
        return 1
    except KeyboardInterrupt:
        console.say("\nStopped. Start the same command again: it goes on where it stopped.")
        return 130
    return 0


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
