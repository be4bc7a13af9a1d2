"""Once the models are there, everything works without a network, and not one packet tries to leave."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespace import Inside, captured, loopback_alone
from offline_story import MODEL
from postgres_servers import embedded_server

from models.installed import InstalledModel

pytestmark = pytest.mark.acceptance
STORY = Path(__file__).with_name("offline_story.py")


@pytest.fixture(scope="module")
def local_socket_dsn() -> Iterator[str]:
    with embedded_server() as dsn:
        assert "host=" in dsn
        yield dsn


@pytest.fixture
def words(tmp_path: Path, models_dir: Path, smollm2: Path, minilm: InstalledModel, local_socket_dsn: str) -> list[str]:
    return [sys.executable, str(STORY), str(tmp_path / "한글 home" / "ondol"), str(models_dir), local_socket_dsn]


def told(inside: Inside, words: list[str]) -> dict[str, Any]:
    done = inside.run(words, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def everything_worked(seen: dict[str, Any]) -> None:
    assert seen["files"]["added"] == 1
    assert "41 days" in seen["search"]
    assert "41 days" in seen["ask"]
    assert seen["rows"]["added"] == 2
    assert sum(report["added"] for report in seen["sync"] if report["event"] == "report") == 1
    assert seen["found"] == "Bilby jewellery scale"
    assert "3210" in seen["assistant"]
    assert "5월 17일" in seen["korean"]
    assert seen["raw"].strip()
    assert MODEL in seen["models"]
    assert set(seen["pulls"].values()) == {"egress_refused"}
    assert seen["indexed"]
    assert set(seen["peers"]) <= {"127.0.0.1", "::1"}


def test_with_loopback_alone_serve_ingest_sync_search_and_ask_work(words: list[str]) -> None:
    with loopback_alone() as inside:
        seen = told(inside, words)
    assert seen["devices"] == ["lo"]
    everything_worked(seen)


def test_the_capture_sees_a_datagram_and_a_name_that_is_asked_for() -> None:
    with captured() as inside:
        assert inside.departed() == []
        inside.send("192.0.2.1", 53, b"the control")
        (seen,) = inside.departed()
        assert "192.0.2.1 port 53" in seen
        assert "the control" in seen
        inside.send("2001:db8::1", 53, b"the other control")
        assert "2001:db8::1 port 53" in inside.departed()[-1]


@pytest.mark.slow
def test_with_a_way_out_not_one_packet_takes_it(words: list[str]) -> None:
    with captured() as inside:
        seen = told(inside, words)
        assert inside.departed() == []
        inside.send("192.0.2.1", 9, b"the capture was awake")
        assert len(inside.departed()) == 1
    assert "out" in seen["devices"]
    everything_worked(seen)
