"""`bootstrap.py run --once` over the installed product: real models, real PostgreSQL, real server."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from boot.console import Console, Failed
from boot.demo import run_demo
from boot.environment import Environment
from boot.setup import Clone
from boot.stamps import Lock

from models.installed import InstalledModel

pytestmark = pytest.mark.acceptance
INSTALLER = Path(__file__).parents[2] / "installer"
RUN = json.loads((INSTALLER / "demo" / "questions.json").read_text(encoding="utf-8"))["run"]


@pytest.fixture(scope="module")
def clone(smollm2: Path, minilm: InstalledModel) -> Iterator[Clone]:
    """A clone with the demo and with its models already pulled. Not under pytest's folders: PostgreSQL may run as another user."""
    with tempfile.TemporaryDirectory(prefix="ondol-clone-") as made:
        made_clone = Clone(Path(made))
        shutil.copytree(INSTALLER / "demo", made_clone.root / "installer" / "demo")
        for model in (smollm2.parent, minilm.path):
            shutil.copytree(model, made_clone.demo_home / "models" / model.name)
        yield made_clone


def run_once(clone: Clone) -> str:
    environment = Environment(Path(sys.prefix), logs=clone.logs, base=os.environ, cwd=clone.root)
    out = io.StringIO()
    try:
        run_demo(clone, environment, Console(out), once=True)
    except Failed as error:
        Console(out).failed(error)
        pytest.fail(out.getvalue())
    return out.getvalue()


def test_run_prints_cited_answers_then_a_changed_rows_new_value_and_minds_no_busy_port(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        monkeypatch.setenv("ONDOL_PORT", str(busy.getsockname()[1]))
        first = run_once(clone)
    for one in RUN:
        assert one["source"] in first
        assert all(word in first for word in one["expected"])
    assert "is taken)" in first
    assert "tokens/s" in first
    # The key is for the terminal alone.
    key = (clone.demo_home / "key").read_text(encoding="utf-8").strip()
    assert key in first
    logs = [path for folder in (clone.logs, clone.demo_home / "logs") for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in logs if key in path.read_text(encoding="utf-8", errors="replace")] == []

    row = next(one for one in RUN if one["from"] == "postgres")
    command = [
        sys.executable,
        str(INSTALLER / "demo" / "postgres.py"),
        str(clone.demo_home / "postgres"),
        str(INSTALLER / "demo" / "company.sql"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with psycopg.connect(json.loads(child.stdout.readline())["dsn"]) as connection:
            connection.execute("UPDATE products SET price_krw = 3913570 WHERE sku = 'DB-220'")
        child.stdin.close()
    second = run_once(clone)
    assert "1 changed" in second
    assert "3913570" in second
    assert row["expected"][0] not in second


def test_a_second_demo_of_one_clone_is_refused_while_the_first_one_runs(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    with Lock(clone.state / "demo.lock", None), pytest.raises(Failed, match="already running in another terminal"):
        run_demo(clone, clone.environment(), Console(io.StringIO()), once=True)
