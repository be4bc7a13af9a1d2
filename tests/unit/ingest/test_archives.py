from __future__ import annotations

import io
import stat
import zipfile
import zlib

import pytest

from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent, Limits
from ingest.readers.registry import Readers
from ingest.reading.whole import read_whole

READERS = Readers()


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes | str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def read(data: bytes, **limits: int) -> list[Document | Failed]:
    return list(read_whole(FileContent("/data/a.zip", data, limits=Limits(**limits)), READERS))


def said(found: list[Document | Failed]) -> dict[str, str]:
    return {item.id: item.blocks[0].text for item in found if isinstance(item, Document)}


def failed(found: list[Document | Failed]) -> dict[str, str]:
    return {item.item: item.reason for item in found if isinstance(item, Failed)}


def test_each_file_of_an_archive_is_read_by_its_kind_and_named_by_its_path_there():
    found = read(packed(("문서/메모.txt", "온돌은 따뜻하다."), ("rows.csv", "id,name\n7,mat\n"), ("photo.xyz", "x"), ("empty/", "")))
    assert said(found) == {"/data/a.zip#문서/메모.txt": "온돌은 따뜻하다.", "/data/a.zip#rows.csv#7": "id: 7\nname: mat"}
    assert not failed(found)
    assert [item.title for item in found if isinstance(item, Document)] == ["메모", "mat"]


def test_names_that_korean_windows_wrote_without_a_mark_are_read():
    data = packed(("QQQQQQQQ.txt", "hello")).replace(b"QQQQQQQQ", "한글이름".encode("cp949"))
    assert said(read(data)) == {"/data/a.zip#한글이름.txt": "hello"}
    data = packed(("QQQQQQQQQQQQ.txt", "hello")).replace(b"QQQQQQQQQQQQ", "한글이름".encode())
    assert said(read(data)) == {"/data/a.zip#한글이름.txt": "hello"}


def test_an_archive_in_an_archive_is_read_down_to_the_depth_that_is_allowed():
    data = packed(("deep.txt", "deep"))
    for _ in range(4):
        data = packed(("in.zip", data))
    assert said(read(data)) == {"/data/a.zip#in.zip#in.zip#in.zip#in.zip#deep.txt": "deep"}
    found = read(packed(("good.txt", "good"), ("in.zip", data)))
    assert said(found) == {"/data/a.zip#good.txt": "good"}
    (reason,) = failed(found).values()
    assert "holds archives that lie more than 5 deep" in reason


def test_what_is_packed_too_small_for_a_document_is_not_unpacked():
    found = read(packed(("good.txt", "good"), ("in.zip", packed(("bomb.txt", b"0" * 30_000_000))), ("more.txt", "more")))
    assert said(found) == {"/data/a.zip#good.txt": "good"}
    assert "holds bomb.txt, which grows more than 200 times" in failed(found)["/data/a.zip"]


def test_an_archive_stops_at_its_unpacked_bytes_also_over_nested_ones():
    inner = packed(*((f"{number}.txt", f"{number} " * 400) for number in range(20)))
    found = read(packed(("a.zip", inner), ("b.zip", inner)), unpacked_bytes=30_000)
    assert len(said(found)) > 20
    assert "unpacks to more than 0.03 MB" in failed(found)["/data/a.zip"]


def test_an_archive_of_too_many_files_stops():
    found = read(packed(*((f"{number}.txt", "x") for number in range(20))), inner_files=10)
    assert len(said(found)) == 10
    assert "holds more than 10 files" in failed(found)["/data/a.zip"]


def test_a_file_in_an_archive_is_no_larger_than_one_outside():
    found = read(packed(("big.txt", bytes(range(32, 127)) * 20), ("good.txt", "good"), ("empty.txt", " ")), file_bytes=1000)
    assert said(found) == {"/data/a.zip#good.txt": "good"}
    assert "is larger than 0.001 MB" in failed(found)["/data/a.zip#big.txt"]
    assert "is empty" in failed(found)["/data/a.zip#empty.txt"]


def test_paths_that_lead_out_of_the_archive_are_names_and_links_and_hidden_files_are_passed_over():
    link = zipfile.ZipInfo("link.txt")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    data = packed(("../../etc/a.txt", "up"), ("/abs/b.txt", "abs"), (link, "/etc/passwd"), ("__MACOSX/._c.txt", "x"), (".git/d.txt", "x"))
    assert said(read(data)) == {"/data/a.zip#../../etc/a.txt": "up", "/data/a.zip#/abs/b.txt": "abs"}


def test_an_encrypted_entry_is_one_failure_and_the_others_are_read():
    data = bytearray(packed(("secret.txt", "secret"), ("good.txt", "good")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    found = read(bytes(data))
    assert said(found) == {"/data/a.zip#good.txt": "good"}
    assert "protected by a password" in failed(found)["/data/a.zip#secret.txt"]


def test_a_damaged_entry_is_one_failure_and_the_others_are_read():
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("bad.txt", "a sentence that is damaged")
        archive.writestr("good.txt", "good")
    found = read(stored.getvalue().replace(b"is damaged", b"WAS DAMAGE"))
    assert said(found) == {"/data/a.zip#good.txt": "good"}
    assert "is damaged in the archive" in failed(found)["/data/a.zip#bad.txt"]


@pytest.mark.parametrize(
    "data",
    [b"PK\x03\x04 but no more", packed(("a.txt", "a" * 100))[:-30], b"no archive at all"],
    ids=["a beginning", "no end", "no archive"],
)
def test_what_is_no_archive_is_one_failure(data: bytes):
    (found,) = read(data)
    assert isinstance(found, Failed)
    assert "is not a readable ZIP archive" in found.reason


def test_entries_that_overlap_cost_no_more_than_the_limit():
    # One deflated kernel that 3,000 entries of the directory point at.
    kernel = packed(("0000.txt", zlib.compress(bytes(range(256)) * 40, 0)))
    local, directory = kernel[: kernel.index(b"PK\x01\x02")], kernel[kernel.index(b"PK\x01\x02") : kernel.index(b"PK\x05\x06")]
    many = directory * 3_000
    end = b"PK\x05\x06" + bytes(4) + (3_000).to_bytes(2, "little") * 2 + len(many).to_bytes(4, "little") + len(local).to_bytes(4, "little")
    found = read(local + many + end + bytes(2), unpacked_bytes=1_000_000)
    assert "unpacks to more than 1 MB" in failed(found)["/data/a.zip"]
