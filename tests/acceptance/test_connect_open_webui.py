"""`ondol open-webui` and `ondol connect open-webui` with the real Open WebUI: what our own commands set up works without a click."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_webui_install
import pytest
from open_webui import OpenWebUI
from product import Product

from app.core.paths import Home
from app.core.server_record import running
from models.installed import InstalledModel

pytestmark = pytest.mark.open_webui

MODEL = "smollm2-135m-instruct"
HANDBOOK = Path(__file__).resolve().parents[2] / "installer" / "demo" / "handbook"


@pytest.fixture(scope="module")
def own_page(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path, minilm: InstalledModel
) -> Iterator[tuple[Product, OpenWebUI]]:
    product = Product(tmp_path_factory.mktemp("own-page") / "home", models_dir)
    done = product.run("ingest", "files", str(HANDBOOK), "--into", "company")
    assert done.returncode == 0, done.stderr
    ports = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    product.environment["ONDOL_PORT"] = str(ports[0])
    program = str(open_webui_install.installed())
    words = ("open-webui", "--json", "--until-stdin-closes", "--no-browser", "--no-login", "--path", program)
    process = product.start(*words, "--port", str(ports[1]))
    try:
        assert process.stdout is not None
        told: dict[str, Any] = {}
        for line in process.stdout:
            told = json.loads(line)
            if told.get("event") == "ready" or "error" in told:
                break
        assert told.get("event") == "ready", told
        web = OpenWebUI(told["url"])
        web.sign_in()
        yield product, web
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_its_models_are_there_and_an_answer_comes_with_its_sources(own_page: tuple[Product, OpenWebUI]) -> None:
    _, web = own_page
    assert {"ondol", "company"} <= set(web.models())
    answer = web.ask("company", "How many days of annual leave do I have?")
    assert "18 days" in answer.text
    assert answer.sources


def prompt_tokens(product: Product) -> float:
    """How many tokens the raw model has read so far."""
    served = running(Home(product.home))
    assert served is not None
    with urllib.request.urlopen(f"{served.address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f'ondol_tokens_total{{kind="prompt",model="{MODEL}"'))


def test_a_file_that_is_put_into_a_chat_reaches_the_model(own_page: tuple[Product, OpenWebUI]) -> None:
    product, web = own_page
    paper = web.upload("note.txt", b"The heron stands in the river. " * 60)
    before = prompt_tokens(product)
    assert web.ask(MODEL, "Which bird does the note name?", files=[paper]).error == ""
    # Seven tokens a sentence: a tiny model's answer says nothing about what it was given to read.
    assert prompt_tokens(product) - before > 60 * 6


def test_a_connection_written_while_it_runs_is_used_at_the_next_look(own_page: tuple[Product, OpenWebUI]) -> None:
    product, web = own_page
    folder = product.home / "open-webui" / "data"
    database = sqlite3.connect(folder / "webui.db")
    database.execute("UPDATE config SET value = ? WHERE key = 'openai.api_keys'", (json.dumps(["sk-ondol-wrong"]),))
    database.commit()
    database.close()
    assert "company" not in web.models()
    told = product.lines("connect", "open-webui", "--write", "--data-dir", str(folder))[-1]
    assert told["changed"] == ["the key was another one"]
    assert told["outside"] == []
    assert "company" in web.models()
    assert product.lines("connect", "open-webui", "--write", "--data-dir", str(folder))[-1]["changed"] == []
