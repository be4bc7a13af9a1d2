from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from app.chat_page.connection import Connection, settings
from app.chat_page.environment import connected, exports, for_child, offline, own_page

OURS = Connection("http://127.0.0.1:11500/v1", "sk-ondol-it's")


def test_the_connection_is_the_first_and_only_one() -> None:
    found = connected(OURS)
    assert (found["OPENAI_API_BASE_URLS"], found["OPENAI_API_KEYS"]) == (OURS.address, OURS.key)
    assert json.loads(found["OPENAI_API_CONFIGS"]) == {"0": settings()}


@pytest.mark.parametrize("name", ["RAG_OPENAI_API_BASE_URL", "AUDIO_STT_OPENAI_API_BASE_URL", "AUDIO_TTS_OPENAI_API_BASE_URL"])
def test_its_document_search_and_speech_come_to_us(name: str) -> None:
    assert connected(OURS)[name] == OURS.address
    assert connected(OURS)[name.replace("OPENAI_API_BASE_URL", "ENGINE").replace("RAG_", "RAG_EMBEDDING_")] == "openai"


def test_nothing_is_asked_outside() -> None:
    found = offline()
    assert {name: found[name].lower() for name in ("OFFLINE_MODE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SCARF_NO_ANALYTICS")} == {
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "SCARF_NO_ANALYTICS": "true",
    }
    off = [
        "ENABLE_VERSION_UPDATE_CHECK",
        "ENABLE_COMMUNITY_SHARING",
        "ENABLE_EVALUATION_ARENA_MODELS",
        "ENABLE_WEB_SEARCH",
        "ANONYMIZED_TELEMETRY",
    ]
    assert {found[name].lower() for name in off} == {"false"}


def test_no_other_web_page_may_speak_to_the_page_that_we_start() -> None:
    found = own_page(port=8080, secret="s", login=False, slim=False, data="/data")
    assert found["CORS_ALLOW_ORIGIN"] == "http://127.0.0.1:8080;http://localhost:8080"


def test_only_the_slim_one_is_told_so() -> None:
    assert "USE_SLIM_DOCKER" not in own_page(port=1, secret="s", login=True, slim=False, data="")
    assert own_page(port=1, secret="s", login=True, slim=True, data="")["USE_SLIM_DOCKER"] == "true"


def test_a_container_keeps_its_own_data_folder() -> None:
    assert "DATA_DIR" not in own_page(port=1, secret="s", login=True, slim=False, data="")


@pytest.mark.parametrize(("login", "said"), [(True, "True"), (False, "False")])
def test_there_is_a_login_unless_it_was_refused(login: bool, said: str) -> None:
    assert own_page(port=1, secret="s", login=login, slim=False, data="")["WEBUI_AUTH"] == said


def test_a_proxy_is_kept_but_not_used_on_this_machine() -> None:
    found = for_child({"HTTP_PROXY": "http://proxy:3128", "no_proxy": "corp.example, localhost"}, {})
    assert found["HTTP_PROXY"] == "http://proxy:3128"
    assert found["NO_PROXY"] == found["no_proxy"] == "corp.example,localhost,127.0.0.1,::1"


def test_offline_there_is_no_proxy_at_all() -> None:
    found = for_child({"HTTPS_PROXY": "http://proxy:3128", "all_proxy": "x", "NO_PROXY": "a"}, {}, offline=True)
    assert {name for name in found if "proxy" in name.lower()} == {"NO_PROXY", "no_proxy"}
    assert found["NO_PROXY"] == "*"


def test_databases_and_interpreters_of_other_programs_are_not_handed_on() -> None:
    found = for_child({"DATABASE_URL": "postgresql://shop", "PYTHONHOME": "/bundle", "PATH": "/bin"}, {"OFFLINE_MODE": "true"})
    assert "DATABASE_URL" not in found
    assert "PYTHONHOME" not in found
    assert (found["PATH"], found["OFFLINE_MODE"]) == ("/bin", "true")


def test_ours_come_before_what_the_caller_had() -> None:
    assert for_child({"OFFLINE_MODE": "false"}, {"OFFLINE_MODE": "true"})["OFFLINE_MODE"] == "true"


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
def test_the_lines_mean_the_same_in_a_shell() -> None:
    variables = connected(OURS)
    script = "\n".join([*exports(variables, windows=False), "env -0"])
    told = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"}).stdout.decode()
    found = dict(one.split("=", 1) for one in told.split("\0") if "=" in one)
    assert {name: found[name] for name in variables} == variables


@pytest.mark.parametrize("windows", [True, False])
def test_the_key_stands_in_the_lines_once(windows: bool) -> None:
    lines = exports(connected(Connection(OURS.address, "sk-ondol-key")), windows=windows)
    assert sum(line.count("sk-ondol-key") for line in lines) == 1


def test_powershell_gets_its_own_form() -> None:
    lines = exports(connected(OURS), windows=True)
    assert "$env:OPENAI_API_KEYS = 'sk-ondol-it''s'" in lines
    assert "$env:RAG_OPENAI_API_KEY = $env:OPENAI_API_KEYS" in lines
