"""The environment in `.venv`: made, checked, mended, and filled by pip."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from boot import process
from boot.console import Failed

MARK = ".ondol-bootstrap"
MAKING = ".ondol-making"


class Environment:
    """A virtual environment and its pip."""

    def __init__(self, folder: Path, *, logs: Path, base: Mapping[str, str], cwd: Path) -> None:
        self.folder, self._logs, self._cwd = folder, logs, cwd
        self.variables = process.clean_environment(base)

    @property
    def scripts(self) -> Path:
        """The folder of its commands."""
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / ("python.exe" if sys.platform == "win32" else "python")

    def command(self, name: str) -> Path:
        """One of its commands, such as `ondol`."""
        return self.scripts / (f"{name}.exe" if sys.platform == "win32" else name)

    @property
    def token(self) -> str:
        """Which environment this is: another one in the same folder has another token, so that stamps can't lie."""
        try:
            return (self.folder / MARK).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def fault(self) -> str:
        """Why this environment can't be used; an empty text where it can."""
        if not self.python.exists():
            return "there is none yet" if not self.folder.exists() else "it has no Python"
        if (self.folder / MAKING).exists():
            return "its making was interrupted"
        asked = "import sys, pip._internal.cli.main; print('.'.join(map(str, sys.version_info[:2])))"
        version = process.output([self.python, "-c", asked], environment=self.variables, cwd=self._cwd)
        if version is None:
            return "its Python or pip does not start"
        if tuple(int(part) for part in version.strip().split(".")) < (3, 11):
            return f"its Python is {version.strip()}"
        return ""

    def ensure(self) -> str:
        """Make or mend it where needed; returns what was done. `Failed` with the words to type where it can't be made."""
        fault = self.fault()
        if not fault and self.token:
            return "already there"
        if fault:
            self._make()
        (self.folder / MARK).write_text(secrets.token_hex(8), encoding="ascii")
        return f"made ({fault})" if fault else "already there"

    def _make(self) -> None:
        missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
        if missing:
            raise Failed(venv_advice(missing[0]))
        log = self._logs / "environment.log"
        # What a broken one holds is of no use, and --clear stumbles over a Python that is a dangling link.
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / MAKING).touch()
        process.run([sys.executable, "-m", "venv", self.folder], log=log, environment=self.variables, cwd=self._cwd)
        (self.folder / MAKING).unlink()
        if fault := self.fault():
            raise Failed(f"{self.folder} was made, but {fault}.", log=log)

    def repair(self) -> list[str]:
        """Take half-installed packages out; returns their names."""
        script = Path(__file__).with_name("repair.py")
        told = process.output([self.python, script], environment=self.variables, cwd=self._cwd, timeout=300)
        if told is None:
            raise Failed(f"the environment can't be mended. Remove the folder {self.folder} and start this again.")
        return told.split()

    def pip(self, *words: str | Path, log: Path, on_line: Callable[[str], None] | None = None, attempts: int = 2, **variables: str) -> None:
        """Run pip; once more where it fails, for networks fail."""
        command = [self.python, "-m", "pip", *words]
        for attempt in range(1, attempts + 1):
            try:
                process.run(command, log=log, environment={**self.variables, **variables}, cwd=self._cwd, on_line=on_line)
            except Failed:
                if attempt == attempts:
                    raise
            else:
                return


def venv_advice(missing: str) -> str:
    """Debian and its children take `venv` out of Python into a package of its own."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return (
        f"this Python has no module {missing!r}, so no environment can be made. Debian/Ubuntu: sudo apt install python{version}-venv; "
        "elsewhere install Python with its standard library complete, then start this again."
    )
