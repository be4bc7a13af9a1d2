from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadSetting
from app.core.paths import Home
from app.core.settings import AssistantSettings, Settings, describe, dump, load_settings, plain, redacted

DESIGN_EXAMPLE = """
ai_backend:      {type: openai, config: {model: gpt-4, api_key: "${OPENAI_API_KEY}", temperature: 0.7}}
data_source:     {type: elasticsearch, config: {host: "localhost:9200", index: company-docs}}
processing:      {max_context_length: 4000, chunk_overlap: 200, search_top_k: 10}
response_format: {structured: true, include_sources: true, max_length: 2000}
"""
FULL = """
server: {host: 0.0.0.0, port: 8080, allowed_hosts: [host.docker.internal]}
network: configured
backends:
  gpt:
    type: openai
    config: {base_url: "https://api.example/v1"}
sources:
  주문:
    type: postgres
    config: {dsn: "postgresql://kim:secret@db.example/shop"}
    weight: 2
    deadline: 3
assistants:
  회사 안내:
    backend: gpt
    sources: [주문]
    style: quote
    threshold: 0.4
"""


def load(tmp_path: Path, text: str | bytes = "", environ: dict[str, str] | None = None, flags: dict[str, Any] | None = None) -> Settings:
    (tmp_path / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(Home(tmp_path), environ=environ or {}, flags=flags)


def complaint(tmp_path: Path, text: str | bytes, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(BadSetting) as caught:
        load(tmp_path, text, environ)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "server:\n", "\ufeff", "backends: {}\r\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert plain(load(tmp_path, text)) == plain(Settings())


def test_no_file_is_the_defaults_too(tmp_path: Path) -> None:
    assert load_settings(Home(tmp_path), environ={}) == Settings()


def test_the_plain_form_of_the_design_loads_as_it_stands(tmp_path: Path) -> None:
    settings = load(tmp_path, DESIGN_EXAMPLE, {"OPENAI_API_KEY": "sk-from-environment"})
    assert settings.backends["default"].type == "openai"
    assert settings.backends["default"].config == {"model": "gpt-4", "api_key": "sk-from-environment", "temperature": 0.7}
    assert settings.sources["default"].config["host"] == "localhost:9200"
    assert settings.assistants == {"assistant": AssistantSettings(backend="default", model="gpt-4", sources=("default",), top_k=10)}
    assert settings.response_format.max_length == 2000
    assert settings.ai_backend is None


def test_the_full_form_loads_with_korean_names(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL)
    assert settings.server.port == 8080
    assert settings.assistants["회사 안내"].sources == ("주문",)
    assert settings.sources["주문"].weight == 2.0
    assert settings.assistants["회사 안내"].threshold == 0.4


def test_a_file_that_begins_with_a_byte_order_mark_and_windows_line_ends_loads(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfserver:\r\n  port: 1234\r\n").server.port == 1234


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path: Path) -> None:
    text = "server: {port: 1}\nlog: {level: error}\n"
    assert load(tmp_path, text).server.port == 1
    assert load(tmp_path, text, {"ONDOL_PORT": "2"}).server.port == 2
    assert load(tmp_path, text, {"ONDOL_PORT": "2"}, {"server.port": 3, "server.host": None}).server.port == 3
    assert load(tmp_path, text, {"ONDOL_PORT": ""}).server == msgspec.structs.replace(Settings().server, port=1)


def test_the_environment_reaches_every_scalar_by_section_and_key(tmp_path: Path) -> None:
    environ = {
        "ONDOL_LOG__LEVEL": "debug",
        "ONDOL_MODELS__IDLE_MINUTES": "1.5",
        "ONDOL_RESPONSE_FORMAT__STRUCTURED": "true",
        "ONDOL_NETWORK": "offline",
        "ONDOL_SERVER__ALLOWED_HOSTS": "a.example, b.example",
        "ONDOL_HOME": "/ignored",
    }
    settings = load(tmp_path, "", environ)
    assert (settings.log.level, settings.models.idle_minutes, settings.network) == ("debug", 1.5, "offline")
    assert settings.response_format.structured is True
    assert settings.server.allowed_hosts == ("a.example", "b.example")


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    assert "environment variable ONDOL_PORT: `server.port`" in complaint(tmp_path, "", {"ONDOL_PORT": "eleven"})
    message = complaint(tmp_path, "", {"ONDOL_LOG__LEVLE": "info"})
    assert "ONDOL_LOG__LEVLE" in message
    assert "Did you mean `log.level`?" in message


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_right_one(tmp_path: Path) -> None:
    message = complaint(tmp_path, "server:\n  port: 1\n  alowed_hosts: []\n")
    assert "config.yaml has a problem" in message
    assert "line 3: `server.alowed_hosts` is no setting. Did you mean `server.allowed_hosts`?" in message


def test_a_right_key_at_the_wrong_level_is_told_where_it_belongs(tmp_path: Path) -> None:
    assert "line 1: `port` is no setting. Did you mean `server.port`?" in complaint(tmp_path, "port: 1\n")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    message = complaint(tmp_path, "server: {port: 70000}\nlog:\n  level: loud\n  files: many\nnetwrk: x\nbackends:\n  a: {config: {}}\n")
    assert "5 problems" in message
    assert "line 1: `server.port`: expected a whole number <= 65535" in message
    assert "line 3: `log.level`: expected one of debug, info, warning, error" in message
    assert "line 4: `log.files`: expected a whole number, got text" in message
    assert "line 5: `netwrk` is no setting. Did you mean `network`?" in message
    assert "line 7: `backends.a` needs `type`" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server: 11500\n", "line 1: `server` takes settings below it"),
        ("backends: [a, b]\n", "line 1: `backends` takes names"),
        ("server: {host: 1}\n", "expected text, got a whole number (put it in quotes)"),
        ("assistants:\n  a: {sources: handbook}\n", "line 2: `assistants.a.sources`: expected a list, got text"),
        ("models: {default: no}\n", "expected text, got true or false (put it in quotes)"),
        ("- a\n- b\n", "line 1: expected `key: value` lines"),
        ("just words\n", "line 1: expected `key: value` lines"),
        ("backends:\n  [a, b]: {type: a}\n", "line 2: expected a name before the colon"),
        ("ingest: {chunk_tokens: 100, chunk_overlap: 100}\n", "must be smaller"),
    ],
)
def test_a_value_of_the_wrong_shape_is_told_with_what_was_expected(tmp_path: Path, text: str, words: str) -> None:
    assert words in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server:\n\tport: 1\n", "line 2: a tab stands where YAML wants spaces"),
        ("server: {port: 1\nlog: {}\n", "line 2"),
        ("server:\n  port: 1\n  port: 2\n", "line 3: `port` stands twice: first at line 2"),
        ("log: {}\nserver: {}\nlog: {}\n", "line 3: `log` stands twice: first at line 1"),
        ("backends:\n  a: {type: x, config: {key: ${KEY}}}\n", 'in quotes: "${NAME}"'),
        ("server: !!python/object/apply:os.system [ls]\n", "line 1: the tag !!python/object/apply:os.system can't be used here"),
        ("backends: {a: {type: !mine x}}\n", "the tag !mine can't be used"),
        ("backends: &a\n  b: *a\n", "contains itself"),
        ("a: *missing\n", "undefined alias"),
        ("server: {port: 1}\n---\nlog: {}\n", "single document"),
        ('server: {host: "\x07"}\n', "no YAML text"),
        ("a: " + "[" * 3000 + "\n", "a problem"),
    ],
)
def test_what_is_no_good_yaml_is_told_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert words in complaint(tmp_path, text)


def test_a_file_in_another_encoding_is_told_in_words(tmp_path: Path) -> None:
    assert "not UTF-8" in complaint(tmp_path, "server: {host: 온돌}".encode("cp949"))
    assert "not UTF-8" in complaint(tmp_path, "server: {}".encode("utf-16"))


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = """
    sources:
      a: &base {type: postgres, weight: 2, config: {dsn: x}}
      b: {<<: *base, weight: 3}
    """
    sources = load(tmp_path, text).sources
    assert (sources["b"].type, sources["b"].weight, sources["a"].weight) == ("postgres", 3.0, 2.0)


def test_a_time_a_date_and_a_name_that_looks_like_a_value_stay_the_text_that_they_are(tmp_path: Path) -> None:
    config = load(tmp_path, "sources: {a: {type: x, config: {since: 2024-01-31, at: 12:30, on: 'yes', 1: b}}}\n").sources["a"].config
    assert config == {"since": "2024-01-31", "at": "12:30", "on": "yes", "1": "b"}


def test_variables_are_expanded_with_defaults_and_can_be_escaped(tmp_path: Path) -> None:
    text = """
    backends:
      a:
        type: x
        config:
          one: "${ONE}"
          inside: "a ${ONE} b ${TWO:-zwei} c"
          empty: "${EMPTY:-filled}"
          literal: "$${ONE} $ONE $"
          list: ["${ONE}"]
    server: {port: "${PORT}"}
    response_format: {structured: "${YES}"}
    """
    settings = load(tmp_path, text, {"ONE": "1", "EMPTY": "", "PORT": "8080", "YES": "true"})
    assert settings.backends["a"].config == {
        "one": "1",
        "inside": "a 1 b zwei c",
        "empty": "filled",
        "literal": "${ONE} $ONE $",
        "list": ["1"],
    }
    assert settings.server.port == 8080
    assert settings.response_format.structured is True


def test_a_missing_variable_is_told_with_its_line_and_name(tmp_path: Path) -> None:
    message = complaint(tmp_path, DESIGN_EXAMPLE)
    assert "line 2: the environment variable OPENAI_API_KEY is not set" in message
    assert "line 1: after `${` comes" in complaint(tmp_path, 'models: {default: "${not a name}"}\n')


def test_an_assistant_that_names_a_backend_which_there_is_not_is_told_the_nearest(tmp_path: Path) -> None:
    message = complaint(tmp_path, FULL.replace("backend: gpt", "backend: gtp"))
    assert "line 16: `assistants.회사 안내` names the backend `gtp`, which there is not. Did you mean `gpt`?" in message


def test_an_assistant_may_name_the_local_backend_and_a_store_without_configuring_them(tmp_path: Path) -> None:
    assert load(tmp_path, "assistants: {a: {backend: local, sources: [handbook]}}\n").assistants["a"].sources == ("handbook",)


def test_both_forms_mix_unless_their_names_clash(tmp_path: Path) -> None:
    mixed = "ai_backend: {type: openai, config: {}}\nbackends: {other: {type: x}}\n"
    assert set(load(tmp_path, mixed).backends) == {"default", "other"}
    message = complaint(tmp_path, "ai_backend: {type: openai}\nbackends:\n  default: {type: x}\n")
    assert "line 1: `ai_backend` makes the name `default`, which `backends` has already at line 3" in message


def test_offline_with_a_far_backend_is_told_with_its_line_and_a_near_one_is_fine(tmp_path: Path) -> None:
    text = "network: offline\nbackends:\n  near: {type: x, config: {base_url: 'http://127.0.0.1:8000/v1'}}\n"
    assert load(tmp_path, text).network == "offline"
    message = complaint(tmp_path, text + "  far:\n    type: x\n    config: {base_url: 'https://api.example/v1'}\n")
    assert "line 4: the backend `far` is at api.example, but `network: offline`" in message


def test_an_unreadable_or_missing_named_file_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="does not exist"):
        load_settings(Home(tmp_path), environ={"ONDOL_CONFIG": str(tmp_path / "없음.yaml")})
    with pytest.raises(BadSetting, match="can't be read"):
        load_settings(Home(tmp_path), environ={"ONDOL_CONFIG": str(tmp_path)})


def test_a_setting_knows_where_it_was_set(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL, {"ONDOL_PORT": "1"})
    assert settings.where("backends.gpt.type") == "config.yaml line 6"
    assert settings.where("backends.gpt.config.nothing.below") == "config.yaml line 7"
    assert settings.where("server.port") == "environment variable ONDOL_PORT"
    assert settings.where("models.default") == "the defaults"


def test_what_is_dumped_loads_to_the_same_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL + '\nmodels: {default: "a $${b}"}\n')
    assert plain(load(tmp_path, dump(plain(settings)))) == plain(settings)


# Line ends beyond the usual ones are YAML's own: they don't stand in settings.
words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@given(st.dictionaries(words.filter(lambda name: name not in ("", "<<", "=")), words | st.integers() | st.booleans() | st.lists(words)))
def test_any_configuration_of_an_adapter_survives_dump_and_load(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> None:
    text = dump({"backends": {"a": {"type": "x", "config": config}}})
    assert load(tmp_path_factory.getbasetemp(), text).backends["a"].config == config


def test_shown_settings_hold_no_secret(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL + "\ndata_source: {type: x, config: {api_key: S3CRET, dsn: 'host=a password=S3CRET'}}\n")
    shown = dump(redacted(settings))
    assert "S3CRET" not in shown
    assert "secret" not in shown
    assert "kim:***@db.example" in shown
    assert yaml.safe_load(shown)["server"]["port"] == 8080


def test_every_setting_is_described_with_type_default_and_meaning() -> None:
    table = {key.name: key for key in describe()}
    assert table["server.port"].type == "whole number"
    assert table["server.port"].default == "11500"
    assert table["assistants.NAME.style"].type == "auto or written or quote"
    assert table["response_format.max_length"].type == "whole number or null"
    assert all(key.doc and key.type for key in table.values())
    assert "origin" not in table
