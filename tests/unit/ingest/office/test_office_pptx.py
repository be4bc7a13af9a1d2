from __future__ import annotations

import pytest
from office_files import A, pptx, shape
from office_reading import one, said

from app.core.errors import ItemError
from ingest.readers.contract import FileContent, Limits
from ingest.readers.office.pptx import PptxReader

READER = PptxReader()


def frame(inside: str) -> str:
    data = f"<a:graphic><a:graphicData>{inside}</a:graphicData></a:graphic>"
    return f"<p:graphicFrame><p:nvGraphicFramePr><p:nvPr/></p:nvGraphicFramePr>{data}</p:graphicFrame>"


def row(*cells: str) -> str:
    return f"<a:tr>{''.join(cells)}</a:tr>"


def cell(text: str, spans: str = "") -> str:
    return f"<a:tc {spans}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"


def test_each_slide_is_a_page_under_its_title_wherever_the_title_stands():
    slides = [shape("회사 소개", "ctrTitle") + shape("영업본부", "subTitle"), shape("서울 10억", None) + shape("매출", "title")]
    found = one(READER, "a.pptx", pptx(slides))
    assert found.title == "회사 소개"
    assert [(block.page, block.heading_path, block.text) for block in found.blocks] == [(1, (), "영업본부"), (2, ("매출",), "서울 10억")]


def test_a_slide_without_a_title_does_not_stand_under_the_one_before():
    found = one(READER, "a.pptx", pptx([shape("가", "title") + shape("하나"), shape("둘")], title="발표"))
    assert [(block.heading_path, block.text) for block in found.blocks] == [(("가",), "하나"), (("Slide 2",), "둘")]
    assert one(READER, "이름.pptx", pptx([shape("하나"), shape("진짜 제목", "title")])).title == "진짜 제목"


def test_a_slide_of_a_title_alone_is_found_by_its_words_and_its_page():
    found = one(READER, "a.pptx", pptx([shape("첫째", "title"), shape("질문과 답변", "title")]))
    assert [(block.page, block.text) for block in found.blocks] == [(2, "질문과 답변")]


def test_content_of_several_lines_is_a_list_and_running_lines_are_left_out():
    found = one(READER, "a.pptx", pptx([shape("하나\n둘", "") + shape("3", "sldNum") + shape("대외비", "ftr") + shape("2024", "dt")]))
    assert [(block.kind, block.text) for block in found.blocks] == [("list", "하나\n둘")]


def test_notes_are_labelled_and_keep_the_slides_page():
    notes = {1: shape("여기서 쉬고\n질문을 받는다", "body") + shape("1", "sldNum")}
    found = one(READER, "a.pptx", pptx([shape("제목 줄", "title")], notes=notes))
    assert [(block.page, block.text) for block in found.blocks] == [(1, "Notes: 여기서 쉬고\n질문을 받는다")]


def test_comments_are_labelled_in_their_older_and_their_newer_form():
    older = f"<p:cmLst {A}><p:cm><p:text>확인 바람</p:text></p:cm></p:cmLst>"
    newer = f"<p:cmLst {A}><p:cm><p:txBody><a:p><a:r><a:t>좋습니다</a:t></a:r></a:p></p:txBody></p:cm></p:cmLst>"
    found = one(READER, "a.pptx", pptx([shape("가", "title"), shape("나", "title")], comments={1: older, 2: newer}))
    assert [(block.page, block.text) for block in found.blocks] == [(1, "Comment: 확인 바람"), (2, "Comment: 좋습니다")]


def test_groups_are_opened_and_the_fallback_of_a_newer_shape_is_not_said_twice():
    group = f"<p:grpSp><p:grpSp>{shape('속')}</p:grpSp></p:grpSp>"
    branches = f"<mc:Choice>{shape('새')}</mc:Choice><mc:Fallback>{shape('새')}</mc:Fallback>"
    both = f'<mc:AlternateContent xmlns:mc="m">{branches}</mc:AlternateContent>'
    assert said(READER, "a.pptx", pptx([group + both])) == ["속", "새"]


def test_a_table_names_its_values_by_the_first_row_and_repeats_merged_cells():
    table = row(cell("지역"), cell("담당")) + row(cell("서울", 'rowSpan="2"'), cell("김")) + row(cell("", 'vMerge="1"'), cell("이"))
    slide = frame(f'<a:tbl><a:tblPr firstRow="1"/>{table}</a:tbl>')
    assert said(READER, "a.pptx", pptx([slide])) == ["지역: 서울 | 담당: 김", "지역: 서울 | 담당: 이"]


def test_a_chart_says_its_title_and_its_numbers_by_category():
    values = "".join(
        f"<c:{part}><c:pt><c:v>{value}</c:v></c:pt></c:{part}>" for part, value in (("tx", "매출"), ("cat", "1월"), ("val", "12"))
    )
    title = "<c:title><c:tx><c:rich><a:p><a:r><a:t>월별 매출</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    chart = f'<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart>{title}<c:ser>{values}</c:ser></c:chart></c:chartSpace>'
    slide = frame('<c:chart xmlns:c="c" r:id="rId2"/>')
    assert said(READER, "a.pptx", pptx([slide], charts={1: chart})) == ["월별 매출\n매출: 1월 12"]


def test_more_slides_than_a_file_may_have_pages_are_refused():
    data = pptx([shape(f"글 {at}") for at in range(5)])
    with pytest.raises(ItemError, match="5 slides, more than 2"):
        list(READER.read(FileContent("/data/a.pptx", data, limits=Limits(pages=2))))
