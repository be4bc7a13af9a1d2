from __future__ import annotations

import pytest
from office_files import hp, hwpx, zipped
from office_reading import one, said

from app.core.errors import ItemError
from ingest.readers.contract import FileContent
from ingest.readers.office.hwpx import HwpxReader

READER = HwpxReader()
HEADER = """
<hh:paraPr id="0"><hh:heading type="NONE" idRef="0" level="0"/></hh:paraPr>
<hh:paraPr id="1"><hh:heading type="OUTLINE" idRef="0" level="1"/></hh:paraPr>
<hh:paraPr id="2"><hh:heading type="NUMBER" idRef="1" level="0"/></hh:paraPr>
<hh:paraPr id="3"><hh:heading type="BULLET" idRef="1" level="0"/></hh:paraPr>
<hh:style id="0" name="바탕글"/><hh:style id="1" name="큰제목"/><hh:style id="2" name="차례 1"/>
<hh:numbering id="1"><hh:paraHead level="1" start="1" numFormat="HANGUL_SYLLABLE">^1.</hh:paraHead></hh:numbering>
"""


def cell(row: int, column: int, text: str, rows: int = 1, columns: int = 1, extra: str = "") -> str:
    places = f'<hp:cellAddr colAddr="{column}" rowAddr="{row}"/><hp:cellSpan colSpan="{columns}" rowSpan="{rows}"/>'
    return f"<hp:tc {extra}><hp:subList>{hp(text)}</hp:subList>{places}</hp:tc>"


def table(*rows: str) -> str:
    return f"<hp:tbl>{''.join(f'<hp:tr>{row}</hp:tr>' for row in rows)}</hp:tbl>"


def held(kind: str, text: str) -> str:
    return f"<hp:ctrl><hp:{kind}><hp:subList>{hp(text)}</hp:subList></hp:{kind}></hp:ctrl>"


def test_titles_headings_numbers_bullets_and_lines_of_contents_are_told_by_the_header_part():
    section = hp("온돌 안내", style=1) + hp("개요 3", style=2) + hp("개요", 1) + hp("본문") + hp("하나", 2) + hp("둘", 2) + hp("점", 3)
    found = one(READER, "a.hwpx", hwpx(section, HEADER))
    assert found.title == "온돌 안내"
    assert [(block.kind, block.heading_path, block.text) for block in found.blocks] == [
        ("text", ("개요",), "본문"), ("list", ("개요",), "가. 하나"), ("list", ("개요",), "나. 둘"), ("list", ("개요",), "점"),
    ]  # fmt: skip


def test_marks_inside_the_text_are_spaces_and_breaks():
    assert said(READER, "a.hwpx", hwpx(hp("앞<hp:tab/>뒤<hp:fwSpace/>옆<hp:lineBreak/>아래"))) == ["앞 뒤 옆\n아래"]


def test_what_was_deleted_under_tracked_changes_is_not_read():
    assert said(READER, "a.hwpx", hwpx(hp("값은 <hp:deleteBegin/>열<hp:deleteEnd/><hp:insertBegin/>스물<hp:insertEnd/>"))) == ["값은 스물"]


def test_a_deletion_may_go_on_in_the_next_run():
    runs = "<hp:p><hp:run><hp:t>값은 <hp:deleteBegin/>열</hp:t></hp:run><hp:run><hp:t>하나<hp:deleteEnd/>스물</hp:t></hp:run></hp:p>"
    assert said(READER, "a.hwpx", hwpx(runs)) == ["값은 스물"]


def test_merged_cells_and_headers_of_tables_are_kept():
    rows = table(
        cell(0, 0, "지역", extra='header="1"') + cell(0, 1, "담당", extra='header="1"'),
        cell(1, 0, "서울", rows=2) + cell(1, 1, "김"),
        cell(2, 1, "이"),
    )
    assert said(READER, "a.hwpx", hwpx(hp("표", extra=rows))) == ["표", "지역: 서울 | 담당: 김", "지역: 서울 | 담당: 이"]


def test_a_table_in_a_cell_follows_its_row_and_a_frame_of_one_cell_is_plain_text():
    inner = hp("밖", extra=table(cell(0, 0, "안1") + cell(0, 1, "안2")))
    both = f"<hp:tc><hp:subList>{inner}</hp:subList><hp:cellAddr colAddr='1' rowAddr='0'/></hp:tc>"
    section = hp("", extra=table(cell(0, 0, "옆") + both)) + hp("", extra=table(cell(0, 0, "틀")))
    found = one(READER, "a.hwpx", hwpx(section))
    assert [(block.kind, block.text) for block in found.blocks] == [("row", "옆 | 밖"), ("row", "안1 | 안2"), ("text", "틀")]


def test_notes_boxes_equations_and_headers_are_read():
    box = f"<hp:rect><hp:drawText><hp:subList>{hp('글상자')}</hp:subList></hp:drawText></hp:rect>"
    extra = held("footNote", "각주") + held("header", "대외비") + held("header", "대외비") + held("footer", "3") + box
    extra += "<hp:equation><hp:script>a over b</hp:script></hp:equation>"
    assert said(READER, "a.hwpx", hwpx(hp("본문", extra=extra))) == ["본문 a over b", "Footnote: 각주", "대외비", "글상자"]


def test_sections_are_read_by_their_numbers():
    parts = {f"Contents/section{at}.xml": f'<hs:sec xmlns:hs="s" xmlns:hp="p">{hp(str(at) + "번")}</hs:sec>' for at in (10, 2, 0)}
    assert said(READER, "a.hwpx", zipped(parts)) == ["0번", "2번", "10번"]


def test_the_declared_title_comes_first():
    assert one(READER, "a.hwpx", hwpx(hp("온돌", style=1), HEADER, title="사내 규정")).title == "사내 규정"


def test_an_encrypted_document_asks_for_a_copy_without_its_password():
    locks = '<odf:file-entry xmlns:odf="o"><odf:encryption-data/></odf:file-entry>'
    with pytest.raises(ItemError, match=r"protected by a password\. Save a copy without one"):
        list(READER.read(FileContent("/data/a.hwpx", hwpx(hp("글"), manifest=locks))))


def test_another_zip_is_no_hwpx():
    with pytest.raises(ItemError, match="no HWPX file"):
        list(READER.read(FileContent("/data/a.hwpx", zipped({"a.txt": "글"}))))
