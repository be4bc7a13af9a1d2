from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_world import World
from s3_program import S3

from app.cli.offline import allowed
from app.core.settings import load_settings
from ingest.readers.contract import Limits
from ingest.report import Report
from ingest.sync import ingest_files
from models.hash_embedder import WordCounter

SECRET = "the-secret-of-this-test"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3]:
    made = S3("docs")
    made.put("office/a.txt", "The floor is warm.")
    made.put("office/휴가/규정 #1.md", "# 휴가\n\n연차는 15일이다.")
    made.put("office/c.jsonl", '{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n')
    made.put("office/photo.xyz", "x")
    made.put("office/.hidden.txt", "hidden")
    made.put("office/folder/", b"")
    made.put("offices.txt", "another prefix")
    with made.serving() as url:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-this-test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield made


def ingest(world: World, *addresses: str, **options: Any) -> Report:
    from ingest.run import Options

    return ingest_files(
        world.home, addresses, "notes", world.embedder, WordCounter(), on_event=world.events.append, options=Options(**options)
    )


def address(s3: S3, rest: str = "/office") -> str:
    return f"s3://{s3.bucket}{rest}"


def test_a_prefix_becomes_documents_named_by_their_addresses(world, s3):
    report = ingest(world, address(s3, "/office/"))
    assert (report.added, report.skipped, report.failed) == (4, 1, ())
    root = address(s3)
    assert world.documents() == {f"{root}/a.txt", f"{root}/휴가/규정 #1.md", f"{root}/c.jsonl#1", f"{root}/c.jsonl#2"}
    assert all("key-of-this-test/" in one and "ap-northeast-2" in one for one in s3.signed)
    world.check()


def test_a_sync_downloads_what_changed_alone_and_removes_what_has_gone(world, s3):
    ingest(world, address(s3))
    s3.asked.clear()
    assert world.sync().unchanged == 4
    assert s3.asked == ["list office/"]
    s3.put("office/a.txt", "The floor is cold now.")
    s3.put("office/new.txt", "new")
    del s3.objects["office/c.jsonl"]
    s3.asked.clear()
    report = world.sync()
    assert (report.added, report.changed, report.unchanged, report.deleted) == (1, 1, 1, 2)
    assert sorted(s3.asked) == ["list office/", "office/a.txt", "office/new.txt"]
    world.check()


def test_a_listing_of_many_pages_is_read_to_its_end(world, s3):
    for number in range(170):
        s3.put(f"many/{number}.txt", f"note {number}")
    assert ingest(world, address(s3, "/many")).added == 170


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "refused the credentials: AccessDenied (403). Set AWS_ACCESS_KEY_ID"),
        (404, "NoSuchBucket", "There is no bucket"),
        (400, "AuthorizationHeaderMalformed", "can't be reached: AuthorizationHeaderMalformed (400)"),
    ],
)
def test_a_bucket_that_refuses_empties_nothing_and_says_what_to_do(world, s3, status, code, said):
    ingest(world, address(s3))
    s3.refuse = (status, code)
    report = world.sync()
    assert said in report.error
    assert len(world.documents()) == 4
    (failed,) = ingest(world, address(s3, "/other")).failed
    assert said in failed.reason
    s3.refuse = None
    assert world.sync().ok


def test_a_listing_that_breaks_off_empties_nothing(world, s3, monkeypatch):
    monkeypatch.setattr("ingest.remote.bucket.RETRIES", 0)
    for number in range(70):
        s3.put(f"office/{number}.txt", f"note {number}")
    ingest(world, address(s3))
    s3.break_after = 1
    report = world.sync()
    assert "can't be reached: InternalError (500)" in report.error
    assert len(world.documents()) == 74


def test_a_bucket_that_is_not_there_or_empty_empties_nothing(world, s3, monkeypatch):
    monkeypatch.setattr("ingest.remote.bucket.RETRIES", 0)
    ingest(world, address(s3))
    kept, s3.objects = s3.objects, {}
    assert "There is nothing at" in world.sync().error
    s3.objects = kept
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "can't be reached" in world.sync().error
    assert len(world.documents()) == 4


def test_an_object_that_cannot_be_had_keeps_its_documents_and_the_rest_goes_on(world, s3):
    ingest(world, address(s3))
    s3.put("office/a.txt", "changed")
    s3.put("office/new.txt", "new")
    s3.refuse_keys["office/a.txt"] = (403, "InvalidObjectState")
    report = world.sync(retry=True)
    (failed,) = report.failed
    assert "can't be downloaded: InvalidObjectState (403)" in failed.reason
    assert (report.added, report.deleted, len(world.documents())) == (1, 0, 5)


def test_a_bucket_whose_downloads_all_fail_is_given_up(world, s3):
    for number in range(30):
        s3.put(f"bad/{number:02}.txt", f"note {number}")
        s3.refuse_keys[f"bad/{number:02}.txt"] = (403, "AccessDenied")
    report = None
    with pytest.raises(Exception, match="is out of reach"):
        report = ingest(world, address(s3, "/bad"))
    assert report is None
    assert len([asked for asked in s3.asked if asked.startswith("bad/")]) < 30


def test_large_and_empty_objects_fail_without_a_download(world, s3):
    s3.put("odd/big.txt", "x" * 2000)
    s3.put("odd/empty.txt", "")
    s3.put("odd/good.txt", "good")
    report = ingest(world, address(s3, "/odd"), limits=Limits(file_bytes=1000))
    reasons = {item.item.rsplit("/")[-1]: item.reason for item in report.failed}
    assert "larger than 0.001 MB" in reasons["big.txt"]
    assert "is empty" in reasons["empty.txt"]
    assert report.added == 1
    assert [asked for asked in s3.asked if asked.startswith("odd/")] == ["odd/good.txt"]


def test_one_object_can_be_named(world, s3):
    report = ingest(world, address(s3, "/office/a.txt"))
    assert report.added == 1
    assert world.sync().unchanged == 1


def test_no_credential_is_kept(world, s3):
    ingest(world, address(s3))
    for file in world.home.root.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes()


def test_the_offline_report_names_the_bucket(world, s3):
    ingest(world, address(s3))
    told = [check for check in allowed.checks(world.home, load_settings(world.home, environ={})) if "bucket" in check.what]
    assert [(check.what, "reaches it" in check.found) for check in told] == [(f"bucket `{address(s3)}` (store `notes`)", True)]


def test_a_profile_of_the_aws_files_is_used_where_the_environment_names_no_key(world, s3, monkeypatch, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[work]\naws_access_key_id = from-a-file\naws_secret_access_key = x\n")
    (tmp_path / ".aws" / "config").write_text("[profile work]\nregion = eu-west-3\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert ingest(world, address(s3)).added == 4
    assert all("from-a-file/" in one and "eu-west-3" in one for one in s3.signed)


def test_without_the_library_the_error_names_the_extra(world, s3, monkeypatch):
    ingest(world, address(s3))
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert "pip install 'ondol[remote]'" in world.sync().error
    assert len(world.documents()) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [("ftp://host/x", "Readable are s3://"), ("s3://key:secret@bucket/x", "Leave them out"), ("s3:///x", "names no bucket")],
)
def test_an_address_that_cannot_be_read_says_why(world, text, said):
    (failed,) = ingest(world, text).failed
    assert said in failed.reason
    assert world.sql("SELECT count(*) FROM sources") == [(0,)]


def test_an_address_of_this_machine_is_a_folder(world, tmp_path):
    folder = tmp_path / "한 글"
    folder.mkdir()
    (folder / "a.txt").write_text("text")
    assert ingest(world, folder.as_uri()).added == 1
    assert world.documents() == {(folder / "a.txt").as_posix()}
