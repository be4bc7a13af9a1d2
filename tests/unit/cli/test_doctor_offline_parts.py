"""The offline report's decisions: what counts as refused, as told, as open; and what its page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.offline import allowed, attempts, told
from app.cli.offline.report import Check, Part, Report, markdown
from app.cli.offline.sockets import Open, judged
from app.core.egress import QUIET, Policy, refusal
from app.core.paths import Home
from app.core.settings import Settings, load_settings
from ingest.book.writer import open_writer


def settings_of(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return load_settings(Home(tmp_path), environ={})


def report_of(*checks: Check) -> Report:
    return Report((("date", "2026-01-01"),), (Part("A part", "How.", checks),))


def test_one_check_that_does_not_hold_makes_the_verdict() -> None:
    assert "holds: all 1" in report_of(Check("a", True, "b")).verdict
    failed = report_of(Check("a", True, "b"), Check("c", False, "d", "do this"))
    assert "1 of 2 checks did not hold" in failed.verdict
    assert "- **DOES NOT HOLD**: c: d\n  - what to do: do this" in markdown(failed)


def test_no_password_and_no_key_stands_on_the_page() -> None:
    page = markdown(report_of(Check("source", True, "postgresql://reader:geheim@db.example/x api_key=sk-ondol-abcdefghijklmnop")))
    assert "geheim" not in page
    assert "abcdefghijklmnop" not in page
    assert "db.example" in page


def test_a_refusal_counts_also_where_a_library_has_wrapped_it() -> None:
    try:
        try:
            raise refusal("hub.example", Policy("offline"))
        except Exception as inner:
            raise ConnectionError("something went wrong") from inner
    except ConnectionError as error:
        refused, how = attempts.judged(error)
    assert refused
    assert "hub.example" in how


def test_an_error_of_the_network_itself_is_no_refusal_of_ours() -> None:
    refused, how = attempts.judged(OSError(101, "Network is unreachable"))
    assert not refused
    assert "Network is unreachable" in how


def test_what_goes_through_is_no_refusal() -> None:
    assert attempts.outcome("", lambda: None) == (False, "it went through")
    assert attempts.outcome("no_such_library", lambda: None) == (True, "not installed")


def test_a_process_that_misses_one_variable_was_not_told() -> None:
    assert told.variables("w", dict(QUIET)).ok
    missed = told.variables("w", {**QUIET, "HF_HUB_OFFLINE": "0", "DO_NOT_TRACK": ""})
    assert not missed.ok
    assert "HF_HUB_OFFLINE=0" in missed.found
    assert "DO_NOT_TRACK=(not set)" in missed.found


def test_a_library_that_would_ask_outside_or_can_not_be_asked_does_not_hold_and_a_missing_one_does() -> None:
    found = {check.what.split("'")[0]: check.ok for check in told.views({"huggingface_hub": False, "transformers": "can't be asked: x"})}
    assert found == {"huggingface_hub": False, "transformers": False, "chromadb": False}
    assert all(check.ok for check in told.views({"huggingface_hub": True, "transformers": "not installed", "chromadb": True}))


def reach(host: str, port: int) -> bool:
    return (host, port) == ("192.0.2.5", 5432)


NEAR = Open("TCP", ("127.0.0.1", 4000), ("127.0.0.1", 11500))
LISTENS = Open("TCP", ("127.0.0.1", 11500), ())
ALLOWED = Open("TCP", ("10.0.0.2", 4001), ("192.0.2.5", 5432))
FAR = Open("TCP", ("10.0.0.2", 4002), ("192.0.2.9", 443))
CLIENT = Open("TCP", ("10.0.0.2", 11500), ("10.0.0.7", 50000))
OWN = Open("TCP", ("10.0.0.2", 4003), ("10.0.0.2", 11500))


def test_loopback_this_machines_own_address_and_configured_hosts_are_no_matter() -> None:
    check = judged("server", [NEAR, LISTENS, ALLOWED, OWN], reach, served=0, asked_for=False)
    assert check.ok
    assert "192.0.2.5:5432, which the configuration names" in check.found
    assert "listens on 127.0.0.1:11500" in check.found


def test_one_connection_beyond_does_not_hold_and_is_named() -> None:
    check = judged("server", [NEAR, FAR], reach, served=0, asked_for=False)
    assert not check.ok
    assert "TCP to 192.0.2.9:443" in check.found


def test_a_client_on_another_machine_counts_only_where_the_server_lets_others_in() -> None:
    assert judged("server", [CLIENT], reach, served=11500, asked_for=False).ok
    assert not judged("server", [CLIENT], reach, served=0, asked_for=False).ok


def test_a_download_that_was_asked_for_may_be_connected() -> None:
    assert judged("download", [FAR], reach, served=0, asked_for=True).ok


def test_every_host_is_shown_with_who_names_it_and_the_setting_with_its_line(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        "network: configured\n"
        "backends: {far: {type: openai, config: {model: m, base_url: 'https://api.example/v1'}}, gpt: {type: openai, config: {model: m}}}\n"
        "sources: {orders: {type: 'a.b:C', config: {host: 'search.internal:9200'}}}\n",
    )
    found = {check.what: check for check in allowed.checks(Home(tmp_path), settings)}
    assert "line 1" in found["the network setting"].found
    assert "api.example" in found["backend `far`"].found
    assert "api.openai.com" in found["backend `gpt`"].found
    assert "search.internal:9200" in found["source `orders`"].found
    assert all(check.ok for check in found.values())


def test_offline_a_backend_that_goes_out_by_its_own_default_does_not_hold(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "network: offline\nbackends: {gpt: {type: openai, config: {model: m}}}\n")
    (failed,) = [check for check in allowed.checks(Home(tmp_path), settings) if not check.ok]
    assert "api.openai.com" in failed.found
    assert "line 2" in failed.found


@pytest.mark.parametrize(
    ("dsn", "environ", "words"),
    [
        ({"host": "db.example", "dbname": "x"}, {"PGHOST": "elsewhere"}, "reaches db.example"),
        ({"host": "localhost", "port": "5433"}, {}, "this machine alone"),
        ({"host": "/var/run/postgresql"}, {}, "this machine alone"),
        ({}, {}, "this machine alone"),
        ({"service": "shop"}, {"PGHOST": "elsewhere"}, "service `shop`"),
        ({"host": "a.example,127.0.0.1"}, {}, "reaches a.example"),
        ({"host": "a.example", "hostaddr": "192.0.2.4"}, {}, "reaches 192.0.2.4"),
        ({}, {"PGHOST": "db.example"}, "reaches db.example"),
        ({}, {"PGSERVICE": "shop"}, "service `shop`"),
    ],
)
def test_an_ingested_database_is_shown_with_where_it_lies(dsn: dict[str, str], environ: dict[str, str], words: str) -> None:
    assert words in allowed.database(dsn, environ)


def test_it_says_whether_other_machines_may_call(tmp_path: Path) -> None:
    def said(text: str) -> str:
        return next(check.found for check in allowed.checks(Home(tmp_path), settings_of(tmp_path, text)) if check.what == "who may call")

    assert "this machine alone" in said("")
    for host in ("0.0.0.0", "192.0.2.4"):
        assert "other machines may call" in said(f"server: {{host: {host}}}")


def test_the_machines_of_ingested_databases_may_be_connected_to(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert allowed.database_hosts(home) == ()
    with open_writer(home, "shop") as writer:
        for host in ("db.example", "127.0.0.1", "/var/run/postgresql"):
            writer.source("postgres", host, {"dsn": {"host": host, "dbname": "x"}})
    assert allowed.database_hosts(home) == ("db.example",)
