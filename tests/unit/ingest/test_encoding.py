"""Bytes that don't say what they are: right, or refused; never something else."""

from __future__ import annotations

import contextlib
import random

import pytest

from app.core.errors import ItemError
from ingest.readers.encoding import decode

KOREAN = (
    "온돌은 방바닥 아래로 더운 연기를 보내 방을 데우는 우리 전통의 난방 방식이다. 아궁이에 불을 때면 열기가 고래를 지나 굴뚝으로 빠진다. "
    "2026년 3월 2일 오전 10시에 총무팀 회의를 엽니다. "
    "안건은 휴가 규정의 개정과 비품 구매(노트북 12대)이며, 문의는 김하늘 대리(내선 0199)에게 하시기 바랍니다. "
    "계약금 1,500,000원은 계약일부터 7일 안에 납부해야 합니다. "
    "납품이 늦어지면 하루에 0.3%의 지연 이자를 더합니다! 첨부: 견적서.xlsx, 도면.pdf"
)
ENCODINGS = ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be"]
CHINESE = "公司员工每年享有带薪休假。申请休假应当提前三天向主管提出书面申请，经批准后方可执行。报销单据须在当月月底前提交财务部门审核。"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("length", [5, 8, 13, 20, 50, 100, 250])
def test_korean_text_of_any_length_is_read_or_refused_and_never_taken_for_something_else(encoding, length):
    chance = random.Random(length)
    refused = 0
    for _ in range(60):
        at = chance.randrange(len(KOREAN) - length)
        text = KOREAN[at : at + length]
        try:
            assert decode(text.encode(encoding)) == text
        except ItemError:
            refused += 1
    assert refused <= (6 if length < 13 else 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_long_korean_text_with_its_rare_syllables_is_read(encoding):
    text = f"{KOREAN}\n뷁 똠방각하 펲시\n" * 2
    assert len(text) > 500
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", ["Gerät", "Köln", "Straße 12, 50667 Köln", "crème brûlée", "El niño comió", "“quoted” – 5 €"])
def test_western_words_of_old_windows_are_read(text):
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"),
        ("こんにちは世界、今日はいい天気ですね。明日も晴れるでしょう。会議は三時からです", "shift_jis"),
        ("Привет мир, сегодня хорошая погода и все сотрудники компании отдыхают", "cp1251"),
    ],
)
def test_other_scripts_are_read_where_there_is_enough_of_them(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("length", [2, 3, 5, 8, 13])
def test_chinese_bytes_are_not_taken_for_korean(length):
    for at in range(len(CHINESE) - length):
        text = CHINESE[at : at + length]
        with contextlib.suppress(ItemError):
            assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize("text", ["Łódź żółć", "Żółta łódź płynie po jeziorze, a słońce świeci jasno nad okolicą"])
def test_what_proves_nothing_is_refused_with_what_to_do(text):
    with pytest.raises(ItemError, match="Save it as UTF-8"):
        decode(text.encode("cp1250"))


def test_what_a_file_says_of_itself_comes_before_guesses():
    assert decode("Łódź".encode("cp1250"), "windows-1250") == "Łódź"
    assert decode("온돌".encode(), "windows-1250") == "온돌"


def test_plain_text_in_utf_16_without_a_mark_is_read():
    assert decode("Minutes of 3 March".encode("utf-16-le")) == "Minutes of 3 March"


@pytest.mark.parametrize("data", [bytes(range(256)) * 4, b"\x7fELF\x02\x01\x01" + b"\x00" * 50, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"])
def test_bytes_that_are_no_text_are_refused_in_the_end(data):
    with pytest.raises(ItemError, match="UTF-8"):
        decode(data)


def test_a_mark_that_lies_is_named():
    with pytest.raises(ItemError, match="marked as UTF-16"):
        decode(b"\xff\xfe\x00")
