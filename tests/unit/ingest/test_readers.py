from __future__ import annotations

import pytest

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.registry import Readers

READERS = Readers()


def read(name: str, data: bytes | str) -> list[Document | Failed]:
    content = FileContent(f"/data/{name}", data.encode() if isinstance(data, str) else data)
    return list(READERS.reader(content.suffix).read(content))


def one(name: str, data: bytes | str) -> Document:
    (found,) = read(name, data)
    assert isinstance(found, Document)
    return found


def test_every_built_in_kind_of_file_comes_in_through_the_entry_points():
    assert {"txt", "md", "html", "csv", "jsonl", "pdf"} <= set(READERS.suffixes)


def test_a_suffix_without_a_reader_names_the_ones_there_are():
    with pytest.raises(ItemError, match=r"\.md"):
        READERS.reader("exe")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949", "euc-kr"])
def test_korean_text_is_read_in_each_of_its_usual_encodings(encoding):
    assert decode("온돌은 따뜻하다. 바닥을 데운다.".encode(encoding)) == "온돌은 따뜻하다. 바닥을 데운다."


def test_western_text_of_old_windows_is_not_taken_for_korean():
    text = "Das Gerät läuft über Nacht; für größere Räume genügt das natürlich nicht. Schöne Grüße aus Köln!"
    assert decode(text.encode("cp1252")) == text


def test_decomposed_hangul_is_composed():
    assert decode("한국".encode()) == "한국"


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ItemError, match="UTF-8"):
        decode(bytes(range(256)) * 4)


def test_plain_text_gives_its_paragraphs_with_their_lines():
    found = one("메모.txt", "\n\nfirst\nline\n\n \nsecond\n")
    assert found.title == "메모"
    assert [(block.text, block.line) for block in found.blocks] == [("first\nline", 3), ("second", 7)]


def test_markdown_headings_become_the_path_of_what_stands_under_them():
    found = one(
        "h.md", "# Handbook\n\nHello **you**, see [the rules](x.html).\n\n## Leave\n\n### Sick days\n\nCall `us`.\n\n## Pay\n\nMonthly.\n"
    )
    assert found.title == "Handbook"
    assert [(block.text, block.heading_path, block.line) for block in found.blocks] == [
        ("Hello you, see the rules.", (), 3),
        ("Call us.", ("Leave", "Sick days"), 9),
        ("Monthly.", ("Pay",), 13),
    ]


def test_a_markdown_heading_with_nothing_under_it_keeps_its_words():
    found = one("h.md", "# T\n\n## Phone 02-123\n\n## Fax\n\nnone\n\n## Closed on Mondays\n")
    assert [block.text for block in found.blocks] == ["Phone 02-123", "none", "Closed on Mondays"]


def test_markdown_front_matter_names_the_title_and_is_no_text():
    found = one("h.md", '---\ntitle: "휴가 규정"\ndate: 2026\n---\n\n본문\n')
    assert (found.title, [(block.text, block.line) for block in found.blocks]) == ("휴가 규정", [("본문", 6)])


def test_markdown_lists_tables_and_code_keep_their_form():
    text = "- a\n  - b\n- c\n\n1. x\n2. y\n\n| item | price |\n|---|---|\n| 전기장판 | 39,000 |\n\n```\nx = 1\n```\n"
    found = one("h.md", text)
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("list", "- a\n  - b\n- c"),
        ("list", "1. x\n2. y"),
        ("row", "item: 전기장판 | price: 39,000"),
        ("code", "x = 1"),
    ]


def test_html_gives_its_main_text_without_navigation_and_scripts():
    html = """<html><head><title> 회사 소개 </title><style>p{}</style></head><body><nav>Home About</nav>
    <main><h1>회사</h1><p>We make <b>heated</b>\n floors.<br>Since 1998.</p><h2>Where</h2><ul><li>Seoul</li><li>Busan</li></ul>
    <table><tr><th>item</th><th>price</th></tr><tr><td>mat</td><td>39</td></tr></table><script>evil()</script></main>
    <footer>Contact us</footer></body></html>"""
    found = one("a.html", html)
    assert found.title == "회사 소개"
    assert [(block.text, block.heading_path, block.kind) for block in found.blocks] == [
        ("We make heated floors.\nSince 1998.", (), "text"),
        ("Seoul", ("Where",), "list"),
        ("Busan", ("Where",), "list"),
        ("item: mat | price: 39", ("Where",), "row"),
    ]


def test_html_says_its_own_encoding():
    data = '<html><head><meta charset="windows-1251"></head><body><p>Тёплый пол греет дом</p></body></html>'.encode("windows-1251")
    assert one("a.html", data).blocks[0].text == "Тёплый пол греет дом"


def test_html_nested_deeper_than_python_calls_is_read():
    assert one("a.html", "<div>" * 5000 + "deep" + "</div>" * 5000).blocks[0].text == "deep"


def test_a_csv_row_is_a_document_that_names_its_columns():
    first, second = read("제품.csv", 'id,name,price,memo\n7,온돌 매트,39000,"두 줄\n메모"\n8,패널,01234,\n')
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.id, first.title) == ("/data/제품.csv#7", "온돌 매트")
    assert first.blocks[0].text == "id: 7\nname: 온돌 매트\nprice: 39000\nmemo: 두 줄\n메모"
    assert first.attributes == {"id": 7, "name": "온돌 매트", "price": 39000, "memo": "두 줄\n메모"}
    assert second.attributes["price"] == "01234"


def test_csv_rows_without_ids_of_their_own_are_known_by_their_number():
    assert [found.id for found in read("a.csv", "id;v\n1;a\n1;b\n") if isinstance(found, Document)] == ["/data/a.csv#1", "/data/a.csv#2"]


def test_a_csv_with_an_open_quote_says_where():
    with pytest.raises(ItemError, match="line"):
        read("a.csv", 'a,b\n1,"open\n')


def test_a_csv_of_a_header_alone_is_an_error():
    with pytest.raises(ItemError, match="no rows"):
        read("a.csv", "a,b\n")


def test_json_lines_keep_id_title_and_text_and_the_rest_as_attributes():
    (found,) = read("r.jsonl", '{"id": "kb-1", "title": "온돌", "text": "따뜻하다.", "year": 2020, "tags": ["a"]}\n\n')
    assert found == Document("/data/r.jsonl#kb-1", "온돌", found.blocks, attributes={"year": 2020, "tags": ["a"]})  # type: ignore[union-attr]
    assert found.blocks[0].text == "따뜻하다."  # type: ignore[union-attr]


def test_a_bad_json_line_fails_alone():
    found = read("r.jsonl", '{"id": 1, "text": "a"}\n{"id": 2, "text": \n[1]\n{"id": 3}\n{"id": 4, "text": "  "}\n{"text": "b"}\n')
    assert [type(item).__name__ for item in found] == ["Document", "Failed", "Failed", "Failed", "Failed", "Document"]
    assert "Line 2" in found[1].reason  # type: ignore[union-attr]
    assert found[5].id == "/data/r.jsonl#6"  # type: ignore[union-attr]
