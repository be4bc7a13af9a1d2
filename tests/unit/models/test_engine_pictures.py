"""Pictures before a model sees them: what is refused, their tokens, their pixels, their places."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tiny_pictures import asked, file_of, picture, url

from app.core.errors import BadRequest
from app.core.records import Message
from models.engine import images, pixels, sight
from models.engine.images import Picture
from models.engine.llama.places import Places
from models.engine.scheduler import Limits, Row, share
from models.engine.sight import Span

PICTURE = Picture(b"", b"x" * 32)


def span(start: int, length: int, *, causal: bool = True) -> Span:
    return Span(start, length, length, causal, PICTURE, 0)


def test_pictures_are_found_in_their_order_in_both_forms_of_a_part() -> None:
    parts = [{"type": "image_url", "image_url": url(picture(2))}, {"type": "text", "text": "?"}]
    found = images.pictures([asked("a", picture(1)), Message("assistant", "b"), Message("user", parts)])
    assert [one.data for one in found] == [picture(1), picture(2)]
    assert found[0].digest != found[1].digest


def test_base64_may_be_broken_into_lines() -> None:
    lines = url(picture(1)).replace("base64,", "base64,\n")
    lines = "\n".join(lines[at : at + 76] for at in range(0, len(lines), 76))
    assert images.pictures([Message("user", [{"type": "image_url", "image_url": {"url": lines}}])])[0].data == picture(1)


def test_a_part_without_an_address_is_refused() -> None:
    with pytest.raises(BadRequest, match="no url"):
        images.check([Message("user", [{"type": "image_url"}])], sees=True)


def test_the_tokens_of_a_picture_are_its_own_and_fit_a_signed_word() -> None:
    one, other = images.run(b"a" * 32, 0, 2000), images.run(b"b" * 32, 0, 2000)
    assert all(-(2**31) <= token < -1 for token in [*one, *other])
    assert not set(one) & set(other)
    assert images.run(b"a" * 32, 0, 500) == one[:500], "the same, however many"
    assert not set(images.run(b"a" * 32, 1, 500)) & set(one)


def test_a_cut_never_lies_inside_of_a_part_of_a_picture() -> None:
    tokens = [5, 6, *images.run(b"a" * 32, 0, 3), *images.run(b"a" * 32, 1, 2), 7]
    assert [images.whole(tokens, length) for length in range(9)] == [0, 1, 2, 2, 2, 5, 5, 7, 8]


def test_a_batch_ends_where_a_picture_begins_and_where_it_ends() -> None:
    spans = (span(10, 6), span(20, 8, causal=False))
    assert [sight.cut(spans, done, 100) for done in (0, 10, 12, 16, 20, 28)] == [10, 6, 4, 4, 8, 100]
    assert sight.cut(spans, 10, 2) == 2
    assert sight.cut(spans, 20, 2) == 8, "what sees itself whole is computed whole"


def test_who_waits_for_a_picture_takes_nothing_of_a_step() -> None:
    rows = [Row(1, 0, 1, 8, 16, blocked=True), Row(2, 0, 2, 8, 16), Row(3, 0, 3, 8, 1)]
    assert share(rows, Limits(slots=4, cells=100, batch=8, chunk=4)) == ((3, 1), (2, 4))


def test_a_photo_is_upright_and_its_size_is_known_before_it_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = io.BytesIO()
    Image.linear_gradient("L").resize((40, 20)).save(kept, "JPEG", exif=exif)
    assert pixels.size(kept.getvalue()) == (20, 40)
    seen = pixels.pixels(kept.getvalue())
    shown = np.frombuffer(seen.data, np.uint8).reshape(40, 20, 3)
    assert shown[20, 18, 0] < 40 < 200 < shown[20, 1, 0], "what was its top lies to the right"


def test_what_is_transparent_is_white_and_deep_grey_keeps_its_shades() -> None:
    assert pixels.pixels(file_of(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))).data == b"\xff" * 12
    grey = Image.fromarray(np.full((2, 2), 30_000, np.uint16))
    assert set(pixels.pixels(file_of(grey)).data) == {30_000 >> 8}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_kind_that_is_told_of_is_read(form: str) -> None:
    made = picture(1, form=form)
    assert images.pictures([asked("?", made)])[0].data == made
    assert len(pixels.pixels(made).data) == 100 * 70 * 3


def test_a_large_picture_is_scaled_and_a_bomb_is_refused_unread() -> None:
    assert pixels.size(file_of(Image.new("L", (8192, 1000)))) == (4096, 500)
    assert pixels.pixels(file_of(Image.new("RGB", (8192, 1000)), "JPEG"))[:2] == (4096, 500)
    with pytest.raises(BadRequest, match="67 million"):
        pixels.size(file_of(Image.new("1", (9000, 9000))))


def test_positions_behind_pictures_are_fewer_than_tokens_also_in_copies_and_states() -> None:
    places = Places()
    places.passed(0, 20, 8)
    places.passed(0, 40, 5)
    assert [places.position(0, index) for index in (5, 12, 20, 30, 40, 50)] == [5, 12, 12, 22, 27, 37]
    places.copy(0, 1, 30)
    assert places.position(1, 45) == 37
    packed = places.pack(0, b"state")
    assert places.unpack(2, packed) == b"state"
    assert places.position(2, 50) == 37
    places.cut(0, 25)
    places.forget(1)
    assert (places.position(0, 50), places.position(1, 50)) == (42, 50)
    assert places.pack(1, b"state") == b"state"
