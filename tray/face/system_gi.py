"""Python's door to GTK, borrowed from the system: distributions ship it for their own Python, and a virtual environment hides it.

Only the package `gi` is taken, and only where it was built for this very Python; nothing else of the system's packages comes in.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PLACES = tuple(
    Path(place)
    for place in (
        "/usr/lib/python3/dist-packages",  # Debian, Ubuntu
        f"/usr/lib64/{_VERSION}/site-packages",  # Fedora, openSUSE
        f"/usr/lib/{_VERSION}/site-packages",  # Arch
        f"/usr/lib/{_VERSION}/dist-packages",
    )
)
PACKAGES = "Debian, Ubuntu: apt install python3-gi gir1.2-gtk-3.0 gir1.2-ayatanaappindicator3-0.1"


def borrow(places: Sequence[Path] = PLACES) -> bool:
    """Whether `import gi` works now."""
    found = importlib.util.find_spec("gi")
    if found is not None and found.origin is not None:  # a mere folder of that name is none
        return True
    for folder in (place / "gi" for place in places):
        if not any((folder / f"_gi{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
            continue
        spec = importlib.util.spec_from_file_location("gi", folder / "__init__.py", submodule_search_locations=[str(folder)])
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules["gi"] = module
        try:
            spec.loader.exec_module(module)
        except Exception:  # noqa: BLE001 - a half-removed or foreign package: as good as none
            for name in [name for name in sys.modules if name == "gi" or name.startswith("gi.")]:
                del sys.modules[name]
            continue
        return True
    return False
