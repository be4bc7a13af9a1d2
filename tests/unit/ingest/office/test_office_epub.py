from __future__ import annotations

import pytest
from office_files import epub, zipped
from office_reading import one, said

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.office.epub import EpubReader

READER = EpubReader()


def test_chapters_come_in_the_order_of_the_spine_under_their_headings():
    found = one(
        READER,
        "책.epub",
        epub({"z.xhtml": "<h1>첫 장</h1><p>하나</p>", "a.xhtml": "<h1>둘째 장</h1><p>둘</p>"}, title="온돌 이야기", author="김온돌"),
    )
    assert found.title == "온돌 이야기"
    assert found.attributes == {"author": "김온돌"}
    assert [(block.heading_path, block.text) for block in found.blocks] == [(("첫 장",), "하나"), (("둘째 장",), "둘")]


def test_a_chapter_without_a_heading_stands_under_its_name_in_the_table_of_contents():
    found = one(READER, "a.epub", epub({"c 1.xhtml": "<p>본문</p>"}, title="책 이름", contents={"c%201.xhtml": "머리말"}))
    assert [(block.heading_path, block.text) for block in found.blocks] == [(("머리말",), "본문")]


def test_a_title_element_that_closes_at_once_does_not_swallow_the_page():
    assert said(READER, "a.epub", epub({"c.xhtml": "<script src='x'/><p>글</p>"})) == ["글"]


def test_asides_count_and_a_list_of_contents_does_not():
    assert said(READER, "a.epub", epub({"c.xhtml": "<p>글</p><aside><p>각주</p></aside>"}, contents={"c.xhtml": "이름표"})) == [
        "글",
        "각주",
    ]


def test_chapters_that_the_seller_encrypted_are_refused_and_hidden_fonts_are_no_reason():
    def locks(path: str) -> dict[str, str]:
        return {"META-INF/encryption.xml": f'<encryption><CipherReference URI="{path}"/></encryption>'}

    assert said(READER, "a.epub", epub({"c.xhtml": "<p>글</p>"}, **locks("OPS/font.otf"))) == ["글"]
    with pytest.raises(ItemError, match="DRM"):
        list(READER.read(FileContent("/data/a.epub", epub({"c.xhtml": "<p>글</p>"}, **locks("OPS/c.xhtml")))))


def test_a_chapter_that_cant_be_read_fails_by_its_name_and_the_others_are_read():
    data = epub({"a.xhtml": "<p>하나</p>", "b.xhtml": "<p>둘</p>"}, **{"OPS/b.xhtml": b"\xff\xfe\x00"})
    failed, found = READER.read(FileContent("/data/a.epub", data))
    assert isinstance(failed, Failed)
    assert failed.item == "/data/a.epub#OPS/b.xhtml"
    assert isinstance(found, Document)
    assert [block.text for block in found.blocks] == ["하나"]


def test_another_zip_is_no_epub():
    with pytest.raises(ItemError, match="no EPUB file"):
        list(READER.read(FileContent("/data/a.epub", zipped({"a.txt": "글"}))))
