from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.core.egress import Guard, Policy, policy_for, quiet_libraries
from app.core.errors import EgressRefused


@contextmanager
def socket_of(family: socket.AddressFamily) -> Iterator[socket.socket]:
    with socket.socket(family) as made:
        yield made


def found(address: str) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]


def test_loopback_is_always_reached_and_an_unnamed_host_never() -> None:
    guard = Guard(Policy())
    guard.check("127.0.0.1", 5432)
    guard.check("::1", 80)
    with pytest.raises(EgressRefused, match=r"192\.0\.2\.1:443"):
        guard.check("192.0.2.1", 443)


def test_a_refusal_names_the_host_and_the_setting() -> None:
    with pytest.raises(EgressRefused) as configured:
        Guard(Policy()).check("api.example")
    assert "api.example" in str(configured.value)
    assert "configuration" in str(configured.value)
    with pytest.raises(EgressRefused, match="network: offline"):
        Guard(Policy("offline")).check("api.example")


def test_the_addresses_of_an_allowed_name_become_reachable_on_its_port_alone() -> None:
    guard = Guard(Policy(places=("db.example:5432",)))
    assert not guard.may_reach("192.0.2.7", 5432)
    guard.learn("db.example", found("192.0.2.7"))
    assert guard.may_reach("192.0.2.7", 5432)
    assert not guard.may_reach("192.0.2.7", 22)


def test_an_allowance_ends_with_its_block_and_so_do_the_addresses_that_it_resolved() -> None:
    guard = Guard(Policy())
    with guard.allow("hub.example", "*.cdn.example"):
        guard.check("hub.example", 443)
        guard.check("eu.cdn.example", 443)
        guard.learn("hub.example", found("192.0.2.8"))
        guard.check("192.0.2.8", 443)
    assert not guard.may_reach("hub.example", 443)
    assert not guard.may_reach("192.0.2.8", 443)


def test_one_allowance_that_ends_leaves_another_of_the_same_host_open() -> None:
    guard = Guard(Policy())
    with guard.allow("hub.example"):
        with guard.allow("hub.example"):
            pass
        assert guard.may_reach("hub.example")
    assert guard.places() == ()


def test_an_allowance_opens_the_way_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:3128")
    guard = Guard(Policy())
    assert not guard.may_reach("proxy.example", 3128)
    with guard.allow("hub.example"):
        assert guard.may_reach("proxy.example", 3128)
        assert not guard.may_reach("proxy.example", 22)


def test_offline_grants_no_allowance() -> None:
    with pytest.raises(EgressRefused, match="offline"), Guard(Policy("offline")).allow("hub.example"):
        pass


def test_a_database_named_to_ingest_is_reached_under_every_setting_while_it_is_connected_to() -> None:
    for network in ("configured", "offline"):
        guard = Guard(Policy(network))
        with guard.data_source("db.example"):
            guard.check("db.example", 5432)
        with pytest.raises(EgressRefused):
            guard.check("db.example", 5432)


def test_offline_leaves_the_backends_out_and_keeps_the_sources() -> None:
    backends, sources = [{"base_url": "https://api.example/v1"}], [{"dsn": "postgresql://db.example:5432/x"}, {"host": "localhost:9200"}]
    assert policy_for("configured", backends=backends, sources=sources).places == ("api.example", "db.example:5432")
    assert policy_for("offline", backends=backends, sources=sources).places == ("db.example:5432",)


def test_an_address_written_as_ipv4_in_ipv6_is_judged_as_the_ipv4_that_it_is() -> None:
    guard = Guard(Policy(places=("192.0.2.7",)))
    assert guard.may_reach("::ffff:192.0.2.7", 80)
    assert not guard.may_reach("::ffff:192.0.2.8", 80)


def test_the_hook_judges_internet_sockets_and_leaves_others_alone() -> None:
    guard = Guard(Policy())
    with socket_of(socket.AF_INET) as inet, socket_of(socket.AF_INET6) as inet6:
        for sock, address in ((inet, ("192.0.2.1", 80)), (inet6, ("2001:db8::1", 80, 0, 0))):
            for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
                with pytest.raises(EgressRefused):
                    guard.hook(event, (sock, address))
        guard.hook("socket.sendmsg", (inet, None))
    if hasattr(socket, "AF_UNIX"):
        with socket_of(socket.AF_UNIX) as unix:
            guard.hook("socket.connect", (unix, "/run/somewhere"))
    guard.hook("open", ("a file", "r", 0))
    guard.hook("socket.getaddrinfo", (None, 80, 0, 0, 0))


def test_libraries_are_told_to_stay_home_by_their_own_variables() -> None:
    environ = {"HF_HUB_OFFLINE": "0", "OTHER": "kept"}
    quiet_libraries(environ)
    assert environ["HF_HUB_OFFLINE"] == "1"
    assert environ["ANONYMIZED_TELEMETRY"] == "False"
    assert environ["OTHER"] == "kept"
