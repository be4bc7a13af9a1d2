"""A folder that a real server keeps fresh by itself, with the real embedder."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from product import Product, Served

from models.installed import InstalledModel

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def found(served: Served, question: str) -> list[str]:
    """The files of the passages."""
    hits = served.client.vector_stores.search("notes", query=question, max_num_results=3)
    return [hit.filename for hit in hits.data]


def sources(served: Served) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{served.url}/ingest/sources", headers={"authorization": f"Bearer {served.key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        told: list[dict[str, Any]] = json.load(answer)["sources"]
    return told


def until(true: Callable[[], Any], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.3)


def test_what_is_written_into_a_folder_is_found_without_a_command(tmp_path: Path, models_dir: Path, minilm: InstalledModel) -> None:
    folder = tmp_path / "회사 자료"
    folder.mkdir()
    (folder / "cat.txt").write_text("The cat sleeps on the warm floor.")
    product = Product(tmp_path / "home", models_dir)
    assert product.run("ingest", "files", str(folder), "--into", "notes", "--on-change").returncode == 0
    with product.serving() as served:
        until(lambda: found(served, "Where does the cat sleep?"))
        time.sleep(2)
        (folder / "dog.txt").write_text("The dog guards the door at night.")
        until(lambda: any("dog" in name for name in found(served, "Who guards the door?")))
        assert product.run("ingest", "rebuild").returncode == 0
        assert any("dog" in name for name in found(served, "Who guards the door?"))
        assert product.run("ingest", "vacuum").returncode == 0
        (folder / "cat.txt").unlink()
        until(lambda: not any("cat" in name for name in found(served, "Where does the cat sleep?")))
        (source,) = sources(served)
    assert (source["outcome"], source["documents"], source["failed_runs"]) == ("ok", 1, 0)
