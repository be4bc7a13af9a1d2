"""The environment of an Open WebUI that is connected to us and asks nobody outside. Pure: values in, values out.

Open WebUI takes most of these as first values of settings that it then keeps in its database; the rest (`OFFLINE_MODE` and what
libraries read) count at every start.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from app.chat_page.connection import Connection, settings
from app.core.egress import QUIET

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Of another database, another interpreter: the page that we start keeps its own.
NOT_OURS = frozenset(
    {
        "DATABASE_URL",
        "DATABASE_TYPE",
        "DATABASE_USER",
        "DATABASE_PASSWORD",
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_NAME",
        "DATABASE_SCHEMA",
        "REDIS_URL",
        "PYTHONHOME",
        "PYTHONPATH",
        "ENABLE_PERSISTENT_CONFIG",
    }
)
# Named once, so that a shell's listing shows the key once.
SAME_KEY = ("RAG_OPENAI_API_KEY", "AUDIO_STT_OPENAI_API_KEY", "AUDIO_TTS_OPENAI_API_KEY")


def connected(wanted: Connection) -> dict[str, str]:
    """The connection; its own document search and speech go through us too (its defaults download models or ask a browser's maker)."""
    return {
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URLS": wanted.address,
        "OPENAI_API_KEYS": wanted.key,
        "OPENAI_API_CONFIGS": json.dumps({"0": settings()}, separators=(",", ":")),
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": "default",
        "RAG_OPENAI_API_BASE_URL": wanted.address,
        "RAG_OPENAI_API_KEY": wanted.key,
        "AUDIO_STT_ENGINE": "openai",
        "AUDIO_STT_OPENAI_API_BASE_URL": wanted.address,
        "AUDIO_STT_OPENAI_API_KEY": wanted.key,
        "AUDIO_TTS_ENGINE": "openai",
        "AUDIO_TTS_OPENAI_API_BASE_URL": wanted.address,
        "AUDIO_TTS_OPENAI_API_KEY": wanted.key,
    }


def offline() -> dict[str, str]:
    """No updates asked for, no models fetched, no telemetry, no community site, no web search, no arena."""
    return {
        **dict(QUIET),
        "OFFLINE_MODE": "true",
        "ENABLE_VERSION_UPDATE_CHECK": "false",
        "ENABLE_COMMUNITY_SHARING": "false",
        "ENABLE_EVALUATION_ARENA_MODELS": "false",
        "ENABLE_WEB_SEARCH": "false",
        "ENABLE_IMAGE_GENERATION": "false",
        "ENABLE_OTEL": "false",
    }


def own_page(*, port: int, secret: str, login: bool, slim: bool, data: str) -> dict[str, str]:
    """What the page that we start needs beside: who may come in, and from where a browser may speak to it.

    Open WebUI lets every web page ask it from a browser unless told otherwise; without a login that would give all chats away.
    """
    return {
        "WEBUI_SECRET_KEY": secret,
        "WEBUI_AUTH": "True" if login else "False",
        "CORS_ALLOW_ORIGIN": f"http://127.0.0.1:{port};http://localhost:{port}",
        "ENABLE_OLLAMA_API": "false",
        **({"DATA_DIR": data} if data else {}),
        # The slim one keeps no vectors without a PostgreSQL of its own: a file that is put into a chat is read whole.
        **({"USE_SLIM_DOCKER": "true", "BYPASS_EMBEDDING_AND_RETRIEVAL": "true"} if slim else {}),
    }


def for_child(base: Mapping[str, str], ours: Mapping[str, str], *, offline: bool = False) -> dict[str, str]:
    """The whole environment of a process: `ours` over the caller's, with no proxy on the way to this machine; offline, with none at all."""
    kept = {name: value for name, value in base.items() if name not in NOT_OURS and not (offline and name.lower().endswith("_proxy"))}
    present = [kept.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    direct = dict.fromkeys(one.strip() for text in (*present, ",".join(LOOPBACK)) for one in text.split(",") if one.strip())
    spared = "*" if offline else ",".join(direct)
    return {**kept, "NO_PROXY": spared, "no_proxy": spared, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **ours}


def exports(variables: Mapping[str, str], *, windows: bool) -> list[str]:
    """Lines to paste into a shell (PowerShell on Windows). The key stands there once."""
    if windows:
        same = "$env:OPENAI_API_KEYS"
        return [f"$env:{name} = {same if name in SAME_KEY else _powershell(value)}" for name, value in variables.items()]
    same = '"$OPENAI_API_KEYS"'
    return [f"export {name}={same if name in SAME_KEY else shlex.quote(value)}" for name, value in variables.items()]


def _powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
