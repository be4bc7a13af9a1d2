from __future__ import annotations

import datetime as dt

import pytest
from hwp_files import compound
from office_files import odt, sheet, xlsx
from office_reading import one, said

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.office.workbook import WorkbookReader, shown

READER = WorkbookReader()


def test_each_sheet_is_a_section_and_each_row_has_the_names_of_its_columns():
    found = one(
        READER,
        "매출.xlsx",
        xlsx({"상반기": sheet(["지역", "금액"], ["서울", 10], ["부산", 5.5]), "하반기": sheet(["지역", "금액"], ["대구", 7])}),
    )
    assert found.title == "매출"
    assert [(block.kind, block.heading_path, block.text) for block in found.blocks] == [
        ("row", ("상반기",), "지역: 서울 | 금액: 10"),
        ("row", ("상반기",), "지역: 부산 | 금액: 5.5"),
        ("row", ("하반기",), "지역: 대구 | 금액: 7"),
    ]


def test_the_header_is_found_below_a_title_and_empty_rows():
    rows = sheet(["2024년 예산"], [], ["부서", "금액", "비고"], ["총무", 3, "확정"])
    assert said(READER, "a.xlsx", xlsx({"예산": rows})) == ["2024년 예산", "부서: 총무 | 금액: 3 | 비고: 확정"]


def test_rows_of_numbers_have_no_header():
    assert said(READER, "a.xlsx", xlsx({"s": sheet([1, 2], [3, 4])})) == ["1 | 2", "3 | 4"]


def test_dates_formulas_and_switches_are_said_as_they_are_shown():
    cells = ["<c s='1'><v>45296</v></c>", "<c s='2'><v>45296.75</v></c>", "<c ><f>1+1</f><v>2</v></c>", "<c t='b'><v>1</v></c>"]
    rows = sheet(["날짜", "시각", "합계", "승인"], cells)
    assert said(READER, "a.xlsx", xlsx({"s": rows})) == ["날짜: 2024-01-05 | 시각: 2024-01-05 18:00:00 | 합계: 2 | 승인: TRUE"]


def test_a_ratio_that_is_shown_as_a_percentage_is_said_as_one_wherever_the_data_begins():
    rows = sheet(
        [], [None, "지역", "달성률", "계수"], [None, "서울", "<c s='3'><v>0.155</v></c>", 0.155], [None, "부산", "<c s='4'><v>1</v></c>", 2]
    )
    assert said(READER, "a.xlsx", xlsx({"s": rows})) == ["지역: 서울 | 달성률: 15.5% | 계수: 0.155", "지역: 부산 | 달성률: 100% | 계수: 2"]


def test_a_cell_merged_downwards_is_said_in_each_of_its_rows():
    rows = [["지역", "담당"], ["서울", "김"], [None, "이"], ["부산", "박"]]
    lower = [[], [], *([None, *row] for row in rows)]
    for inside in (sheet(*rows, merged=["A2:A3"]), sheet(*lower, merged=["B4:B5"])):
        assert said(READER, "a.xlsx", xlsx({"s": inside})) == ["지역: 서울 | 담당: 김", "지역: 서울 | 담당: 이", "지역: 부산 | 담당: 박"]


def test_a_hidden_sheet_is_read_too():
    assert said(READER, "a.xlsx", xlsx({"보임": sheet(["가"]), "숨김": sheet(["나"])}, hidden=["숨김"])) == ["가", "나"]


def test_a_sheet_that_is_too_long_is_read_to_its_limit_and_fails_by_name():
    data = xlsx({"명부": sheet([], ["이름", "나이"], *(["김", at] for at in range(9)))})
    failed, document = WorkbookReader(rows=3).read(FileContent("/data/a.xlsx", data))
    assert isinstance(failed, Failed)
    assert failed.item == "/data/a.xlsx#명부"
    assert "10 rows" in failed.reason
    assert "CSV" in failed.reason
    assert isinstance(document, Document)
    assert len(document.blocks) == 2


def test_cells_worlds_apart_are_refused_before_the_library_makes_room_for_all_between_them():
    far = '<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
    with pytest.raises(ItemError, match="too far apart"):
        list(READER.read(FileContent("/data/a.xlsx", xlsx({"s": far}))))


@pytest.mark.parametrize(
    "data",
    [
        compound({"EncryptedPackage": bytes(5_000), "EncryptionInfo": b"\x04\0\x04\0"}),
        odt("", manifest="<m:file-entry><m:encryption-data/></m:file-entry>", kind="spreadsheet"),
    ],
)
def test_an_encrypted_workbook_asks_for_a_copy_without_its_password(data):
    with pytest.raises(ItemError, match=r"protected by a password\. Save a copy without one"):
        list(READER.read(FileContent("/data/a.xlsx", data)))


def test_opendocument_sheets_are_read_the_same_way():
    cells = "<table:table-cell office:value-type='string'><text:p>{}</text:p></table:table-cell>"
    number = "<table:table-cell office:value-type='float' office:value='3'><text:p>3</text:p></table:table-cell>"
    head = f"<table:table-row>{cells.format('품목')}{cells.format('수량')}</table:table-row>"
    rows = f"{head}<table:table-row>{cells.format('장판')}{number}</table:table-row>"
    data = odt(f"<table:table table:name='재고'>{rows}</table:table>", kind="spreadsheet")
    found = one(READER, "a.ods", data)
    assert [(block.heading_path, block.text) for block in found.blocks] == [(("재고",), "품목: 장판 | 수량: 3")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"), (0.1 + 0.2, "0.3"), (123456789012.0, "123456789012"), (True, "TRUE"), (" 한국 ", "한국"),
        (dt.datetime.fromisoformat("2024-03-01"), "2024-03-01"), (dt.datetime.fromisoformat("2024-03-01T09:30"), "2024-03-01 09:30:00"),
        (dt.time(9, 5), "09:05:00"), (dt.timedelta(hours=26, minutes=3), "26:03:00"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_a_person_would(value, text):
    assert shown(value) == text
