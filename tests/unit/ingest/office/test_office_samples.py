"""Files of other people's programs, beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.documents import Document
from ingest.readers.contract import FileContent
from ingest.readers.registry import Readers

FILES = Path(__file__).resolve().parents[5] / "shared" / "data" / "files"
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="needs the sample documents in ../shared/data/files")
READERS = Readers()


def sample(name: str) -> Document:
    file = FileContent((FILES / name).as_posix(), (FILES / name).read_bytes())
    (found,) = READERS.reader(file.suffix).read(file)
    assert isinstance(found, Document)
    return found


def test_a_word_document_keeps_its_sections_lists_and_table():
    found = sample("en_word_sample.docx")
    assert found.title == "Swimming in the lake"
    told = {(block.kind, block.heading_path[-1:], block.text) for block in found.blocks}
    assert ("list", ("Let’s swim!",), "1. Wear sunglasses") in told
    assert ("row", ("Let’s eat",), "Berries | Food: Blueberry, Strawberry, Cranberry | Calories per portion: 150") in told


def test_a_presentation_keeps_its_slides_headers_of_two_rows_and_notes():
    found = sample("en_powerpoint_sample.pptx")
    told = {(block.page, block.text) for block in found.blocks}
    assert (1, "R1 | Class1: True | Class1: False | Class2: False | Class2: True | Class2: True") in told
    assert (2, "Notes: Some notes on the second slide.") in told
    assert {block.page for block in found.blocks} == {1, 2, 3}


def test_a_korean_hwpx_gives_its_sections_its_old_letters_and_its_tables():
    found = sample("ko_nopassword.hwpx")
    assert found.title == "ᄒᆞᆫ글 97 안내문"
    told = {(block.heading_path, block.text) for block in found.blocks}
    assert (("ᄒᆞᆫ글 97의 사용 환경",), "하 드 디 스 크 | ▸ 500M (클립아트/센스포토 제외)") in told
    assert sum(len(block.text) for block in found.blocks) > 25_000
    assert not any("\uf53a" in block.text for block in found.blocks)


def test_a_book_keeps_its_chapters():
    found = sample("en_testEPUB.epub")
    assert found.title == "An ePub for Tika"
    assert (("Chapter 1",), "This is the text for chapter One") in {(block.heading_path, block.text) for block in found.blocks}
