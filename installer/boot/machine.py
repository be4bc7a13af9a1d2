"""The facts of this machine: GPU, compiler, cores, and whether an index answers."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
import threading
import urllib.error
import urllib.request
from pathlib import Path

from boot.choices import Machine


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def look() -> Machine:
    """Takes well under a second, except where a GPU driver answers slowly (at most 10 s)."""
    system = platform.system()
    gpu, cuda = _gpu(system)
    return Machine(
        system=system,
        gpu=gpu,
        cuda=cuda,
        compiler=_compiler(system),
        nvcc=shutil.which("nvcc") is not None,
        cores=cores(),
    )


def _gpu(system: str) -> tuple[str, tuple[int, int]]:
    if system == "Darwin":
        return ("metal" if platform.machine() == "arm64" else ""), (0, 0)
    told = _first_words("nvidia-smi")
    if told is not None:
        version = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", told)
        return "cuda", (int(version[1]), int(version[2])) if version else (0, 0)
    # A container may show the driver without its tools.
    return ("cuda" if Path("/proc/driver/nvidia/version").exists() else ""), (0, 0)


def _first_words(program: str) -> str | None:
    found = shutil.which(program)
    if found is None:
        return None
    try:
        done = subprocess.run([found], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _compiler(system: str) -> str:
    """A C++ compiler that a build would find; an empty text where there is none."""
    named = os.environ.get("CXX")
    if named and shutil.which(named.split()[0]):
        return named
    if system == "Darwin":
        # /usr/bin/c++ is always there on macOS: without the tools it only opens a dialog.
        try:
            tools = subprocess.run(["xcode-select", "-p"], capture_output=True, timeout=10, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            tools = False
        return "c++" if tools else ""
    if system == "Windows" and (studio := _visual_studio()):
        return studio
    # With Visual Studio absent, MinGW's g++ serves on Windows too.
    return next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), "")


def _visual_studio() -> str:
    locator = Path(os.environ.get("PROGRAMFILES(X86)", "C:/Program Files (x86)")) / "Microsoft Visual Studio/Installer/vswhere.exe"
    if not locator.exists():
        return ""
    wanted = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    found = subprocess.run(
        [str(locator), "-latest", "-products", "*", "-requires", wanted, "-property", "displayName"],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    return found.stdout.strip()


def platform_tag() -> str:
    """`linux_x86_64`, `win_amd64`, `macosx_arm64`: the part of a wheel's name that has to fit."""
    system, *_, architecture = re.split(r"[-_]", sysconfig.get_platform(), maxsplit=1)[0], platform.machine().lower()
    return f"{system}_{architecture}"


def page(address: str, *, patience: float = 5.0) -> str:
    """The text at an address, or an empty text where it doesn't answer within `patience` seconds.

    In a thread of its own: looking up a name may hang for longer than any time-out that Python can set.
    """
    found: list[str] = []

    def fetch() -> None:
        try:
            with urllib.request.urlopen(address, timeout=patience) as answer:  # noqa: S310 -- constants, or the user's own option
                found.append(answer.read(4_000_000).decode("utf-8", "replace"))
        except (OSError, ValueError, urllib.error.URLError):
            return

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else ""
