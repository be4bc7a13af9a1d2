from __future__ import annotations

import pytest

from app.core.hosts import is_this_machine, matches, named_in, normal, split


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "db.localhost",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "",
    ],
)
def test_every_spelling_of_loopback_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "localhost.example.org", "127.0.0.1.example.org", "0177.0.0.1", "10.0.0.1"]
)
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_this_machine(host)


def test_one_machine_has_one_spelling() -> None:
    assert normal("API.OpenAI.com.") == "api.openai.com"
    assert normal("[2001:DB8:0:0::1]") == "2001:db8::1"
    assert normal("fe80::1%eth0") == "fe80::1"
    assert normal("::ffff:192.0.2.1") == "192.0.2.1"
    assert normal("회사.kr") == normal("xn--vf4b131b.kr") == "xn--vf4b131b.kr"


def test_a_place_is_a_host_with_or_without_a_port() -> None:
    assert split("db:5432") == ("db", 5432)
    assert split("db") == ("db", None)
    assert split("[::1]:80") == ("::1", 80)
    assert split("2001:db8::1") == ("2001:db8::1", None)
    with pytest.raises(ValueError, match="no host"):
        split("two words")


def test_a_place_with_a_port_covers_that_port_alone_and_a_star_covers_names_below() -> None:
    assert matches("db:5432", "db", 5432)
    assert not matches("db:5432", "db", 22)
    assert matches("db:5432", "db", None)
    assert matches("*.hf.co", "cdn.hf.co", 443)
    assert not matches("*.hf.co", "hf.co", 443)
    assert not matches("*.hf.co", "evilhf.co", 443)


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("postgresql://me:p@ss@db.example:5433/shop?sslmode=require", ["db.example:5433"]),
        ("postgresql+psycopg://a:1,b:2/x", ["a:1", "b:2"]),
        ({"dsn": "host=db.example port=5432 user=me password='host=evil'"}, ["db.example"]),
        ({"dsn": "host=/var/run/postgresql dbname=x"}, []),
        ({"base_url": "https://api.example/v1", "model": "gpt-4"}, ["api.example"]),
        ({"host": "localhost:9200", "index": "company-docs"}, ["localhost:9200"]),
        ({"host": "db.example", "port": 5432}, ["db.example:5432"]),
        ({"hosts": ["a.example", "b.example:9200"]}, ["a.example", "b.example:9200"]),
        ({"nested": {"url": "http://[2001:db8::1]:8080/"}}, ["[2001:db8::1]:8080"]),
        ({"model": "gpt-4", "question": "what is a host: name"}, []),
    ],
)
def test_the_places_that_a_configuration_names_are_found_wherever_they_are_written(value: object, places: list[str]) -> None:
    assert list(named_in(value)) == places
