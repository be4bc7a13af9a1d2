from __future__ import annotations

from pathlib import Path

import pytest
from pdf_papers import Paper, pdf

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits
from ingest.readers.ocr import Tesseract
from ingest.readers.pdf import PdfReader

FILES = Path(__file__).resolve().parents[4] / "shared" / "data" / "files"


def no_program() -> Tesseract:
    raise ItemError("needs OCR, and Tesseract is not installed.", hint="Install it.")


def read(data: bytes, limits: Limits | None = None) -> list[Document | Failed]:
    return list(PdfReader(no_program).read(FileContent("/data/a.pdf", data, limits=limits or Limits())))


def one(*papers: Paper, title: str = "") -> Document:
    (found,) = read(pdf(papers, title))
    assert isinstance(found, Document)
    return found


def body(x: float = 50, y: float = 100, lines: int = 6) -> Paper:
    return Paper().lines(x, y, [f"Line {at} of a text that is long enough to be taken for prose" for at in range(lines)])


def test_text_knows_its_page_and_its_lines_are_joined_to_paragraphs():
    first = ["The floor is heated from below and it", "stays warm all night.", "A second paragraph begins here and it", "goes on."]
    found = one(Paper().lines(50, 100, first), Paper().write(50, 100, "Page two."))
    assert [(block.text, block.page) for block in found.blocks] == [
        ("The floor is heated from below and it stays warm all night.", 1),
        ("A second paragraph begins here and it goes on.", 1),
        ("Page two.", 2),
    ]


def test_larger_letters_are_headings_and_the_first_of_them_is_the_title():
    paper = body(y=160).write(50, 80, "Handbook", 24).write(50, 130, "Leave", 18).write(50, 300, "Pay", 18)
    found = one(paper.lines(50, 330, ["Wages come on the last working day of each month to your account."]))
    assert found.title == "Handbook"
    assert [block.heading_path for block in found.blocks] == [("Leave",), ("Pay",)]


def test_bold_lines_of_the_texts_own_size_are_headings():
    found = one(
        body(y=130)
        .write(50, 100, "Leave", font="Helvetica-Bold")
        .write(50, 300, "Pay", font="Helvetica-Bold")
        .lines(50, 330, ["Wages come."])
    )
    assert [(block.heading_path, block.text[:5]) for block in found.blocks] == [((), "Line "), (("Pay",), "Wages")]
    assert found.title == "Leave"


def test_the_properties_title_is_taken_unless_a_program_made_it_up():
    assert one(body(), title="휴가 규정").title == "휴가 규정"
    assert one(body(), title="Microsoft Word - 휴가 규정").title == "휴가 규정"
    assert one(body(), title="문서1.hwp").title == "a"


def test_a_damaged_title_costs_no_text():
    found = one(body(), title="\ud800 title")
    assert (found.title, len(found.blocks)) == ("a", 1)


def test_columns_are_read_one_after_the_other_and_what_spans_them_in_its_place():
    paper = Paper().write(50, 60, "A title that goes over the whole width of the paper and both of its columns", 12)
    paper.lines(50, 100, [f"left {at} of a column of text" for at in range(8)])
    paper.lines(320, 100, [f"right {at} of a column of text" for at in range(8)])
    text = " ".join(block.text for block in one(paper).blocks)
    order = [text.index(word) for word in ("A title", "left 0", "left 7", "right 0", "right 7")]
    assert order == sorted(order)


def test_short_labels_beside_their_values_are_read_line_by_line():
    paper = Paper()
    for at in range(6):
        paper.write(50, 100 + 16 * at, f"Name {at}").write(200, 100 + 16 * at, f"a value that is written beside it {at}")
    text = " ".join(block.text for block in one(paper).blocks)
    assert text.startswith("Name 0 a value that is written beside it 0 Name 1")


def test_headers_footers_and_page_numbers_are_dropped():
    papers = [body().write(50, 30, "Confidential handbook").write(300, 780, f"- {number} -") for number in range(1, 5)]
    text = " ".join(block.text for block in one(*papers).blocks)
    assert "Confidential" not in text
    assert "- 3 -" not in text
    assert text.count("Line 5") == 4


def test_a_line_that_only_two_pages_share_stays():
    text = " ".join(block.text for block in one(*[body().write(50, 30, "Annual report") for _ in range(2)]).blocks)
    assert text.count("Annual report") == 2


def table(rows: list[tuple[str, ...]], y: float = 100) -> Paper:
    paper = Paper().grid([50, 150, 250, 350], [y + 30 * at for at in range(len(rows) + 1)])
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            paper.write(55 + 100 * column, y + 20 + 30 * at, cell, 10)
    return paper


def test_a_drawn_table_gives_rows_that_name_their_columns():
    found = one(
        table([("item", "price", "note"), ("heated mat", "39,000", ""), ("panel", "12,000", "two for one")]).write(
            50, 60, "Our prices:", 10
        )
    )
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("text", "Our prices:"),
        ("row", "item: heated mat | price: 39,000"),
        ("row", "item: panel | price: 12,000 | note: two for one"),
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("name", "Kim"), ("team", "heating"), ("", "since spring")], ["name: Kim", "team: heating", "since spring"]),
        ([("item", "price"), ("mat", "39,000")], ["item: mat | price: 39,000"]),
    ],
)
def test_two_columns_are_a_form_unless_the_second_holds_numbers(rows, said):
    paper = Paper().grid([50, 150, 350], [100 + 30 * at for at in range(len(rows) + 1)])
    for at, (label, value) in enumerate(rows):
        for x, cell in ((55, label), (155, value)):
            if cell:
                paper.write(x, 120 + 30 * at, cell, 10)
    assert [block.text for block in one(paper).blocks] == said


def test_a_cell_over_two_rows_is_said_in_both_and_one_over_two_columns_once():
    paper = Paper().rule(50, 100, 350, 100).rule(50, 130, 350, 130).rule(150, 160, 350, 160).rule(50, 190, 350, 190).rule(50, 220, 350, 220)
    paper.rule(50, 100, 50, 220).rule(150, 100, 150, 220).rule(250, 100, 250, 190).rule(350, 100, 350, 220)
    cells = "55 120 floor, 155 120 room, 255 120 degrees, 55 160 first, 155 150 hall, 255 150 21, 155 180 kitchen, 255 180 19"
    for place in [*cells.split(", "), "55 210 second", "155 210 not in use this winter"]:
        x, y, cell = place.split(" ", 2)
        paper.write(int(x), int(y), cell, 10)
    assert [block.text for block in one(paper).blocks] == [
        "floor: first | room: hall | degrees: 21",
        "floor: first | room: kitchen | degrees: 19",
        "floor: second | room: not in use this winter",
    ]


def test_a_table_that_goes_on_over_the_page_keeps_its_header():
    found = one(table([("item", "price", "note"), ("mat", "39", "a")], y=700), table([("panel", "12", "b")] * 2, y=40))
    assert [block.text for block in found.blocks] == ["item: mat | price: 39 | note: a", *["item: panel | price: 12 | note: b"] * 2]
    assert [block.page for block in found.blocks] == [1, 2, 2]


def test_a_table_without_lines_is_told_by_its_columns():
    paper = Paper().write(50, 60, "Prices of this winter, in thousands of won")
    for at, row in enumerate([("item", "price", "stock"), ("mat", "39", "7"), ("panel", "12", "110")]):
        for column, cell in enumerate(row):
            paper.write(50 + 120 * column, 100 + 16 * at, cell)
    assert [block.text for block in one(paper).blocks][1:] == ["item: mat | price: 39 | stock: 7", "item: panel | price: 12 | stock: 110"]


def test_a_frame_around_a_text_is_no_table():
    found = one(body().grid([40, 560], [80, 220]))
    assert {block.kind for block in found.blocks} == {"text"}
    assert " ".join(block.text for block in found.blocks).count("Line") == 6


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_turned_page_is_read_as_it_is_seen(turned):
    def paper() -> Paper:
        return body(lines=8).write(50, 60, "Prices").write(50, 300, "Wages come on the last working day.")

    lying = paper()
    lying.turned = turned
    assert [block.text for block in one(lying).blocks] == [block.text for block in one(paper()).blocks]


def test_list_items_are_blocks_of_their_own():
    found = one(Paper().lines(50, 100, ["We offer:", "- heated floors", "- warm walls and everything that belongs", "to them", "- tea"]))
    assert [block.text for block in found.blocks if block.kind == "list"] == [
        "- heated floors",
        "- warm walls and everything that belongs to them",
        "- tea",
    ]


def test_a_pdf_of_pictures_without_tesseract_says_that_it_needs_ocr():
    with pytest.raises(ItemError, match="needs OCR"):
        read(pdf([Paper(picture=b"black")]))


def test_a_picture_among_the_pages_is_named_where_there_is_no_ocr():
    failed, found = read(pdf([body(), Paper(picture=b"black")]))
    assert isinstance(failed, Failed)
    assert failed.item.endswith("#page 2")
    assert "Page 2: needs OCR" in failed.reason
    assert isinstance(found, Document)


def test_pages_that_cannot_be_read_for_one_reason_are_told_together():
    scan = Paper(picture=b"black")
    found = read(pdf([scan, scan, body(), scan, scan, scan]))
    assert [item.item.rpartition("#")[2] for item in found if isinstance(item, Failed)] == ["pages 1-2", "pages 4-6"]


def test_an_empty_page_needs_nothing():
    assert isinstance(read(pdf([body(), Paper()]))[0], Document)


def test_more_pages_than_the_limit_are_refused():
    with pytest.raises(ItemError, match="max_pages"):
        read(pdf([Paper()] * 3), Limits(pages=2))


def test_a_broken_pdf_is_an_error_that_says_what_to_do():
    with pytest.raises(ItemError, match="save it again"):
        read(b"%PDF-1.7\nnothing of the kind")


@pytest.mark.skipif(not FILES.is_dir(), reason="needs the sample documents in ../shared/data/files")
def test_the_table_of_a_real_korean_paper_is_read_row_by_row():
    (found,) = PdfReader(no_program).read(FileContent("/data/kbo.pdf", (FILES / "ko_table_kbo.pdf").read_bytes()))
    assert isinstance(found, Document)
    assert found.title == "2024년 KBO 리그 규정 변경 요약사항"
    assert len(found.blocks) == 5
    assert all(block.kind == "row" and block.text.startswith("구분: ") and " | 변경 후: " in block.text for block in found.blocks)
    assert (
        found.blocks[1].text
        == "구분: KBO 피치클락 규정 | 변경 전: - | 변경 후: 경기장 내 카운트다운 타이머(피치클락)를 이용해 경기진행 속도를 향상"
    )
    assert "제28조 [비디오 판독]" in found.blocks[3].text
    assert "제28조 [비디오 판독]" in found.blocks[4].text


@pytest.mark.skipif(not FILES.is_dir(), reason="needs the sample documents in ../shared/data/files")
def test_no_word_of_a_real_paper_is_lost_or_doubled():
    import pypdfium2

    data = (FILES / "en_multi_page.pdf").read_bytes()
    (found,) = PdfReader(no_program).read(FileContent("/data/m.pdf", data))
    assert isinstance(found, Document)
    plain = "".join(page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(data))
    headings = {heading for block in found.blocks for heading in block.heading_path}
    said = found.title + "".join(headings) + "".join(block.text for block in found.blocks)
    assert sorted(letter for letter in plain if letter.isalnum()) == sorted(letter for letter in said if letter.isalnum())
