"""Finds half-installed packages in the environment that runs this file, and takes them out.

Run by the environment's own Python after an installation that did not end. A package counts as whole when its
RECORD is there and every file in it has the size that RECORD says. Of one that isn't whole the `.dist-info` folder is
removed: pip then installs it again, over what is left. pip's own leftovers (folders that begin with `~`) go too.
Prints the names, one a line.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sysconfig
from pathlib import Path


def whole(distribution: importlib.metadata.Distribution) -> bool:
    """Whether everything that was to be installed is there."""
    try:
        files = distribution.files
    except (OSError, ValueError):
        return False
    # An empty METADATA is what a kill between two writes leaves.
    if not files or not distribution.metadata["Name"]:
        return False
    for file in files:
        if file.suffix == ".pyc":
            continue
        try:
            size = Path(str(file.locate())).stat().st_size
        except OSError:
            return False
        if file.size is not None and size != file.size:
            return False
    return True


def repair(site: Path) -> list[str]:
    """Remove what is broken under `site`; returns what was removed."""
    removed = []
    for leftover in sorted(site.glob("~*")):
        removed.append(leftover.name)
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    for folder in sorted(site.glob("*.dist-info")):
        if not whole(importlib.metadata.Distribution.at(folder)):
            removed.append(folder.name.removesuffix(".dist-info"))
            shutil.rmtree(folder)
    return removed


if __name__ == "__main__":
    for place in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for name in repair(Path(place)):
            print(name)
