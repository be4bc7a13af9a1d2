"""Pictures (PNG, JPEG, TIFF with its pages, BMP, WebP, GIF): what is written on them, through OCR. The doorway to Pillow."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers import ocr
from ingest.readers.contract import FileContent
from ingest.readers.headings import Headings
from ingest.readers.ocr import SPARSE, Tesseract
from ingest.readers.pages.order import Item
from ingest.readers.pages.outline import blocks
from ingest.readers.pages.photo import is_page, merged, placed, scaled
from ingest.readers.pages.recognised import page_words, whole
from ingest.readers.pages.scanned import lines

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 100_000_000
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
_LARGE, _SMALL = 3600, 1200
"""Pixels of a page's longer side between which Tesseract reads best: about 300 dots to an inch of A4, and small print of a screen."""
_PHOTO_SIDES = (360, 440, 540, 660, 1000, 1600)
"""What a sign says is read best where its letters are about 30 pixels tall, and how much of a photo it takes is not known."""
_SHADOW_SIDES = (440, 660, 1000)
_CONTRAST = 8


class PictureReader:
    """One document of a picture, titled by its file's name. `recogniser` finds the program; it raises ItemError where there is none."""

    def __init__(self, recogniser: Callable[[], Tesseract] = ocr.find) -> None:
        self._recogniser = recogniser

    def read(self, file: FileContent) -> Iterator[Document | Failed]:
        """One document, and a failure for each page of a TIFF that can't be read."""
        tesseract = self._recogniser()
        pages: list[tuple[int, list[Item]]] = []
        failures: list[Failed] = []
        frames = 0
        for frames, picture in enumerate(_frames(file.data), 1):
            if frames > file.limits.pages:
                raise ItemError(
                    f"has more than {file.limits.pages} pages.", hint="Split it, or raise ingest.max_pages in the configuration."
                )
            try:
                pages.append((frames, _said(picture, tesseract)))
            except ItemError as error:
                failures.append(Failed(f"{file.id}#page {frames}", f"Page {frames}: {error}"))
        if frames == 1 and failures:
            raise ItemError(failures[0].reason.removeprefix("Page 1: "))
        found = tuple(blocks(pages, Headings()))
        if not found and not failures:
            raise ItemError("has no text that OCR could read.")
        yield from failures
        if found:
            yield Document(file.id, file.stem, found if frames > 1 else tuple(msgspec.structs.replace(block, page=None) for block in found))


def _frames(data: bytes) -> Iterator[Image]:
    """The pictures of a file, upright and in shades of grey. ItemError: it is none, or unpacks to more pixels than any scanner makes."""
    try:
        from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError
    except ImportError:
        raise ItemError("needs Pillow to be read.", hint="pip install 'ondol[local]'") from None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures; here they are refused
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                # An animation shows one thing.
                for frame in ImageSequence.Iterator(opened) if opened.format == "TIFF" else [opened]:
                    if frame.width * frame.height > MOST_PIXELS:
                        raise ItemError(
                            f"has {frame.width} x {frame.height} pixels, more than {MOST_PIXELS // 1_000_000} million.",
                            hint="Make it smaller.",
                        )
                    yield ImageOps.exif_transpose(_on_white(frame)).convert("L")
        except Image.DecompressionBombError:
            raise ItemError(f"has more than {MOST_PIXELS // 1_000_000} million pixels.", hint="Make it smaller.") from None
        except UnidentifiedImageError:
            raise ItemError("is not a picture that can be read.", hint="Open it in a picture program and save it again.") from None
        except (OSError, SyntaxError, ValueError, EOFError):  # what Pillow raises on damaged files
            raise ItemError("is a damaged picture.", hint="Open it in a picture program and save it again.") from None


def _on_white(picture: Image) -> Image:
    """Without transparency: letters on a clear ground would be black on black."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture if picture.mode in ("L", "RGB", "1") else picture.convert("RGB")
    from PIL import Image

    clear = picture.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    flat = Image.alpha_composite(white, clear).convert("RGB")
    flat.info = picture.info
    return flat


def _said(picture: Image, tesseract: Tesseract) -> list[Item]:
    """A page's lines; where it is no page, what several ways of looking find on a photo."""
    words = page_words(tesseract, _file(_sized(picture, _page_side(picture))))
    if is_page(words):
        return lines(words)
    longest = max(picture.size)
    readings = [scaled(words, longest / _page_side(picture))]
    readings += [scaled(whole(tesseract.words(_file(view), SPARSE)), longest / max(view.size)) for view in _views(picture)]
    return placed(merged(readings))


def _page_side(picture: Image) -> int:
    longest = max(picture.size)
    return min(longest, _LARGE) if longest >= _SMALL else longest * 2


def _sized(picture: Image, side: int) -> Image:
    from PIL.Image import Resampling

    longest = max(picture.size)
    if longest == side:
        return picture
    return picture.resize((max(1, picture.width * side // longest), max(1, picture.height * side // longest)), Resampling.LANCZOS)


def _views(picture: Image) -> Iterator[Image]:
    """The picture in several sizes; in some, what is lighter than its surroundings alone, in black on white: signs, labels in shadow."""
    from PIL import ImageChops, ImageFilter, ImageOps

    clear = ImageOps.autocontrast(picture)
    for side in _PHOTO_SIDES:
        grey = _sized(clear, side)
        yield grey
        if side in _SHADOW_SIDES:
            around = ImageChops.subtract(grey, grey.filter(ImageFilter.BoxBlur(25)), 1, 128)
            yield around.point([0 if value > 128 + _CONTRAST else 255 for value in range(256)])


def _file(picture: Image) -> bytes:
    """As a PGM file: nothing to pack, nothing to unpack."""
    return b"P5 %d %d 255\n" % picture.size + picture.tobytes()
