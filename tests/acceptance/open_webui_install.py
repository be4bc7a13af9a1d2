"""The real Open WebUI for the tests: its slim installation (0.8 GB, no torch) in an environment of its own, and a Chromium.

`ONDOL_TEST_OPEN_WEBUI` names a folder that already holds it in `venv`; else it is made in `.bootstrap/open-webui`, once. A stamp
that is written last says that it is whole: an installation that was killed is begun again (pip has its downloads still).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from boot.stamps import Lock, Stamps, key_of

VERSION = "0.12.4"
ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_BROWSERS = ("/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
DEBIAN = ("chromium", "fonts-dejavu-core", "fonts-noto-cjk")


class NotInstalled(Exception):
    """Something that only the owner of this machine can install is missing; the message says what."""


def installed() -> Path:
    """The program `open-webui`, installed where it isn't yet: minutes the first time. `NotInstalled` where it can't be."""
    if named := os.environ.get("ONDOL_TEST_OPEN_WEBUI"):
        program = _program(Path(named))
        if not program.exists():
            raise NotInstalled(f"ONDOL_TEST_OPEN_WEBUI is {named}, but there is no {program}.")
        return program
    folder = ROOT / ".bootstrap" / "open-webui"
    stamps, key = Stamps(folder), key_of(VERSION, sys.version_info[:2])
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder / "lock", lambda: None):
        if not (stamps.done("installed", key) and _program(folder).exists()):
            stamps.forget("installed")
            _install(folder)
            stamps.mark("installed", key)
    return _program(folder)


def browser() -> Path:
    """A Chromium of this machine. Debian's is installed where we may; else `NotInstalled` says what to install."""
    if (found := _browser()) and _korean_font():
        return found
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "update", "-qq"], quiet)
        patient = ["-o", "DPkg::Lock::Timeout=300"]
        _run(["apt-get", *patient, "install", "-y", "-qq", "--no-install-recommends", *DEBIAN], quiet)
        found = _browser()
    if found is None:
        raise NotInstalled(f"No Chromium is installed. Debian/Ubuntu: sudo apt install {' '.join(DEBIAN)}; elsewhere: install Chrome.")
    return found


def _browser() -> Path | None:
    on_path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    return Path(on_path) if on_path else next((found for name in MAC_BROWSERS if (found := Path(name)).exists()), None)


def _korean_font() -> bool:
    """Whether Korean shows as letters; systems other than Linux bring them."""
    asked = shutil.which("fc-list")
    if asked is None:
        return not sys.platform.startswith("linux")
    return bool(subprocess.run([asked, ":lang=ko"], capture_output=True, check=False).stdout.strip())


def _program(folder: Path) -> Path:
    return folder / "venv" / ("Scripts/open-webui.exe" if sys.platform == "win32" else "bin/open-webui")


def _install(folder: Path) -> None:
    """The wheel without its dependencies, and those of its own slim list."""
    if sys.version_info >= (3, 13):
        raise NotInstalled(f"Open WebUI {VERSION} needs Python 3.11 or 3.12, and the tests run on {sys.version.split()[0]}.")
    for name in ("venv", "wheel"):
        shutil.rmtree(folder / name, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder / "venv")])
    pip = [str(_program(folder).with_name("python" + _program(folder).suffix)), "-m", "pip"]
    _run([*pip, "download", "--quiet", "--no-deps", f"open-webui=={VERSION}", "--dest", str(folder / "wheel")])
    wheel = next((folder / "wheel").glob("open_webui-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        listed = next(name for name in archive.namelist() if name.rpartition("/")[2] == "requirements-slim.txt")
        (folder / "requirements-slim.txt").write_bytes(archive.read(listed))
    _run([*pip, "install", "--quiet", "--requirement", str(folder / "requirements-slim.txt")])
    _run([*pip, "install", "--quiet", "--no-deps", str(wheel)])
    shutil.rmtree(folder / "wheel")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"`{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
