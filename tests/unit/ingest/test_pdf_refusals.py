"""Why a PDF is refused: its own fault, and never that of a file before it."""

from __future__ import annotations

from itertools import permutations

import pypdfium2
import pytest
from pdf_by_hand import CATALOGUE, PAGE, PAGES, locked, plain, said, stream, written

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.pdf import PdfReader

WHOLE = plain("heated floors")
REASONS = {
    "is protected by a password. Save a copy without one.": locked("heated floors", "ondol"),
    "is protected in a way that Ondol can't read. Save a copy without protection.": written(
        CATALOGUE, PAGES, PAGE, stream(said("x")), trailer=b"/Encrypt << /Filter /Unheard /V 9 >>"
    ),
    "is not a PDF, or a damaged one. Open it in a PDF program and save it again.": WHOLE[:150],
    "has no pages that can be found: it is damaged. Open it in a PDF program and save it again.": written(
        CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000000 >>"
    ),
}


def read(data: bytes) -> list[Document | Failed]:
    return list(PdfReader().read(FileContent("/data/a.pdf", data)))


def texts(found: list[Document | Failed]) -> list[str]:
    return [block.text for one in found if isinstance(one, Document) for block in one.blocks]


def test_each_kind_of_damage_has_its_own_reason_whatever_was_opened_before_it():
    for order in permutations(REASONS):
        for reason in order:
            with pytest.raises(ItemError) as raised:
                read(REASONS[reason])
            assert str(raised.value) == reason
    assert texts(read(WHOLE)) == ["heated floors"]


def test_what_asks_for_a_password_opens_with_it_and_holds_its_text():
    opened = pypdfium2.PdfDocument(locked("heated floors", "ondol"), password="ondol")
    try:
        assert opened[0].get_textpage().get_text_bounded() == "heated floors"
    finally:
        opened.close()


def test_a_file_that_only_its_owner_may_change_is_read_without_a_password():
    assert texts(read(locked("heated floors", ""))) == ["heated floors"]


def test_pages_that_the_file_only_claims_to_have_are_told_together_and_the_others_read():
    found = read(plain("heated floors", b"<< /Type /Pages /Kids [3 0 R] /Count 4000 >>"))
    assert [one.item for one in found if isinstance(one, Failed)] == ["/data/a.pdf#pages 2-4000"]
    assert texts(found) == ["heated floors"]


def test_a_page_tree_that_goes_in_a_circle_gives_the_pages_beside_it():
    assert texts(read(plain("heated floors", b"<< /Type /Pages /Kids [2 0 R 3 0 R 2 0 R] /Count 1000000000 >>"))) == ["heated floors"]
