"""The real Open WebUI, offline, connected to a server of ours, and driven as its page does it: over its own HTTP API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

START_SECONDS = 180.0
JSON = {"Content-Type": "application/json"}
HEADERS = {
    "X-OWUI-Task": "{{TASK}}",
    "X-OWUI-Chat-Id": "{{CHAT_ID}}",
    "X-OWUI-Message-Id": "{{MESSAGE_ID}}",
    "X-OWUI-User-Id": "{{USER_ID}}",
}
TASKS = {"title_generation": True, "tags_generation": True, "follow_up_generation": True}


def settings(base: str, key: str, data: Path, vectors: str) -> dict[str, str]:
    """Its environment: no accounts, no outside host, one connection to `base` (without /v1).

    Its own file search takes our embeddings and keeps them in `vectors`, a PostgreSQL with pgvector.
    """
    connection = {"enable": True, "connection_type": "local", "provider": "llama.cpp", "headers": HEADERS}
    return {
        "DATA_DIR": str(data),
        "WEBUI_SECRET_KEY": "tests-of-a-throw-away-installation",
        "WEBUI_AUTH": "False",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "ENABLE_VERSION_UPDATE_CHECK": "false",
        "ANONYMIZED_TELEMETRY": "False",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "ENABLE_PERSISTENT_CONFIG": "False",
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URLS": f"{base}/v1",
        "OPENAI_API_KEYS": key,
        "OPENAI_API_CONFIGS": json.dumps({"0": connection}),
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": "default",
        "RAG_OPENAI_API_BASE_URL": f"{base}/v1",
        "RAG_OPENAI_API_KEY": key,
        "VECTOR_DB": "pgvector",
        "PGVECTOR_DB_URL": vectors,
        "ENABLE_EVALUATION_ARENA_MODELS": "false",
        "ENABLE_COMMUNITY_SHARING": "false",
        "USE_SLIM_DOCKER": "true",  # what a slim installation is told: it has no vector database of its own
    }


@dataclass
class Answer:
    """What came back for one chat: `status` is HTTP's, `error` what the page shows for it, `finished` why the text ended."""

    status: int
    text: str = ""
    error: str = ""
    finished: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The data of its `source` events."""
        return [event["data"] for event in self.events if event["type"] == "source"]

    @property
    def statuses(self) -> list[str]:
        """The lines of progress."""
        return [event["data"]["description"] for event in self.events if event["type"] == "status"]


class OpenWebUI:
    """A running Open WebUI, signed in as its only user."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=240, trust_env=False)

    def sign_in(self) -> None:
        """As the page does it where there are no accounts: the models are listed, and what is new in this version was read."""
        token = self._post("/api/v1/auths/signin", {"email": "", "password": ""}).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        version = self.http.get("/api/version").json()["version"]
        self._post("/api/v1/users/user/settings/update", {"ui": {"version": version, "showChangelog": False}})
        self.models()

    def models(self) -> dict[str, dict[str, Any]]:
        """What the model list holds, asked of our server anew, as at each load of the page."""
        listed = self.http.get("/api/models", params={"refresh": "true"})
        listed.raise_for_status()
        return {model["id"]: model for model in listed.json()["data"]}

    def ask(self, model: str, question: str, *, files: Sequence[dict[str, Any]] = (), max_tokens: int = 64) -> Answer:
        """A streamed chat that is not kept."""
        body = _chat_body(model, question, stream=True, max_tokens=max_tokens, files=list(files))
        with self.http.stream("POST", "/api/chat/completions", content=body, headers=JSON) as reply:
            if reply.status_code != 200:
                return Answer(reply.status_code, error=_error(reply.read()))
            answer = Answer(200)
            for line in reply.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                chunk = json.loads(line[6:])
                answer.error = answer.error or _error_of(chunk)
                answer.events += [chunk["event"]] if "event" in chunk else []
                for choice in chunk.get("choices", ()):
                    answer.text += choice.get("delta", {}).get("content") or ""
                    answer.finished = answer.finished or choice.get("finish_reason") or ""
            return answer

    def ask_whole(self, model: str, question: str) -> Answer:
        """The same, not streamed."""
        reply = self.http.post("/api/chat/completions", content=_chat_body(model, question, stream=False, max_tokens=64), headers=JSON)
        if reply.status_code != 200:
            return Answer(reply.status_code, error=_error(reply.content))
        return Answer(200, str(reply.json()["choices"][0]["message"]["content"]))

    def begin(self, model: str, question: str, *, tasks: bool = True, **more: Any) -> tuple[str, list[str]]:
        """Begin a new chat as the page does, with its title, tags and follow-ups: (the chat's id, its running tasks).

        `more` goes to our server as it stands.
        """
        asked, answered = str(uuid.uuid4()), str(uuid.uuid4())
        message = {"id": asked, "parentId": None, "childrenIds": [], "role": "user", "content": question, "models": [model]}
        body = {
            "model": model,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
            "parent_id": None,
            "user_message": {**message, "timestamp": int(time.time())},
            "id": answered,
            "session_id": f"tests-{asked}",
            "background_tasks": TASKS if tasks else {},
            **more,
        }
        told = self._post("/api/chat/completions", body).json()
        return told["chat_id"], told["task_ids"]

    def chat(self, chat_id: str) -> dict[str, Any]:
        """A kept chat: `title`, `tags` and its last message under `answer`."""
        kept = self.http.get(f"/api/v1/chats/{chat_id}").json()
        history = kept["chat"]["history"]
        tags = [tag["name"] for tag in self.http.get(f"/api/v1/chats/{chat_id}/tags").json()]
        return {"title": kept["title"], "tags": tags, "answer": history["messages"][history["currentId"]]}

    def running(self, chat_id: str) -> list[str]:
        """The chat's tasks that still run."""
        told: list[str] = self.http.get(f"/api/tasks/chat/{chat_id}").json()["task_ids"]
        return told

    def stop(self, task_id: str) -> None:
        """What the Stop button does."""
        self._post(f"/api/tasks/stop/{task_id}", {})

    def task(self, kind: str, model: str, question: str, answer: str = "") -> str:
        """One of its own requests beside a chat (`title`, `tags`, `follow_up`, `queries`): the model's text."""
        messages = [{"role": "user", "content": question}, *([{"role": "assistant", "content": answer}] if answer else [])]
        body = {"model": model, "messages": messages, "type": "retrieval", "prompt": question}
        made = self._post(f"/api/v1/tasks/{kind}/completions", body).json()
        return str(made["choices"][0]["message"]["content"])

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """A file for a chat, read and indexed by Open WebUI itself; returns the chat's entry for it."""
        told = self.http.post("/api/v1/files/", params={"process_in_background": "false"}, files={"file": (name, content)})
        told.raise_for_status()
        return {"type": "file", "id": told.json()["id"], "name": name}

    def verify(self, base: str, key: str) -> httpx.Response:
        """What the "verify connection" button of the settings does."""
        return self.http.post("/openai/verify", json={"url": f"{base}/v1", "key": key})

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        reply = self.http.post(path, json=body)
        reply.raise_for_status()
        return reply


def _chat_body(model: str, question: str, **more: Any) -> bytes:
    # Escaped, so that a lone surrogate travels as a browser's JSON.stringify sends it.
    return json.dumps({"model": model, "messages": [{"role": "user", "content": question}], **more}, ensure_ascii=True).encode("ascii")


def _error(body: bytes) -> str:
    try:
        return _error_of(json.loads(body)) or body.decode("utf-8", "replace")
    except ValueError:
        return body.decode("utf-8", "replace")


def _error_of(body: dict[str, Any]) -> str:
    told = body.get("error") or body.get("detail") or ""
    return str(told.get("message") if isinstance(told, dict) else told)


@contextmanager
def running(program: Path, base: str, key: str, data: Path, vectors: str) -> Iterator[OpenWebUI]:
    """Open WebUI over the folder `data` (its log lies there too), connected to our server at `base`, until the block ends."""
    data.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (data / "open-webui.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)],
            env={**_plain(os.environ), **settings(base, key, data, vectors)},
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    web = OpenWebUI(f"http://127.0.0.1:{port}")
    try:
        _wait(web, process, data / "open-webui.log")
        web.sign_in()
        yield web
    finally:
        web.http.close()
        _end(process)


def _plain(environment: Any) -> dict[str, str]:
    """Without proxies and our own settings: it talks to this machine alone."""
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy") and not name.startswith("ONDOL_")}


def _wait(web: OpenWebUI, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if web.http.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError("Open WebUI did not start:\n" + log.read_text("utf-8", "replace")[-3000:])
        time.sleep(0.3)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and all that it started."""
    family = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(15)
    for child in family:
        if child.is_running():
            child.kill()
