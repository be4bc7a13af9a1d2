from __future__ import annotations

from typing import Any

import pytest

from app.chat_page.connection import CONFIGS, ENABLE, HEADERS, KEYS, URLS, Change, Connection, from_docker, plan, settings
from app.core.errors import BadRequest

OURS = Connection("http://127.0.0.1:11500/v1", "sk-ondol-new")
CLOUD = "https://api.openai.com/v1"


def rows(urls: Any, keys: Any, configs: Any, *, on: Any = True, **more: Any) -> dict[str, Any]:
    return {ENABLE: on, URLS: urls, KEYS: keys, CONFIGS: configs, **more}


def after(before: dict[str, Any], wanted: Connection = OURS) -> dict[str, Any]:
    return {**before, **plan(before, wanted).rows}


def test_an_open_webui_that_has_no_settings_yet_gets_one_connection() -> None:
    change = plan({}, OURS)
    assert change.rows == rows([OURS.address], [OURS.key], {"0": settings()})
    assert change.before == ()


def test_the_connection_asks_for_events_and_is_local_and_managed() -> None:
    assert settings() == {
        "enable": True,
        "auth_type": "bearer",
        "connection_type": "local",
        "provider": "llama.cpp",
        "headers": {
            "X-OWUI-Task": "{{TASK}}",
            "X-OWUI-Chat-Id": "{{CHAT_ID}}",
            "X-OWUI-Message-Id": "{{MESSAGE_ID}}",
            "X-OWUI-User-Id": "{{USER_ID}}",
        },
    }


def test_others_before_ours_keep_their_places_keys_and_settings() -> None:
    before = rows([CLOUD, "http://10.0.0.5:8000/v1"], ["sk-a", "sk-b"], {"0": {"enable": True}, "1": {"prefix_id": "gpu"}})
    found = after(before)
    assert found[URLS] == [CLOUD, "http://10.0.0.5:8000/v1", OURS.address]
    assert found[KEYS] == ["sk-a", "sk-b", OURS.key]
    assert found[CONFIGS] == {"0": {"enable": True}, "1": {"prefix_id": "gpu"}, "2": settings()}


def test_ours_between_others_is_mended_where_it_stands() -> None:
    old = settings() | {"provider": "", "headers": HEADERS}
    before = rows([CLOUD, OURS.address, "http://10.0.0.5/v1"], ["sk-a", "sk-ondol-old", "sk-c"], {"1": old, "2": {"tags": []}})
    found = after(before)
    assert found[URLS] == before[URLS]
    assert found[KEYS] == ["sk-a", OURS.key, "sk-c"]
    assert found[CONFIGS] == {"1": settings(), "2": {"tags": []}}


def test_a_second_time_nothing_is_left_to_change() -> None:
    first = after(rows([CLOUD], [""], {}))
    assert plan(first, OURS).rows == {}
    assert plan(first, OURS).reasons == ()


def test_an_entry_with_our_headers_at_another_port_of_this_machine_is_ours_from_before() -> None:
    before = rows(["http://localhost:11600/v1", CLOUD], ["sk-ondol-old", "sk-a"], {"0": settings()})
    change = plan(before, OURS)
    assert change.rows == {URLS: [OURS.address, CLOUD], KEYS: [OURS.key, "sk-a"]}
    assert "the address was http://localhost:11600/v1" in change.reasons
    assert "the key was another one" in change.reasons


def test_an_ondol_on_another_machine_is_not_replaced() -> None:
    before = rows(["http://10.0.0.9:11500/v1"], ["sk-ondol-theirs"], {"0": settings()})
    assert after(before)[URLS] == ["http://10.0.0.9:11500/v1", OURS.address]


@pytest.mark.parametrize("spelt", ["http://localhost:11500/v1", "http://127.0.0.1:11500/v1/", "HTTP://[::1]:11500/v1"])
def test_the_same_address_in_other_words_is_ours_without_any_header(spelt: str) -> None:
    found = after(rows([spelt], ["x"], {}))
    assert found[URLS] == [OURS.address]
    assert found[CONFIGS] == {"0": settings()}


def test_the_name_that_docker_gives_this_machine_counts_as_this_machine() -> None:
    before = rows(["http://host.docker.internal:11500/v1"], [OURS.key], {"0": settings()})
    assert after(before)[URLS] == [OURS.address]


def test_of_two_entries_of_ours_the_second_is_switched_off_and_nothing_moves() -> None:
    before = rows(
        [OURS.address, CLOUD, "http://127.0.0.1:11999/v1", "http://10.0.0.5/v1"], ["old", "sk-a", "old", "sk-d"], {"2": settings(), "3": {}}
    )
    found = after(before)
    assert found[URLS] == [OURS.address, CLOUD, "http://127.0.0.1:11999/v1", "http://10.0.0.5/v1"]
    assert found[KEYS] == [OURS.key, "sk-a", "old", "sk-d"]
    assert found[CONFIGS] == {"0": settings(), "2": settings() | {"enable": False}, "3": {}}
    assert plan(found, OURS).rows == {}


def test_an_entry_of_ours_that_is_in_use_is_preferred_to_one_that_is_switched_off() -> None:
    before = rows(["http://127.0.0.1:1/v1", OURS.address], ["", OURS.key], {"0": settings() | {"enable": False}, "1": settings()})
    assert plan(before, OURS).rows == {}


def test_a_lone_entry_that_was_switched_off_is_switched_on() -> None:
    assert after(rows([OURS.address], [OURS.key], {"0": settings() | {"enable": False}}))[CONFIGS]["0"]["enable"] is True


def test_settings_by_address_of_an_old_version_are_read_and_ours_get_a_place() -> None:
    before = rows([CLOUD, OURS.address], ["sk-a", OURS.key], {CLOUD: {"prefix_id": "o"}, OURS.address: {"prefix_id": "home"}})
    found = after(before)[CONFIGS]
    assert found[CLOUD] == {"prefix_id": "o"}
    assert found["1"] == {"prefix_id": "home", **settings()}


def test_settings_by_place_come_before_those_by_address() -> None:
    before = rows([OURS.address], [OURS.key], {"0": {"prefix_id": "place"}, OURS.address: {"prefix_id": "address"}})
    assert after(before)[CONFIGS]["0"]["prefix_id"] == "place"


def test_what_somebody_added_to_our_entry_stays() -> None:
    old = settings() | {"model_ids": ["company"], "tags": [{"name": "home"}], "headers": {"X-Team": "a"}}
    found = after(rows([OURS.address], [OURS.key], {"0": old}))[CONFIGS]["0"]
    assert found["model_ids"] == ["company"]
    assert found["headers"] == {"X-Team": "a", **HEADERS}


def test_more_keys_than_addresses_are_cut_so_that_none_becomes_ours() -> None:
    assert after(rows([CLOUD], ["sk-a", "sk-stray", "sk-stray"], {}))[KEYS] == ["sk-a", OURS.key]


def test_fewer_keys_than_addresses_are_filled_so_that_ours_is_at_its_place() -> None:
    assert after(rows([CLOUD, "http://10.0.0.5/v1"], [], {}))[KEYS] == ["", "", OURS.key]


def test_settings_left_over_from_a_removed_connection_do_not_become_ours() -> None:
    assert after(rows([CLOUD], ["a"], {"1": {"prefix_id": "old", "enable": False}}))[CONFIGS]["1"] == settings()


@pytest.mark.parametrize(
    ("name", "value"), [(URLS, "http://a/v1"), (URLS, [1]), (URLS, {"0": "x"}), (KEYS, [None]), (KEYS, 5), (CONFIGS, ["x"]), (CONFIGS, "x")]
)
def test_settings_of_an_unknown_shape_are_left_alone_and_named(name: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=name.replace(".", r"\.")):
        plan({**rows([CLOUD], ["a"], {}), name: value}, OURS)


def test_settings_of_one_connection_that_are_no_object_count_as_none() -> None:
    assert after(rows([CLOUD, OURS.address], ["a", "b"], {"0": None, "1": "x"}))[CONFIGS] == {"0": None, "1": settings()}


@pytest.mark.parametrize("url", ["", "not a url", "http://[::1/v1", "http://a:99999/v1"])
def test_an_address_that_is_none_stays_as_it_is(url: str) -> None:
    assert after(rows([url], ["k"], {}))[URLS] == [url, OURS.address]


@pytest.mark.parametrize("on", [False, None])
def test_connections_that_were_switched_off_altogether_are_switched_on(on: Any) -> None:
    change = plan(rows([OURS.address], [OURS.key], {"0": settings()}, on=on), OURS)
    assert change.rows == {ENABLE: True}
    assert change.reasons == ("connections were switched off",)


def test_document_search_and_speech_that_came_to_us_go_along_with_port_and_key() -> None:
    before = rows(["http://127.0.0.1:11600/v1"], ["old"], {"0": settings()}) | {
        "rag.openai.api_base_url": "http://127.0.0.1:11600/v1",
        "rag.openai.api_key": "old",
        "audio.stt.openai.api_base_url": CLOUD,
        "audio.stt.openai.api_key": "sk-a",
    }
    found = after(before)
    assert (found["rag.openai.api_base_url"], found["rag.openai.api_key"]) == (OURS.address, OURS.key)
    assert (found["audio.stt.openai.api_base_url"], found["audio.stt.openai.api_key"]) == (CLOUD, "sk-a")


def test_connections_elsewhere_are_named_unless_they_are_switched_off() -> None:
    found = plan(rows([CLOUD, "http://10.0.0.5/v1", "http://127.0.0.1:8000/v1"], [], {"1": {"enable": False}}), OURS)
    assert found.outside == (CLOUD,)


def test_no_key_stands_in_what_people_are_told() -> None:
    change: Change = plan(rows([OURS.address, CLOUD], ["sk-secret-one", "sk-secret-two"], {}), OURS)
    told = repr((change.before, change.reasons, change.outside, OURS))
    assert "sk-" not in told


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("http://127.0.0.1:11500/v1", "http://host.docker.internal:11500/v1"),
        ("http://[::1]:11500/v1", "http://host.docker.internal:11500/v1"),
        ("http://192.168.0.5:11500", "http://192.168.0.5:11500"),
    ],
)
def test_a_container_names_this_machine_by_dockers_name(address: str, seen: str) -> None:
    assert from_docker(address) == seen
