from __future__ import annotations

from office_files import docx, p
from office_reading import one, said

from ingest.readers.office.docx import DocxReader

READER = DocxReader()
STYLES = """
<w:style w:type="paragraph" w:default="1" w:styleId="a"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="T"><w:name w:val="Title"/></w:style>
<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="2"><w:name w:val="제 2 수준"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="2b"><w:name w:val="Own"/><w:basedOn w:val="2"/></w:style>
<w:style w:type="paragraph" w:styleId="C1"><w:name w:val="toc 1"/></w:style>
<w:style w:type="table" w:styleId="Fancy"><w:name w:val="Grid Accent"/></w:style>
"""
NUMBERING = """
<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="제%1조"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="ganada"/><w:lvlText w:val="%2."/></w:lvl></w:abstractNum>
<w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num>
"""


def item(text: str, level: int) -> str:
    return p(text, extra=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="3"/></w:numPr>')


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{p(text)}</w:tc>"


def row(*cells: str, properties: str = "") -> str:
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(cells)}</w:tr>"


def test_headings_become_the_path_by_their_styles_names_levels_and_parents():
    body = p("개요", "1") + p("바닥을 데운다.") + p("연료", "2") + p("장작이다.") + p("구조", "2b") + p("구들이다.")
    found = one(READER, "온돌.docx", docx(body, styles=STYLES))
    assert [(block.heading_path, block.text) for block in found.blocks] == [
        (("개요",), "바닥을 데운다."), (("개요", "연료"), "장작이다."), (("개요", "구조"), "구들이다."),
    ]  # fmt: skip


def test_the_title_is_the_properties_else_the_titles_paragraph_else_the_files_name():
    body = p("온돌 안내", "T") + p("본문")
    assert one(READER, "a.docx", docx(body, title="사내 규정", styles=STYLES)).title == "사내 규정"
    assert one(READER, "a.docx", docx(body, title="Microsoft Word - 문서1", styles=STYLES)).title == "온돌 안내"
    assert one(READER, "a.docx", docx(p("본문"), title="문서 1")).title == "a"


def test_numbers_that_word_counts_are_said_with_their_items():
    body = item("(목적)", 0) + item("하나", 1) + item("둘", 1) + item("(정의)", 0)
    found = one(READER, "a.docx", docx(body, numbering=NUMBERING))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("list", "제1조 (목적)"), ("list", "가. 하나"), ("list", "나. 둘"), ("list", "제2조 (정의)"),
    ]  # fmt: skip


def test_what_was_inserted_under_tracked_changes_counts_and_what_was_deleted_does_not():
    body = (
        "<w:p><w:r><w:t>값은 </w:t></w:r><w:del><w:r><w:delText>열</w:delText></w:r></w:del><w:ins><w:r><w:t>스물</w:t></w:r></w:ins></w:p>"
    )
    assert said(READER, "a.docx", docx(body)) == ["값은 스물"]


def test_a_row_that_was_deleted_is_not_read():
    table = f"<w:tbl>{row(cell('가'), cell('나'))}{row(cell('다'), cell('라'), properties='<w:del/>')}</w:tbl>"
    assert said(READER, "a.docx", docx(table)) == ["가 | 나"]


def test_notes_and_comments_follow_their_paragraph_with_their_kind():
    body = '<w:p><w:r><w:t>본문</w:t><w:footnoteReference w:id="2"/><w:commentReference w:id="5"/></w:r></w:p>'
    notes = f'<w:footnote w:id="0" w:type="separator">{p("---")}</w:footnote><w:footnote w:id="2">{p("출처")}</w:footnote>'
    comments = f'<w:comment w:id="5" w:author="김온돌">{p("확인 바람")}</w:comment>'
    assert said(READER, "a.docx", docx(body, footnotes=notes, comments=comments)) == [
        "본문",
        "Footnote: 출처",
        "Comment (김온돌): 확인 바람",
    ]


def test_a_text_box_is_read_once_though_the_file_has_it_twice():
    box = f"<w:txbxContent>{p('상자 안')}</w:txbxContent>"
    twice = f'<mc:AlternateContent xmlns:mc="m"><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>'
    assert said(READER, "a.docx", docx(f"<w:p><w:r><w:t>밖</w:t>{twice}</w:r></w:p>")) == ["밖", "상자 안"]


def test_a_header_is_said_once_and_a_page_number_not_at_all():
    found = said(READER, "a.docx", docx(p("본문"), header=p("대외비"), footer=p("12")))
    assert found == ["대외비", "본문"]


def test_merged_cells_are_said_in_each_row_and_the_marked_header_names_them():
    table = (
        row(cell("지역"), cell("담당"), properties="<w:tblHeader/>")
        + row(cell("서울", '<w:vMerge w:val="restart"/>'), cell("김"))
        + row(cell("", "<w:vMerge/>"), cell("이"))
        + row(cell("전국", '<w:gridSpan w:val="2"/>'))
    )
    assert said(READER, "a.docx", docx(f"<w:tbl>{table}</w:tbl>")) == ["지역: 서울 | 담당: 김", "지역: 서울 | 담당: 이", "전국"]


def test_a_table_style_with_a_dressed_first_row_names_the_columns():
    look = '<w:tblPr><w:tblStyle w:val="Fancy"/><w:tblLook w:val="04A0"/></w:tblPr>'
    table = f"<w:tbl>{look}{row(cell('이름'), cell('부서'))}{row(cell('김'), cell('총무'))}</w:tbl>"
    assert said(READER, "a.docx", docx(table, styles=STYLES)) == ["이름: 김 | 부서: 총무"]


def test_a_table_inside_a_cell_follows_its_row_and_a_frame_of_one_cell_is_plain_text():
    inner = f"<w:tbl>{row(cell('안1'), cell('안2'))}</w:tbl>"
    outer = f"<w:tc>{p('밖2')}{inner}</w:tc>"
    table = f"<w:tbl>{row(cell('밖1'), outer)}</w:tbl>"
    frame = f"<w:tbl>{row(cell('틀 안의 글'))}</w:tbl>"
    found = one(READER, "a.docx", docx(table + frame))
    assert [(block.kind, block.text) for block in found.blocks] == [("row", "밖1 | 밖2"), ("row", "안1 | 안2"), ("text", "틀 안의 글")]


def test_lines_of_the_table_of_contents_are_left_out():
    assert said(READER, "a.docx", docx(p("개요 3", "C1") + p("본문"), styles=STYLES)) == ["본문"]


def test_a_formula_keeps_its_fractions_powers_and_sums():
    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    power = f"<m:sSup><m:e>{run('r')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    fraction = f"<m:f><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>"
    total = (
        f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{run("i=1")}</m:sub><m:sup>{run("n")}</m:sup><m:e>{run("x")}</m:e></m:nary>'
    )
    body = f'<w:p><m:oMath xmlns:m="m">{power}{run(" + ")}{fraction}{run(" + ")}{total}</m:oMath></w:p>'
    assert said(READER, "a.docx", docx(body)) == ["r^2 + (a+b)/2 + ∑_(i=1)^nx"]


def test_a_long_paragraph_in_a_headings_style_stays_a_paragraph():
    found = one(READER, "a.docx", docx(p("글" * 200, "1") + p("본문"), styles=STYLES))
    assert [block.heading_path for block in found.blocks] == [(), ()]


def test_decomposed_hangul_is_composed_and_old_letters_stay_jamo():
    assert said(READER, "a.docx", docx(p("한국") + p("ᄒᆞᆫ글"))) == ["한국", "ᄒᆞᆫ글"]
