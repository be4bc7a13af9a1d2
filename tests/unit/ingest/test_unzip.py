from __future__ import annotations

import io
import struct
import zipfile

import pytest
from office_files import zipped

from app.core.errors import ItemError
from ingest.readers.unzip import Unzipped

MB = 1_000_000


def test_members_are_found_without_regard_to_case_or_slashes():
    parts = Unzipped(zipped({"Word\\Document.xml": "text"}), MB)
    assert "word/document.xml" in parts
    assert parts.read("/WORD/document.xml") == b"text"


def test_a_member_that_declares_more_than_may_be_inflated_is_not_begun():
    with pytest.raises(ItemError, match="unpacks to more than 1 MB"):
        Unzipped(zipped({"big": bytes(2 * MB)}), MB).read("big")


def test_the_limit_counts_over_all_members():
    parts = Unzipped(zipped({"a": bytes(600_000), "b": bytes(600_000)}), MB)
    parts.read("a")
    with pytest.raises(ItemError, match="unpacks to more"):
        parts.read("b")


def test_a_member_that_is_larger_than_it_declares_is_damaged_and_not_inflated_further():
    data = zipped({"liar": bytes(5 * MB)})
    lying = data.replace(struct.pack("<I", 5 * MB), struct.pack("<I", 10))
    assert lying != data
    with pytest.raises(ItemError, match="damaged"):
        Unzipped(lying, MB).read("liar")


def test_an_encrypted_member_asks_for_a_copy_without_a_password():
    data = bytearray(zipped({"a": "secret"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ItemError, match="password"):
        Unzipped(bytes(data), MB).read("a")


def test_what_is_no_zip_and_a_missing_member_are_damage():
    with pytest.raises(ItemError, match="damaged"):
        Unzipped(b"no zip at all", MB)
    with pytest.raises(ItemError, match=r"content\.xml is missing"):
        Unzipped(zipped({}), MB).read("content.xml")


def test_a_broken_checksum_is_damage():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a", "unmistakable")
    with pytest.raises(ItemError, match="damaged"):
        Unzipped(data.getvalue().replace(b"unmistakable", b"unmistakably"), MB).read("a")
