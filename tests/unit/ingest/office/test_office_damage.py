"""What is broken, hostile or protected ends in one clear failure, whichever reader it meets."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hwp_files import compound, hwp, hwp_p, hwp_table
from office_files import W, docx, epub, hp, hwpx, links, odt, p, pptx, shape, sheet, xlsx, zipped

from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits
from ingest.readers.registry import Readers
from ingest.reading.whole import read_whole

READERS = Readers()
LETTERS = "글자 " * 40
WHOLE = {
    "docx": docx(p(LETTERS)),
    "pptx": pptx([shape(LETTERS)]),
    "xlsx": xlsx({"s": sheet(["이름", "나이"], [LETTERS, 3])}),
    "odt": odt(f"<text:p>{LETTERS}</text:p>"),
    "epub": epub({"c.xhtml": f"<p>{LETTERS}</p>"}),
    "hwp": hwp([hwp_p(LETTERS * 50) + hwp_p("\x0b", controls=[hwp_table([(0, 0, "가"), (0, 1, "나")])])]),
    "hwpx": hwpx(hp(LETTERS)),
}


def read(suffix: str, data: bytes, limits: Limits | None = None) -> list[Document | Failed]:
    return list(read_whole(FileContent(f"/data/a.{suffix}", data, limits=limits or Limits()), READERS))


@pytest.mark.parametrize("suffix", WHOLE)
def test_the_whole_file_is_one_document(suffix):
    (found,) = read(suffix, WHOLE[suffix])
    assert isinstance(found, Document)


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_one_failure_that_says_what_to_do(suffix, share):
    data = WHOLE[suffix]
    (found,) = read(suffix, data[: int(len(data) * share)])
    assert isinstance(found, Failed)
    assert "could not be read" not in found.reason
    assert found.reason.count(".") >= 2


@pytest.mark.parametrize("suffix", WHOLE)
def test_changed_bytes_never_bring_more_than_a_document_or_a_failure_in_plain_words(suffix):
    chance = random.Random(suffix)
    for _ in range(40):
        data = bytearray(WHOLE[suffix])
        for _ in range(chance.choice([1, 5, 50])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        found = read(suffix, bytes(data))
        assert len(found) == 1
        assert isinstance(found[0], Document) or "could not be read (" not in found[0].reason


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx"])
def test_an_encrypted_office_file_asks_for_a_copy_without_its_password(suffix):
    (found,) = read(suffix, compound({"EncryptedPackage": bytes(9_000), "EncryptionInfo": bytes(100)}))
    assert isinstance(found, Failed)
    assert found.reason == f"/data/a.{suffix} is protected by a password. Save a copy without one."


def test_an_older_word_file_under_a_new_name_says_how_to_save_it():
    (found,) = read("docx", compound({"WordDocument": bytes(5_000)}))
    assert isinstance(found, Failed)
    assert "save it as .docx" in found.reason


BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize("entity", [BOMB, '<!DOCTYPE r [<!ENTITY c SYSTEM "file:///etc/passwd">]>'])
def test_entities_are_refused_and_never_expanded(entity):
    body = f"{entity}<w:document {W}><w:body>{p('앞 &c; 뒤')}</w:body></w:document>"
    data = zipped({"_rels/.rels": links(("officeDocument", "word/document.xml")), "word/document.xml": body})
    (found,) = read("docx", data)
    assert isinstance(found, Failed)
    assert "declares entities" in found.reason


def test_xml_that_nests_without_end_is_refused():
    deep = "<w:sdt><w:sdtContent>" * 5_000 + p("속") + "</w:sdtContent></w:sdt>" * 5_000
    (found,) = read("docx", docx(deep))
    assert isinstance(found, Failed)
    assert "nests its elements more than 256 deep in word/document.xml" in found.reason


_TENFOLD = "".join(f"<!ENTITY {name} '" + f"&{of};" * 10 + "'>" for of, name in pairwise("abcdefghi"))
LAUGHS = f"<!DOCTYPE r [<!ENTITY a 'ha'>{_TENFOLD}]>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_would_fill_the_memory_are_told_as_entities(encoding):
    (found,) = read("xml", f"<?xml version='1.0' encoding='{encoding}'?>{LAUGHS}<r>&i;</r>".encode(encoding))
    assert isinstance(found, Failed)
    assert "declares entities in a.xml" in found.reason


def test_xml_that_is_not_valid_is_told_with_its_place_and_not_in_a_librarys_words():
    (found,) = read("xml", b"<?xml version='1.0'?>\n<a>\n <b></a>")
    assert isinstance(found, Failed)
    assert "is damaged: its part a.xml is not valid XML at line 3, column 9. Open it" in found.reason


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "odt", "epub", "hwpx"])
def test_a_part_that_inflates_beyond_the_limit_stops_there(suffix):
    big = " " * 3_000_000
    whole = {
        "docx": docx(big),
        "pptx": pptx([big]),
        "xlsx": xlsx({"s": big}),
        "odt": odt(big),
        "epub": epub({"c.xhtml": big}),
        "hwpx": hwpx(big),
    }
    (found,) = read(suffix, whole[suffix], Limits(unpacked_bytes=2_000_000))
    assert isinstance(found, Failed)
    assert "unpacks to more than 2 MB" in found.reason


def test_a_file_without_text_is_a_failure():
    (found,) = read("docx", docx(p("")))
    assert isinstance(found, Failed)
    assert "has no text" in found.reason


def test_a_missing_library_is_named_with_its_command(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lxml", None)
    (found,) = read("docx", WHOLE["docx"])
    assert isinstance(found, Failed)
    assert found.reason == "/data/a.docx needs libraries that are not installed. Install them: pip install 'ondol[office]'"
