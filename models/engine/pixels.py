"""Pillow's doorway: the file of a picture becomes pixels, upright, opaque, and no larger than a model could want."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, NamedTuple

from app.core.errors import BadRequest
from models.engine.images import KINDS

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 1 << 26  # 67 million: the largest that telephones take
LONGEST_SIDE = 4096  # pixels that are handed on; models scale them down themselves
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # of EXIF: those that swap width and height
_CAMERAS = ("JPEG", "WEBP")  # what has such a word at its beginning; a PNG would be read to its end for it


class Pixels(NamedTuple):
    """Three bytes for each pixel, row by row."""

    width: int
    height: int
    data: bytes


def size(data: bytes) -> tuple[int, int]:
    """Width and height of what `pixels` makes of it, by its head alone. BadRequest for no picture, or too many pixels."""
    with _opened(data) as image:
        return _target(image)


def pixels(data: bytes) -> Pixels:
    """All of them. BadRequest for a damaged picture."""
    from PIL import Image, ImageOps

    with _opened(data) as image:
        target = _target(image)
        try:
            image.draft("RGB", (max(target), max(target)))  # a JPEG is read at a half or a quarter where that is enough
            turned = ImageOps.exif_transpose(image) if image.format in _CAMERAS else _eight_bits(image)
            mode = "RGBA" if turned.has_transparency_data else "RGB"
            drawn = turned if turned.mode == mode else turned.convert(mode)
            # Scaled first: what is made on the way of a large one takes as many times its memory.
            drawn = drawn if drawn.size == target else drawn.resize(target, Image.Resampling.BICUBIC)
            if mode == "RGBA":
                drawn = Image.alpha_composite(Image.new("RGBA", target, "white"), drawn).convert("RGB")
            return Pixels(*target, drawn.tobytes())
        # Decoders of many formats raise what they like of damaged data.
        except Exception as error:  # noqa: BLE001
            raise BadRequest(f"A picture is damaged: {error}.", hint="Send another copy of it.", param="messages") from None


def _opened(data: bytes) -> Image.Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs: the pixels are counted here
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Exception:  # noqa: BLE001  # the same
        raise BadRequest("What was sent as a picture can't be read as one.", hint=f"Send {KINDS}.", param="messages") from None
    if image.width * image.height > MOST_PIXELS:
        hint = f"Make it smaller: {MOST_PIXELS // 1_000_000} million pixels are the most."
        raise BadRequest(f"A picture has {image.width} x {image.height} pixels.", hint=hint, param="messages")
    return image


def _target(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if image.format in _CAMERAS and image.getexif().get(_ORIENTATION) in _LYING:
        width, height = height, width
    share = min(1.0, LONGEST_SIDE / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits would be cut off at white, not scaled."""
    if not image.mode.startswith("I"):
        return image
    import numpy as np
    from PIL import Image

    values = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
    return Image.fromarray((values >> 8).astype(np.uint8))
