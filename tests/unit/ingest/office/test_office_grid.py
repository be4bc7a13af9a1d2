from __future__ import annotations

import pytest

from ingest.documents import Block
from ingest.readers.office.grid import Cell, is_number, table_blocks


def rows(*lines: str, **spans: tuple[int, int]) -> list[Cell]:
    """Cells of lines such as "a b c"; "." leaves a place to a merged cell; spans by text as (rows, columns)."""
    return [
        Cell(row, column, text, *spans.get(text, (1, 1)))
        for row, line in enumerate(lines)
        for column, text in enumerate(line.split())
        if text != "."
    ]


def said(cells: list[Cell]) -> list[str]:
    return [block.text for block in table_blocks(cells)]


def test_a_first_row_of_words_over_a_column_of_numbers_names_the_columns():
    assert said(rows("품목 수량", "장판 3", "벽지 5")) == ["품목: 장판 | 수량: 3", "품목: 벽지 | 수량: 5"]


def test_a_form_of_words_alone_is_not_taken_for_a_table_with_a_header():
    assert said(rows("성명 김온돌", "부서 총무과", "직급 과장")) == ["성명 | 김온돌", "부서 | 총무과", "직급 | 과장"]


def test_a_header_that_the_format_marks_counts_without_any_number():
    cells = [Cell(0, 0, "이름", named=True), Cell(0, 1, "부서", named=True), Cell(1, 0, "김온돌"), Cell(1, 1, "총무과")]
    assert said(cells) == ["이름: 김온돌 | 부서: 총무과"]


def test_a_cell_merged_downwards_is_said_in_each_row_that_it_covers():
    assert said(rows("지역 날짜 금액", "서울 1월 10", ". 2월 20", "부산 1월 5", 서울=(2, 1))) == [
        "지역: 서울 | 날짜: 1월 | 금액: 10",
        "지역: 서울 | 날짜: 2월 | 금액: 20",
        "지역: 부산 | 날짜: 1월 | 금액: 5",
    ]


def test_a_header_of_two_rows_names_a_column_by_both():
    cells = rows("지역 매출 .", ". 상반기 하반기", "서울 10 20", "부산 3 4", 지역=(2, 1), 매출=(1, 2))
    assert said(cells) == ["지역: 서울 | 매출 상반기: 10 | 매출 하반기: 20", "지역: 부산 | 매출 상반기: 3 | 매출 하반기: 4"]


def test_a_title_over_the_whole_width_is_said_alone_and_the_header_found_below_it():
    cells = rows("매출표 . .", "지역 상반기 하반기", "서울 10 20", 매출표=(1, 3))
    assert said(cells) == ["매출표", "지역: 서울 | 상반기: 10 | 하반기: 20"]


def test_rows_of_a_table_inside_a_cell_follow_their_row():
    inner = (Block("안쪽 행", kind="row"),)
    assert said([Cell(0, 0, "바깥", inner=inner), Cell(0, 1, "옆"), Cell(1, 0, "다음"), Cell(1, 1, "줄")]) == [
        "바깥 | 옆",
        "안쪽 행",
        "다음 | 줄",
    ]


def test_spans_of_any_size_cost_no_more_than_the_cells_there_are():
    cells = [Cell(row, 0, "넓다", 60_000, 60_000) for row in range(2_000)] + [Cell(0, 1_999_999, "멀다")]
    assert len(said(cells)) == 2_000


@pytest.mark.parametrize("text", ["3", "-1,234.5", "87.3%", "₩12,000", "2024-01-05", "2024년 3월", "10억", "(3)", "△5.2", "-"])
def test_amounts_and_dates_are_numbers(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["지역", "2024년 매출", "A1 구역", "본예산", ""])
def test_names_are_none(text):
    assert not is_number(text)
