"""The real Tesseract over pictures that the tests draw."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import psutil
import pytest
from ocr_program import tesseract
from pdf_papers import Paper, pdf
from PIL import Image, ImageDraw, ImageFont

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits
from ingest.readers.ocr import Tesseract
from ingest.readers.pdf import PdfReader
from ingest.readers.pictures import PictureReader

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "files"
KOREAN = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
RULES = "제1조 모든 정규 직원은 매년 18일의 유급 휴가를 받는다."
LETTER = "Every employee gets eighteen days of leave.\nAsk the office in Seoul for the form."


@pytest.fixture(scope="module")
def program() -> Tesseract:
    return tesseract()


def written(text: str, kind: str = "PNG", size: tuple[int, int] = (1240, 600), **options: object) -> bytes:
    picture = Image.new("RGB", size, "white")
    font = ImageFont.truetype(KOREAN, 34, index=1) if KOREAN.exists() else ImageFont.load_default(34)
    ImageDraw.Draw(picture).multiline_text((80, 80), text, font=font, fill="black", spacing=24)
    return saved(picture, kind, **options)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def text(found: list[Document | Failed]) -> str:
    (document,) = found
    assert isinstance(document, Document)
    return " ".join(block.text for block in document.blocks)


def read(name: str, data: bytes, limits: Limits | None = None) -> list[Document | Failed]:
    reader = PdfReader() if name.endswith(".pdf") else PictureReader()
    return list(reader.read(FileContent(f"/data/{name}", data, limits=limits or Limits())))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_a_picture_of_each_kind_gives_its_text(program, kind):
    assert "eighteen days of leave" in text(read(f"a.{kind.lower()}", written(LETTER, kind)))


@pytest.mark.skipif(not KOREAN.exists(), reason="needs the font Noto Sans CJK to draw Korean")
def test_a_korean_page_is_read_with_its_spaces(program):
    assert RULES in text(read("a.png", written(RULES)))


def test_a_photo_that_lies_on_its_side_is_turned_as_its_camera_says(program):
    upright = Image.open(io.BytesIO(written(LETTER)))
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    assert "eighteen days" in text(read("a.jpg", saved(turned, "JPEG", exif=exif)))


def test_letters_on_a_clear_ground_are_read(program):
    picture = Image.open(io.BytesIO(written(LETTER))).convert("L")
    clear = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    clear.putalpha(picture.point(lambda value: 255 - value))
    assert "eighteen days" in text(read("a.png", saved(clear, "PNG")))


def test_each_page_of_a_tiff_is_a_page_of_the_document(program):
    pages = [Image.open(io.BytesIO(written(said))) for said in (LETTER, "The second page speaks of heated floors and warm walls.")]
    (document,) = read("a.tiff", saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert isinstance(document, Document)
    assert [page for page in (1, 2) if any(block.page == page for block in document.blocks)] == [1, 2]
    assert "heated floors" in document.blocks[-1].text


def test_a_picture_without_writing_is_an_error(program):
    with pytest.raises(ItemError, match="has no text"):
        read("a.png", saved(Image.radial_gradient("L"), "PNG"))


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(program):
    with pytest.raises(ItemError, match="million"):
        read("a.png", saved(Image.new("1", (20000, 20000)), "PNG"))


def test_a_damaged_picture_and_one_that_is_none_say_what_to_do(program):
    with pytest.raises(ItemError, match="save it again"):
        read("a.png", written(LETTER)[:2000])
    with pytest.raises(ItemError, match="not a picture"):
        read("a.png", b"a text file that was renamed")


def test_pages_of_a_pdf_that_are_pictures_are_read_and_the_others_keep_their_text(program):
    scan = written(LETTER, size=(1200, 1600))
    (document,) = read("a.pdf", pdf([Paper().write(50, 100, "A page with letters of its own."), Paper(picture=scan)]))
    assert isinstance(document, Document)
    assert document.blocks[0].text == "A page with letters of its own."
    assert any(block.page == 2 and "eighteen days" in block.text for block in document.blocks)


def test_pages_for_which_there_was_no_time_are_named(program):
    data = pdf([Paper().write(50, 100, "A page with letters of its own."), Paper(picture=written(LETTER))])
    failed, document = read("a.pdf", data, Limits(seconds=1e-9))
    assert isinstance(failed, Failed)
    assert "ingest.read_seconds" in failed.reason
    assert isinstance(document, Document)


def test_a_recognition_that_hangs_is_ended_with_what_it_started(tmp_path):
    script = tmp_path / ("hangs.cmd" if sys.platform == "win32" else "hangs")
    script.write_text(f'#!/bin/sh\n"{sys.executable}" -c "import time; time.sleep(600)"\n')
    script.chmod(0o755)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(ItemError, match="longer than"):
        Tesseract(str(script), seconds=0.5).words(b"P5 1 1 255\n0")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


@pytest.mark.skipif(not FILES.is_dir(), reason="needs the sample documents in ../shared/data/files")
def test_a_photo_of_a_road_sign_gives_its_words_and_a_scan_its_sentence(program):
    sign = text(read("sign.png", (FILES / "ko_sign.png").read_bytes()))
    assert {"서울", "평양", "Seoul", "Pyeongyang", "56Km", "205Km"} <= set(sign.split())
    scan = text(read("scan.pdf", (FILES / "en_scanned_ocr_test.pdf").read_bytes()))
    assert scan == "Docling bundles PDF document conversion to JSON and Markdown in an easy self contained package"
