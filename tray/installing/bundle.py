"""The application bundle of macOS: a folder that Finder, Spotlight and Launchpad show as a program, with a Korean name too."""

from __future__ import annotations

import plistlib
import shlex
import shutil
import tempfile
from pathlib import Path
from xml.parsers.expat import ExpatError

from app.core.errors import Conflict, foreign
from tray.installing import app_icon
from tray.installing.launch import Launch
from tray.installing.places import Desktop
from tray.installing.product import LABEL, NAME, NAME_KO


class Bundle:
    """`Ondol.app` in the user's own Applications folder. It is made on this computer, so no quarantine and no signature."""

    def __init__(self, desktop: Desktop, draw: app_icon.Draw = app_icon.drawn) -> None:
        self._draw = draw
        self.path = desktop.user_home / "Applications" / f"{NAME}.app"

    def add(self, launch: Launch, language: str) -> list[Path]:  # noqa: ARG002  # the bundle holds both languages
        """Make it whole beside its place, then move it there. Conflict where something else has that name."""
        self._must_be_ours()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".ondol-") as beside:
                made = Path(beside) / self.path.name
                self._write(made / "Contents", launch)
                if self.path.exists():
                    self.path.rename(Path(beside) / "old.app")
                made.rename(self.path)
        except OSError as error:
            raise foreign(error) from error
        return [self.path]

    def remove(self) -> list[Path]:
        """Remove it. Conflict where what stands there isn't ours."""
        if not self.path.exists():
            return []
        self._must_be_ours()
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise foreign(error) from error
        return [self.path]

    def _write(self, contents: Path, launch: Launch) -> None:
        for folder in ("MacOS", "Resources/en.lproj", "Resources/ko.lproj"):
            (contents / folder).mkdir(parents=True)
        program = contents / "MacOS" / NAME
        program.write_text(f'#!/bin/sh\nexec {shlex.join(launch.line)} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        (contents / "Resources" / f"{NAME}.icns").write_bytes(app_icon.icns(self._draw))
        for language, name in (("en", NAME), ("ko", NAME_KO)):
            names = f'CFBundleDisplayName = "{name}";\nCFBundleName = "{name}";\n'
            (contents / "Resources" / f"{language}.lproj" / "InfoPlist.strings").write_text(names, encoding="utf-8")
        # Last: a bundle is one by this file.
        (contents / "Info.plist").write_bytes(plistlib.dumps(INFORMATION))

    def _must_be_ours(self) -> None:
        try:
            found = plistlib.loads((self.path / "Contents" / "Info.plist").read_bytes())
            ours = found.get("CFBundleIdentifier") == LABEL
        except (OSError, ValueError, LookupError, AttributeError, ExpatError):
            ours = False
        if self.path.exists() and not ours:
            raise Conflict(f"{self.path} is there already and is not ours.", hint="Move it away, then try again.")


INFORMATION = {
    "CFBundleIdentifier": LABEL,
    "CFBundleName": NAME,
    "CFBundleDisplayName": NAME,
    "LSHasLocalizedDisplayName": True,
    "CFBundleDevelopmentRegion": "en",
    "CFBundleExecutable": NAME,
    "CFBundleIconFile": NAME,
    "CFBundlePackageType": "APPL",
    "CFBundleShortVersionString": "1",
    "CFBundleInfoDictionaryVersion": "6.0",
    "LSMinimumSystemVersion": "11.0",
    # It lives in the menu bar: no place in the Dock.
    "LSUIElement": True,
    "NSHighResolutionCapable": True,
}
