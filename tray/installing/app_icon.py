"""The program's own picture as the files that desktops want: PNG, ICNS and ICO, drawn when they are written."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from app.core.errors import OndolError

# A picture of so many pixels a side: a PIL image, whose type stays in `drawing.py`.
Draw = Callable[[int], Any]


def drawn(size: int) -> Any:
    """The picture. OndolError where the drawing library is missing."""
    try:
        from tray.face.drawing import picture
    except ImportError:
        raise OndolError("The library that draws the icon is missing.", hint="Install it: pip install 'ondol[tray]'") from None
    from tray.records import State

    return picture(State.READY, size)


def png(draw: Draw, size: int) -> bytes:
    """One size, for freedesktop's icon folders."""
    return _saved(draw(size), "PNG")


def icns(draw: Draw) -> bytes:
    """All sizes of a macOS bundle."""
    return _several(draw, "ICNS", (1024, 512, 256, 128, 64, 32, 16))


def ico(draw: Draw) -> bytes:
    """All sizes of a Windows shortcut."""
    sizes = (256, 64, 48, 32, 24, 20, 16)
    return _several(draw, "ICO", sizes, sizes=[(size, size) for size in sizes])


def _several(draw: Draw, kind: str, pixels: Sequence[int], **more: Any) -> bytes:
    largest, *others = (draw(size) for size in pixels)
    return _saved(largest, kind, append_images=others, **more)


def _saved(picture: Any, kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=kind, **more)
    return out.getvalue()
