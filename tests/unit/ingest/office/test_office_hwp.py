from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hwp_files import compound, hwp, hwp_control, hwp_info, hwp_list, hwp_p, hwp_table, locked
from office_files import hp, hwpx
from office_reading import one, said

from app.core.errors import ItemError
from ingest.readers.contract import FileContent, Limits
from ingest.readers.office.hwp import HEADER, TEXT, HwpReader
from ingest.readers.office.hwp_file import unlocked

READER = HwpReader()
LOCKED_BY_HANGUL = base64.b64decode(
    "HAAAEOWHW2eSkpKSkteSp5KhkkB3Q3dGdxJWbvO387fzxvPE88vzwPPL87AAOACtmN2Yr5j2s4ez9bOAOgI6eToOOqmarJrYmq6a25rbBTYF+879zj96T3pL"
    "ekx6e/p6tLS0tLS0tLS0tLS0tLS0tD09PT09PT09PT3w8PDw8PDw8M/Pz8/Pz8/Pz8/Pz8/Pz0xMTEzo6Ojo6Ojo6Ojo6Ojo6OjPXV1dXV2qqqqqqqqqqqqq"
    "qqqMjIyMjIyMjIyMjL29+/v7+/v7+/v7+/v7+/v7XV1dXV1dXTw8PDw8PDw8PDxVVVVVVVVVVVVVFBQUFBQUFBQUFBQUFBQqKioqKioqKiqgNj35WTOp3zx4"
    "sn+Sf+gQD+N9XEMZGFkE9Djtb9vgigd4OxKRY3kpFw53McDRB2U6wxZTLV/nhWk7ZGcMS3ellaq3O+++xMDZFJVrL/edqhDsun7n3g3+AqvJ3uP8MYBPNmFy"
    "fnHgl+YUDxvLn+a4VOPd3NSpmN3TUOQx+FeC6+v4ZeX8dBt1H6E6dTevSfk="
)
"""The first bytes of a section as Hangul locked it: of sample_hwp/distribution.hwp of the project hwplib (Apache License 2.0)."""
PLAIN, OUTLINE, NUMBER = (0, 0, 0), (1, 0, 1), (2, 0, 1)


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(ItemError) as raised:
        list(READER.read(FileContent("/data/a.hwp", data, limits=Limits(**limits))))
    return str(raised.value)


def test_paragraphs_are_read_packed_and_unpacked_over_all_sections_in_their_order():
    sections = [hwp_p(f"{at}번째 구역") for at in range(12)]
    for flags in (0, 1):
        assert said(READER, "a.hwp", hwp(sections, flags=flags)) == [f"{at}번째 구역" for at in range(12)]


def test_controls_inside_a_line_take_their_eight_units_and_leave_the_letters_around_them():
    line = "앞\t뒤\x03밑줄\x04 줄\n바꿈\x1e끝\x18"
    assert said(READER, "a.hwp", hwp([hwp_p(line)])) == ["앞 뒤밑줄 줄\n바꿈 끝-"]


def test_a_paragraph_longer_than_a_short_record_is_whole():
    assert said(READER, "a.hwp", hwp([hwp_p("가나다라 " * 3000)])) == [("가나다라 " * 3000).strip()]


def test_outline_shapes_and_style_names_become_headings():
    info = hwp_info([PLAIN, OUTLINE], ["바탕글", "작은제목"])
    section = hwp_p("개요", shape=1) + hwp_p("본문") + hwp_p("연료", style=1) + hwp_p("장작")
    found = one(READER, "a.hwp", hwp([section], info))
    assert [(block.heading_path, block.text) for block in found.blocks] == [(("개요",), "본문"), (("개요", "연료"), "장작")]


def test_lines_of_the_table_of_contents_are_left_out():
    info = hwp_info([PLAIN], ["바탕글", "차례 1"])
    assert said(READER, "a.hwp", hwp([hwp_p("개요 3", style=1) + hwp_p("본문")], info)) == ["본문"]


def test_numbers_that_hangul_counts_are_said_with_their_paragraphs():
    info = hwp_info([PLAIN, NUMBER, (2, 1, 1)], ["바탕글"], [[("제^1조", 0), ("^2.", 8)]])
    section = hwp_p("목적", shape=1) + hwp_p("하나", shape=2) + hwp_p("둘", shape=2) + hwp_p("정의", shape=1)
    found = one(READER, "a.hwp", hwp([section], info))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("list", "제1조 목적"), ("list", "가. 하나"), ("list", "나. 둘"), ("list", "제2조 정의"),
    ]  # fmt: skip


def test_the_numbers_of_an_outline_are_those_that_its_section_names():
    info = hwp_info([PLAIN, (1, 0, 0)], ["바탕글"], [[("^1)", 0)], [("^1.", 2)]])
    begins = hwp_control("secd", 1, data=bytes(14) + struct.pack("<H", 2))
    found = one(READER, "a.hwp", hwp([hwp_p("\x02머리", shape=1, controls=[begins]) + hwp_p("본문")], info))
    assert found.blocks[0].heading_path == ("I. 머리",)


def test_a_tables_rows_have_the_names_of_its_columns():
    table = hwp_table([(0, 0, "지역"), (0, 1, "금액"), (1, 0, "서울"), (1, 1, "10"), (2, 1, "20")], spans={(1, 0): (2, 1)})
    found = one(READER, "a.hwp", hwp([hwp_p("표를 본다\x0b", controls=[table]) + hwp_p("뒤")]))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("text", "표를 본다"), ("row", "지역: 서울 | 금액: 10"), ("row", "지역: 서울 | 금액: 20"), ("text", "뒤"),
    ]  # fmt: skip


def test_a_row_that_hangul_marks_as_the_header_names_words_too():
    table = hwp_table([(0, 0, "이름"), (0, 1, "부서"), (1, 0, "김온돌"), (1, 1, "총무과")], header=True)
    assert said(READER, "a.hwp", hwp([hwp_p("\x0b", controls=[table])])) == ["이름: 김온돌 | 부서: 총무과"]


def test_a_frame_of_one_cell_is_plain_text():
    found = one(READER, "a.hwp", hwp([hwp_p("\x0b", controls=[hwp_table([(0, 0, "틀 안의 글")])])]))
    assert [(block.kind, block.text) for block in found.blocks] == [("text", "틀 안의 글")]


def test_notes_boxes_and_headers_are_read_and_a_repeated_header_once():
    def held(id: str, text: str) -> bytes:
        return hwp_control(id, 1, hwp_list(hwp_p(text, 2), 2))

    section = hwp_p("본문\x11\x11\x0f", controls=[held("fn  ", "각주"), held("en  ", "미주"), held("tcmt", "숨은 설명")])
    section += hwp_p("\x10\x10\x10", controls=[held("head", "대외비"), held("head", "대외비"), held("foot", "3")])
    section += hwp_p("\x0b", controls=[held("gso ", "글상자")])
    assert said(READER, "a.hwp", hwp([section])) == ["본문", "Footnote: 각주", "Endnote: 미주", "Comment: 숨은 설명", "대외비", "글상자"]


def test_a_distributed_document_is_unlocked_with_the_key_that_it_carries():
    for seed in (1, 0x1234ABCF):
        section = hwp_p("배포용 문서입니다.") + hwp_p("줄 " * 500)
        data = hwp([locked(section, seed)], flags=5, room="ViewText")
        assert said(READER, "a.hwp", data) == ["배포용 문서입니다.", ("줄 " * 500).strip()]


def test_what_hangul_itself_has_locked_opens_too():
    opened = zlib.decompressobj(-15).decompress(unlocked(LOCKED_BY_HANGUL))
    first, second = (struct.unpack_from("<I", opened, at)[0] for at in (0, 28))
    assert (first & 0x3FF, first >> 20, second & 0x3FF) == (HEADER, 24, TEXT)


def test_a_distributed_document_without_its_lock_is_damaged():
    assert "the lock of a distributed document is missing" in refused(hwp([hwp_p("글")], flags=5, room="ViewText"))


def test_the_title_is_the_summarys_else_a_title_in_the_text_else_the_files_name():
    info = hwp_info([PLAIN], ["바탕글", "큰제목"])
    section = hwp_p("온돌 안내", style=1) + hwp_p("본문")
    assert one(READER, "보고서.hwp", hwp([section], info)).title == "온돌 안내"
    assert one(READER, "보고서.hwp", hwp([hwp_p("본문")], info)).title == "보고서"


def test_letters_of_hancoms_own_become_unicode_where_there_is_one():
    assert said(READER, "a.hwp", hwp([hwp_p("\uf53a글 \U000f02b1 배경 \U000f03a0")])) == ["ᄒᆞᆫ글 ① 배경 \U000f03a0"]


def test_protected_and_foreign_files_say_what_to_do():
    assert "protected by a password. Save a copy without one." in refused(hwp([hwp_p("글")], flags=3))
    assert "DRM" in refused(hwp([hwp_p("글")], flags=1 | 1 << 4))
    assert "before 5" in refused(b"HWP Document File V3.00 \x1a\x01\x02")
    assert "no HWP file" in refused(compound({"WordDocument": b"doc"}))
    assert "not a readable HWP file" in refused(b"plain text")
    assert "no text streams" in refused(hwp([]))


def test_a_section_that_inflates_without_end_stops_at_the_limit():
    assert "unpacks to more than 1 MB" in refused(hwp([hwp_p("가" * 2_000_000)]), unpacked_bytes=1_000_000)


def test_records_that_nest_or_reach_too_far_are_damage():
    assert "levels deep" in refused(hwp([b"".join(struct.pack("<I", 66 | level << 10) for level in range(400))]))
    assert "a record ends too late" in refused(hwp([hwp_p("글")[:-3]], flags=0))


def test_a_hwpx_that_is_named_hwp_is_read_all_the_same():
    assert said(READER, "a.hwp", hwpx(hp("글"))) == ["글"]
