"""Pictures made in a moment, as a chat page sends them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from app.core.records import Message


def picture(seed: int, *, width: int = 100, height: int = 70, form: str = "PNG") -> bytes:
    """The file of a picture full of noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return file_of(Image.fromarray(noise), form)


def file_of(image: Image.Image, form: str = "PNG") -> bytes:
    kept = io.BytesIO()
    image.save(kept, form)
    return kept.getvalue()


def url(data: bytes, kind: str = "png") -> str:
    """A file as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def asked(text: str, *pictures: bytes) -> Message:
    """A user's message as Open WebUI makes it: the text, then its pictures."""
    parts = [{"type": "image_url", "image_url": {"url": url(one)}} for one in pictures]
    return Message("user", [{"type": "text", "text": text}, *parts])
