from __future__ import annotations

import unicodedata

import pytest

from tray.diagnosis.scrub import LONGEST_PART, Scrub, named_secrets, texts_in


@pytest.mark.parametrize(
    "text",
    [
        "reading postgresql://reader:s3cret@db.corp:5432/shop?sslmode=require now",
        "dsn=postgresql+psycopg://reader@db.corp/shop",
        "('mysql://root@db.corp/x')",
        "host=db.corp dbname=shop user=reader",
        "connecting with user='re ader' password='it\\'s' host=db.corp",
        '{"url": "mongodb+srv://a:b@db.corp/x"}',
    ],
)
def test_addresses_of_databases_go_whole(text: str) -> None:
    hidden = Scrub().text(text)
    assert "db.corp" not in hidden
    assert "shop" not in hidden
    assert "***" in hidden


def test_what_is_no_address_of_a_database_stays() -> None:
    text = "INFO Ondol 0.1.0 listens on http://127.0.0.1:11500, store shop: 12 documents, port=11500"
    assert Scrub(["zzzz"]).text(text) == text


@pytest.mark.parametrize("form", ['p@s"s w', "p%40s%22s%20w", 'p@s\\"s w'])
def test_a_known_secret_is_hidden_in_every_form(form: str) -> None:
    assert Scrub(['p@s"s w']).text(f"<{form}>") == "<***>"


def test_a_secret_within_a_secret_leaves_no_rest() -> None:
    assert Scrub(["abcd", "abcdefgh"]).text("abcdefgh abcd") == "*** ***"


def test_short_texts_are_no_secrets_that_could_be_told_from_words() -> None:
    assert Scrub(["a", "the"]).text("the cat") == "the cat"


def test_the_users_own_folder_is_not_named() -> None:
    assert Scrub((), [("/srv/kim/ondol", "<data>"), ("/srv/kim", "~")]).text("/srv/kim/ondol/key /srv/kim/x") == "<data>/key ~/x"


@pytest.mark.parametrize(
    ("folder", "written"),
    [
        ("C:\\Users\\김온돌", "C:\\\\Users\\\\김온돌"),
        ("C:\\Users\\김온돌", "C:\\\\Users\\\\\\uae40\\uc628\\ub3cc"),
        ("/srv/김온돌", "/srv/%EA%B9%80%EC%98%A8%EB%8F%8C"),
        ("/srv/김온돌", unicodedata.normalize("NFD", "/srv/김온돌")),
    ],
)
def test_the_users_own_folder_is_not_named_in_any_form(folder: str, written: str) -> None:
    assert Scrub((), [(folder, "~")]).text(f"<{written}/x>") == "<~/x>"


def test_a_librarys_error_in_place_of_a_part_is_scrubbed_before_it_is_cut() -> None:
    secret = "한빛-2026-비밀번호"
    error = ValueError(f"{'x' * (LONGEST_PART - 40)} {secret} at /srv/kim/x\n[SQL: SELECT 1]\n[parameters: ('비밀 계약',)]")
    said = Scrub([secret], [("/srv/kim", "~")]).error(error)
    assert said.startswith("not available: ValueError: xxx")
    assert secret[:4] not in said
    assert "kim" not in said
    assert "계약" not in said
    assert len(said) <= LONGEST_PART + 1


def test_settings_keep_their_shape_and_lose_addresses() -> None:
    settings = {
        "sources": {"shop": {"config": {"dsn": "whatever it is", "table": "tickets", "limit": 3, "hosts": ["postgres://a@b/c"]}}},
        "backends": {
            "cloud": {
                "config": {
                    "api_key": "of no shape",
                    "model": "sk-1234567890abcdef",
                    "base_url": "https://me:pw@api.example/v1",
                    "none": None,
                }
            }
        },
    }
    assert Scrub().values(settings) == {
        "sources": {"shop": {"config": {"dsn": "***", "table": "tickets", "limit": 3, "hosts": ["postgres://***"]}}},
        "backends": {"cloud": {"config": {"api_key": "***", "model": "sk-***", "base_url": "***", "none": None}}},
    }


LOG = [
    "2026-05-04T09:30:00.125+09:00 INFO server 1f0c app.pipeline.answer: answered in 812 ms",
    "2026-05-04T09:30:00.126+09:00 DEBUG server 1f0c app.pipeline.answer: question: 제 연봉은 얼마인가요?",
    "ggml_init: loaded",
]


def test_lines_that_may_quote_a_chat_are_left_out() -> None:
    assert Scrub().log(LOG, ours=True) == [LOG[0], LOG[2]]


def test_a_librarys_error_does_not_bring_its_statement_and_rows_along() -> None:
    record = "2026-05-04T09:30:00.125+09:00 ERROR ingest - ingest.sync: failed"
    trace = ["Traceback (most recent call last):", '  File "x.py", line 3, in f', "IntegrityError: UNIQUE constraint failed"]
    quoted = ["[SQL: INSERT INTO chunks]", "[parameters: ('비밀 계약',)]", "DETAIL:  Key (name)=(비밀 계약)"]
    line = "\\n".join([record, *trace, *quoted])
    (kept,) = Scrub().log([line], ours=True)
    assert kept.endswith("line 3, in f\\nIntegrityError: UNIQUE constraint failed")


def test_a_long_part_of_a_line_is_cut() -> None:
    (kept,) = Scrub().log(["ValueError: " + "문서의 글 " * 500], ours=True)
    assert len(kept) == LONGEST_PART + 1


def test_of_a_foreign_programs_log_only_when_how_grave_and_where_is_kept() -> None:
    lines = [
        "2026-11-22 14:42:50.677 | INFO     | uvicorn.protocols.http:send:482 - 127.0.0.1 - 'GET /?q=제 연봉은'",
        "제 연봉은 얼마인가요?",
        "Traceback (most recent call last):",
    ]
    assert Scrub().log(lines, ours=False) == ["2026-11-22 14:42:50.677 | INFO     | uvicorn.protocols.http:send:482"]


def test_a_settings_file_gives_its_secrets_away_however_it_is_written_or_broken() -> None:
    text = "a: {api_key: one-1, model: m}\n  password: 'two 2'\ntoken : \"three\"\nlog: [\nCLIENT_SECRET: four # why\nname: five"
    assert list(named_secrets(text)) == ["one-1", "two 2", "three", "four"]


def test_a_damaged_file_of_passwords_still_gives_them_away() -> None:
    assert list(texts_in('{"postgresql://a@b/c": "p\\"w", "x": "비밀", "y": "cut')) == ["postgresql://a@b/c", 'p"w', "x", "비밀", "y"]
