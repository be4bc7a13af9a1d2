from __future__ import annotations

import pytest

from app.core.errors import ItemError
from ingest.readers import ocr
from ingest.readers.contract import TESSERACT
from ingest.readers.ocr import Word
from ingest.readers.pages.photo import is_page, merged
from ingest.readers.pages.recognised import is_korean_with_latin, mended, whole
from ingest.readers.pages.scanned import broken, lines, needs_ocr
from ingest.readers.pages.shapes import PageShapes, Segment

TABLE = """level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
4\t1\t1\t1\t1\t0\t10\t10\t300\t40\t-1\t
5\t1\t1\t1\t1\t1\t10\t10\t36\t40\t91.8\t제
5\t1\t1\t1\t1\t2\t50\t10\t20\t40\t93.1\t1
5\t1\t1\t1\t1\t3\t80\t10\t30\t40\t92.6\t조
5\t1\t1\t1\t1\t4\t130\t10\t80\t40\t96.2\t모든
제1조 모든
"""


def word(text: str, confidence: float = 90, left: float = 0, top: float = 0, line: int = 1) -> Word:
    return Word(text, confidence, left, top, left + 20 * len(text), top + 30, (1, 1, line))


def page(text: str = "", pictures: float = 0.0, drawn: int = 0) -> PageShapes:
    segments = (Segment(text, 0, 0, 100, 10, 10),) if text else ()
    return PageShapes(600, 800, segments, (), (), pictures, drawn)


def test_pieces_of_a_korean_word_are_joined_as_the_plain_text_has_them():
    assert [(found.text, found.joined) for found in ocr.words(TABLE)] == [("제", False), ("1", True), ("조", True), ("모든", False)]
    (line,) = lines(ocr.words(TABLE))
    assert getattr(line, "text", "") == "제1조 모든"


def test_a_line_of_grain_is_no_writing():
    assert lines([word("xq", 12), word("||", 99, line=2)]) == []


def test_columns_of_a_scan_are_read_one_after_the_other():
    words = []
    for at in range(6):
        words += [
            word(f"left{at} of a column of text", left=0, top=40 * at, line=at),
            word(f"right{at} of a column of text", left=900, top=40 * at, line=at),
        ]
    said = " ".join(getattr(line, "text", "") for line in lines(words))
    assert said.index("left5") < said.index("right0")


@pytest.mark.parametrize(
    ("shapes", "needed"),
    [
        (page(), False),
        (page("A page with a text of its own that goes on and on.", pictures=1.0), False),
        (page(pictures=0.9), True),
        (page(drawn=500), True),
        (page("12", pictures=0.9), True),
        (page("\ue001\ue002\ue003 \ue004\ufffd"), True),
        (page("12"), False),
    ],
)
def test_ocr_is_for_pages_without_a_text_that_can_be_read(shapes, needed):
    assert needs_ocr(shapes) is needed


def test_glyphs_without_letters_are_counted_as_broken():
    assert broken("a\ue000\ufffd ") == pytest.approx(2 / 3)
    assert broken("") == 0


def test_of_a_photo_those_words_count_that_two_readings_have():
    assert [found.text for found in merged([[word("서울"), word("ox", left=200)], [word("서울", 70)]])] == ["서울"]


def test_a_word_that_only_another_reading_has_is_added():
    first = [word("Seoul"), word("56Km", left=200)]
    second = [word("Seoul"), word("평양", left=500)]
    third = [word("평양", left=500), word("Sooul", left=5)]
    assert [found.text for found in merged([first, second, third])] == ["Seoul", "평양"]


def test_a_word_that_was_recognised_in_pieces_is_one():
    assert [found.text for found in whole(list(ocr.words(TABLE)))] == ["제1조", "모든"]


def test_a_korean_word_that_was_taken_for_an_english_one_is_mended_by_a_korean_reading():
    words = [word("아궁이에"), word("SS", 94, left=200), word("API", 93, left=400), word("때면", left=600)]
    korean = [word("불을", 92, left=200), word("새1", 40, left=400), word("00", 95, left=400)]
    assert [found.text for found in mended(words, korean)] == ["아궁이에", "불을", "API", "때면"]


def test_a_page_is_read_in_korean_once_more_where_most_of_it_is_korean_and_some_of_it_is_not():
    assert is_korean_with_latin([word("아궁이에"), word("SS")])
    assert not is_korean_with_latin([word("아궁이에"), word("2026")])
    assert not is_korean_with_latin([word("Contact"), word("서울")])


def test_leaves_that_look_like_letters_are_no_text():
    assert merged([[word("of", 85)], [word("Hox", 77)], []]) == []


def test_a_written_page_is_told_from_a_photo_by_its_sure_letters():
    assert is_page([word("written" * 2, left=10 * at) for at in range(4)])
    assert not is_page([word("written" * 2, 30, left=10 * at) for at in range(4)])
    assert not is_page([word("Seoul")])


def test_a_program_that_the_settings_name_and_that_is_not_there_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv(TESSERACT, "/nowhere/tesseract")
    with pytest.raises(ItemError, match="needs OCR"):
        ocr.find()


@pytest.mark.parametrize(
    ("system", "said"), [("Windows", "winget"), ("Darwin", "brew"), ("Linux", "tesseract-ocr-kor"), ("FreeBSD", "tesseract")]
)
def test_how_to_install_it_is_said_for_each_system(monkeypatch, system, said):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr(ocr, "_release", lambda: "debian")
    assert said in ocr.how_to_install()
