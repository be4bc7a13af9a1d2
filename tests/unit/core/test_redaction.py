from __future__ import annotations

import pytest

from app.core.redaction import redact, redact_values


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://kim:S3CRET@db:5432/shop",
        "postgresql+psycopg://kim:S3CRET@with@at@db/shop failed",
        "https://:S3CRET@host/x",
        "host=db user=kim password=S3CRET dbname=shop",
        "host=db password='S3CRET with \\' quote' dbname=shop",
        '{"password": "S3CRET", "user": "kim"}',
        "{'api_key': 'S3CRET'}",
        "Authorization: Bearer S3CRET.S3CRET-S3CRET",
        "Authorization: Basic S3CRETS3CRET==",
        "x-api-key: S3CRET",
        "https://api.example/v1?api_key=S3CRET&model=gpt",
        "the key sk-ondol-S3CRETS3CRETS3CRET is wrong",
        "hf_S3CRETS3CRETS3CRETS3CRET",
        "PGPASSWORD=S3CRET psql",
    ],
)
def test_a_secret_is_hidden_in_every_form_that_programs_write(text: str) -> None:
    assert "S3CRET" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://kim@db:5432/shop",
        "812 tokens in 3 s",
        "tokens=812 max_tokens: 5",
        "http://127.0.0.1:11500/v1/models",
        "C:\\Users\\김\\a.txt",
        "a risk-free day",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_user_host_and_database_stay_readable_beside_the_hidden_password() -> None:
    assert redact("postgresql://kim:pw@db:5432/shop") == "postgresql://kim:***@db:5432/shop"
    assert redact("host=db password=pw dbname=shop") == "host=db password=*** dbname=shop"


def test_values_under_a_secrets_name_are_hidden_whole_at_any_depth() -> None:
    value = {
        "backends": {"gpt": {"config": {"api_key": "plain", "openai-token": "x", "model": "gpt-4", "dsn": ["host=a password=pw"]}}},
        "max_tokens": 5,
    }
    assert redact_values(value) == {
        "backends": {"gpt": {"config": {"api_key": "***", "openai-token": "***", "model": "gpt-4", "dsn": ["host=a password=***"]}}},
        "max_tokens": 5,
    }


def test_a_named_secret_is_hidden_wherever_it_stands() -> None:
    assert redact("x온돌y", ["온돌"]) == "x***y"
