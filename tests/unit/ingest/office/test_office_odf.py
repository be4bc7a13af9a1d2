from __future__ import annotations

import pytest
from office_files import odt
from office_reading import one, said

from app.core.errors import ItemError
from ingest.readers.contract import FileContent, Limits
from ingest.readers.office.odf import OdfReader

READER = OdfReader()


def cell(text: str, extra: str = "") -> str:
    return f"<table:table-cell {extra}><text:p>{text}</text:p></table:table-cell>"


def test_headings_lists_and_paragraphs_keep_their_places():
    body = (
        '<text:h text:outline-level="1">개요</text:h><text:p>본문<text:s text:c="3"/>글<text:line-break/>다음 줄</text:p>'
        "<text:list><text:list-item><text:p>항목</text:p></text:list-item></text:list>"
    )
    found = one(READER, "안내.odt", odt(body))
    assert [(block.kind, block.heading_path, block.text) for block in found.blocks] == [
        ("text", ("개요",), "본문 글\n다음 줄"), ("list", ("개요",), "항목"),
    ]  # fmt: skip


def test_the_title_comes_from_the_properties_else_from_the_titles_style():
    automatic = '<style:style style:name="P1" style:parent-style-name="Title"/>'
    body = '<text:p text:style-name="P1">온돌 안내</text:p><text:p>본문</text:p>'
    assert one(READER, "a.odt", odt(body, title="규정집", automatic=automatic)).title == "규정집"
    assert one(READER, "a.odt", odt(body, automatic=automatic)).title == "온돌 안내"
    assert one(READER, "a.odt", odt("<text:p>본문</text:p>")).title == "a"


def test_notes_and_comments_follow_with_their_kind_and_deleted_text_is_not_read():
    body = "<text:note-body><text:p>출처</text:p></text:note-body>"
    note = f'<text:note text:note-class="endnote"><text:note-citation>1</text:note-citation>{body}</text:note>'
    comment = "<office:annotation><dc:creator>김온돌</dc:creator><text:p>확인</text:p></office:annotation>"
    deletion = "<text:changed-region><text:deletion><text:p>지운 글</text:p></text:deletion></text:changed-region>"
    gone = f"<text:tracked-changes>{deletion}</text:tracked-changes>"
    found = said(READER, "a.odt", odt(f"{gone}<text:p>앞{note}뒤{comment}</text:p>"))
    assert found == ["앞뒤", "Endnote: 출처", "Comment (김온돌): 확인"]


def test_a_table_with_header_rows_names_its_values_and_repeated_cells_count():
    head = f"<table:table-header-rows><table:table-row>{cell('이름')}{cell('가')}{cell('나')}</table:table-row></table:table-header-rows>"
    repeated = cell("예", 'table:number-columns-repeated="2"')
    row = f"<table:table-row>{cell('김')}{repeated}</table:table-row>"
    assert said(READER, "a.odt", odt(f"<table:table>{head}{row}</table:table>")) == ["이름: 김 | 가: 예 | 나: 예"]


def test_empty_cells_repeated_to_the_edge_of_the_world_cost_nothing():
    row = f'<table:table-row>{cell("하나")}{cell("둘")}<table:table-cell table:number-columns-repeated="99999999"/></table:table-row>'
    assert said(READER, "a.odt", odt(f"<table:table>{row}</table:table>")) == ["하나 | 둘"]


def test_a_table_of_contents_is_left_out_and_a_text_box_is_read():
    body = "<text:table-of-content><text:index-body><text:p>개요 1</text:p></text:index-body></text:table-of-content>"
    body += "<text:p>글<draw:frame><draw:text-box><text:p>상자</text:p></draw:text-box></draw:frame></text:p>"
    assert said(READER, "a.odt", odt(body)) == ["글", "상자"]


def test_a_header_of_the_pages_is_said_once():
    styles = "".join(
        f"<style:master-page><style:header><text:p>{text}</text:p></style:header></style:master-page>" for text in ("대외비", "대외비", "3")
    )
    assert said(READER, "a.odt", odt("<text:p>본문</text:p>", styles=styles)) == ["대외비", "본문"]


def test_slides_have_pages_titles_and_notes():
    def box(text: str, kind: str) -> str:
        return f'<draw:frame presentation:class="{kind}"><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>'

    notes = f"<presentation:notes>{box('천천히', 'notes')}</presentation:notes>"
    pages = [
        f"<draw:page>{box('첫째', 'title')}{box('하나', 'outline')}</draw:page>",
        f"<draw:page>{box('둘째', 'title')}{box('둘', 'outline')}{notes}</draw:page>",
    ]
    found = one(READER, "a.odp", odt("".join(pages), kind="presentation"))
    assert found.title == "첫째"
    assert [(block.page, block.heading_path, block.text) for block in found.blocks] == [
        (1, (), "하나"), (2, ("둘째",), "둘"), (2, ("둘째",), "Notes: 천천히"),
    ]  # fmt: skip


def test_a_box_inside_a_box_of_a_slide_is_said_once():
    inner = "<draw:frame><draw:text-box><text:p>속</text:p></draw:text-box></draw:frame>"
    page = f"<draw:page><draw:g><draw:frame><draw:text-box><text:p>겉{inner}</text:p></draw:text-box></draw:frame></draw:g></draw:page>"
    assert said(READER, "a.odp", odt(page, kind="presentation")) == ["겉", "속"]


def test_more_slides_than_a_file_may_have_pages_are_refused():
    data = odt("<draw:page/>" * 3, kind="presentation")
    with pytest.raises(ItemError, match="3 slides, more than 2"):
        list(READER.read(FileContent("/data/a.odp", data, limits=Limits(pages=2))))


def test_an_encrypted_document_asks_for_a_copy_without_its_password():
    data = odt("<text:p>글</text:p>", manifest="<m:file-entry><m:encryption-data/></m:file-entry>")
    with pytest.raises(ItemError, match="protected by a password"):
        list(READER.read(FileContent("/data/a.odt", data)))
