"""JSON, source code, XML and RTF."""

from __future__ import annotations

import json

import pytest

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers import tree
from ingest.readers.code import CodeReader
from ingest.readers.contract import FileContent, Reader
from ingest.readers.records import JsonReader, RecordReader
from ingest.readers.rtf import RtfReader
from ingest.readers.xml_file import XmlReader


def read(reader: Reader, name: str, data: bytes | str) -> list[Document | Failed]:
    return list(reader.read(FileContent(f"/data/{name}", data.encode() if isinstance(data, str) else data)))


def one(reader: Reader, name: str, data: bytes | str) -> Document:
    (found,) = read(reader, name, data)
    assert isinstance(found, Document)
    return found


def as_json(value: object) -> Document:
    return one(JsonReader(), "회사.json", json.dumps(value, ensure_ascii=False))


def test_an_object_is_one_document_whose_values_say_their_paths():
    found = as_json(
        {"name": "온돌", "size": 3, "open": True, "tags": ["warm", 7], "address": {"city": "서울", "geo": {"lat": 37.5}, "note": None}}
    )
    assert (found.id, found.title) == ("/data/회사.json", "회사")
    assert [(block.text, block.heading_path) for block in found.blocks] == [
        ("name: 온돌\nsize: 3\nopen: true\ntags: warm, 7", ()),
        ("city: 서울", ("address",)),
        ("lat: 37.5", ("address", "geo")),
    ]


def test_each_element_of_a_list_inside_an_object_is_a_block():
    found = as_json({"title": "Team", "members": [{"name": "Kim", "phone": {"work": "0199"}}, {"name": "Lee"}]})
    assert found.title == "Team"
    assert [block.text for block in found.blocks if block.heading_path == ("members",)] == ["name: Kim\nphone > work: 0199", "name: Lee"]


def test_a_list_of_objects_is_a_document_for_each():
    found = read(
        JsonReader(), "a.json", '[{"id": "x", "title": "Kim", "text": "hello"}, {"id": "y", "이름": "이하늘", "city": {"name": "서울"}}]'
    )
    assert [(item.id, item.title) for item in found if isinstance(item, Document)] == [
        ("/data/a.json#x", "Kim"),
        ("/data/a.json#y", "이하늘"),
    ]
    assert [item.blocks[0].text for item in found if isinstance(item, Document)] == ["hello", "이름: 이하늘\ncity > name: 서울"]


def test_a_list_under_a_single_name_is_taken_for_its_records():
    found = read(JsonReader(), "a.json", '{"items": [{"v": "a"}, {"v": "b"}]}')
    assert [(item.id, item.title) for item in found if isinstance(item, Document)] == [
        ("/data/a.json#1", "a #1"),
        ("/data/a.json#2", "a #2"),
    ]


def test_records_whose_ids_are_not_their_own_are_known_by_their_number():
    found = read(JsonReader(), "a.json", '[{"id": 7, "v": "a"}, {"id": 7, "v": "b"}]')
    assert [item.id for item in found if isinstance(item, Document)] == ["/data/a.json#1", "/data/a.json#2"]


def test_a_record_without_anything_to_say_fails_alone():
    found = read(JsonReader(), "a.json", '[{"id": 1, "text": " "}, {"id": 2, "text": "b"}]')
    assert [type(item) for item in found] == [Failed, Document]


@pytest.mark.parametrize(("text", "told"), [('{"a": ', "not valid JSON"), ("[" * 100_000 + "]" * 100_000, "nested too deeply")])
def test_bad_json_says_what_is_wrong(text, told):
    with pytest.raises(ItemError, match=told):
        read(JsonReader(), "a.json", text)


def test_a_line_that_is_nested_without_end_fails_alone():
    found = read(RecordReader(), "a.jsonl", '{"id": 1, "text": "a"}\n' + "[" * 100_000 + "]" * 100_000)
    assert [type(item) for item in found] == [Document, Failed]


def test_a_document_of_hundreds_of_thousands_of_values_is_refused():
    with pytest.raises(ItemError, match="JSON lines"):
        as_json({"points": [[at, at] for at in range(150_000)], "title": "map"})


def test_values_nested_deeper_than_anybody_reads_are_said_as_they_are_written():
    value: object = "end"
    for _ in range(tree.DEEPEST + 20):
        value = {"a": value}
    assert "end" in list(tree.blocks(value))[-1].text


SOURCE = '''"""A heater."""

import math


# Degrees.
LIMIT = 30


class Heater:
    """Warms."""

    def on(self):
        return 1


def main():
    print(Heater())
'''


def test_code_is_cut_at_definitions_and_keeps_its_lines():
    found = one(CodeReader(), "heater.py", SOURCE)
    assert found.title == "heater.py"
    assert [(block.line, block.text.split("\n")[0], block.kind) for block in found.blocks] == [
        (1, '"""A heater."""', "code"),
        (3, "import math", "code"),
        (6, "# Degrees.", "code"),
        (10, "class Heater:", "code"),
        (17, "def main():", "code"),
    ]
    assert "    def on(self):" in found.blocks[3].text


def test_a_long_definition_is_cut_between_its_parts_under_its_first_line():
    methods = "\n\n".join(f"    def method_{at}(self):\n        return '{'x' * 400}'" for at in range(8))
    found = one(CodeReader(), "a.py", f"class Heater:\n{methods}\n")
    assert len(found.blocks) > 1
    assert found.blocks[0].heading_path == ()
    assert {block.heading_path for block in found.blocks[1:]} == {("class Heater:",)}
    lines = f"class Heater:\n{methods}\n".split("\n")
    assert all(lines[(block.line or 0) - 1] == block.text.split("\n")[0] for block in found.blocks)


def test_a_closing_bracket_belongs_to_what_it_closes():
    found = one(CodeReader(), "a.ts", "function a() {\n  one()\n\n}\n\nfunction b() {\n}\n")
    assert [block.text for block in found.blocks] == ["function a() {\n  one()\n\n}", "function b() {\n}"]


def test_configuration_is_read_as_it_is_written_with_its_comments():
    found = one(CodeReader(), "app.yaml", "# 서버 설정\nserver:\n  port: 11500\n\nlog:\n  level: info\n")
    assert [block.text for block in found.blocks] == ["# 서버 설정\nserver:\n  port: 11500", "log:\n  level: info"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("var a=1;" * 5000, "minified"),
        ("// Code generated by protoc. DO NOT EDIT.\npackage a\n", "generated"),
        ("# @generated\nx = 1\n", "generated"),
    ],
)
def test_code_that_machines_wrote_is_refused(text, told):
    with pytest.raises(ItemError, match=told):
        read(CodeReader(), "a.js", text)


def test_xml_records_are_rows_and_running_text_is_a_paragraph():
    found = one(
        XmlReader(),
        "a.xml",
        '<shop><title>난방</title><item no="7"><name>온돌 매트</name><price currency="KRW">39000</price></item>'
        "<note>바닥을 <b>따뜻하게</b> 합니다.</note></shop>",
    )
    assert found.title == "난방"
    assert [(block.text, block.kind) for block in found.blocks] == [
        ("title: 난방", "row"),
        ("no: 7\nname: 온돌 매트\nprice: 39000 KRW", "row"),
        ("바닥을 따뜻하게 합니다.", "text"),
    ]


def test_xml_says_its_own_encoding():
    data = '<?xml version="1.0" encoding="euc-kr"?><a><b>온돌</b></a>'.encode("euc-kr")
    assert one(XmlReader(), "a.xml", data).blocks[0].text == "b: 온돌"


@pytest.mark.parametrize(
    "xml",
    ['<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
)
def test_xml_that_declares_entities_is_refused(xml):
    with pytest.raises(ItemError, match="entities"):
        read(XmlReader(), "a.xml", xml)


def test_rtf_gives_its_korean_paragraphs():
    korean = "".join(f"\\'{byte:02x}" for byte in "온돌은 따뜻하다. 뷁".encode("cp949"))
    text = rf"{{\rtf1\ansi\ansicpg949{{\fonttbl{{\f0 Batang;}}}}\f0 {korean}\par \u50728?\u46028? \b is\b0  warm.\par}}"
    assert [block.text for block in one(RtfReader(), "a.rtf", text).blocks] == ["온돌은 따뜻하다. 뷁", "온돌 is warm."]


def test_a_file_that_is_no_rtf_says_so():
    with pytest.raises(ItemError, match="not an RTF"):
        read(RtfReader(), "a.rtf", "hello")
