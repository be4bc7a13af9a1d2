"""The real Open WebUI without a network: it works on loopback alone, not one packet leaves, and nothing outside is asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import open_webui_install
import pytest
from namespace import captured, loopback_alone
from traced_calls import outward, traced

from models.installed import InstalledModel

pytestmark = pytest.mark.open_webui
STORY = Path(__file__).with_name("open_webui_story.py")


@pytest.fixture
def words(tmp_path: Path, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> list[str]:
    return [sys.executable, str(STORY), str(tmp_path / "ondol"), str(models_dir), str(open_webui_install.installed())]


def everything_worked(seen: dict[str, Any]) -> None:
    assert {"ondol", "shop", "smollm2-135m-instruct"} <= set(seen["models"])
    assert "41 days" in seen["quoted"]
    assert set(seen["sources"]) == {"휴가"}  # the title of the one page that there is
    assert seen["raw"].strip()
    assert "5월 17일" in seen["korean"]
    assert seen["title"] == "창립기념일은 언제인가요?"
    assert seen["status"] == 0


def test_with_loopback_alone_the_chat_page_answers(words: list[str]) -> None:
    with loopback_alone() as inside:
        done = inside.run(words, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    everything_worked(json.loads(done.stdout.splitlines()[-1]))


def test_with_a_way_out_no_packet_of_the_chat_page_takes_it(words: list[str]) -> None:
    with captured() as inside:
        done = inside.run(words, timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        everything_worked(json.loads(done.stdout.splitlines()[-1]))
        assert inside.departed() == []
        inside.send("192.0.2.1", 9, b"the capture was awake")
        assert len(inside.departed()) == 1


@pytest.mark.slow
def test_on_the_host_the_chat_page_asks_for_loopback_and_local_sockets_only(words: list[str], tmp_path: Path) -> None:
    lines = traced(words, tmp_path / "trace")
    assert any("127.0.0.1" in line for line in lines)
    assert outward(lines) == []
