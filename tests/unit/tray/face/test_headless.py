from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tray.face.headless import Journal, said, tell_systemd
from tray.records import Problem, Server, State

READY = Server(State.READY, "http://127.0.0.1:11500")


def test_each_state_is_told_once_with_its_address() -> None:
    lines: list[str] = []
    journal = Journal("en", write=lines.append, status=lines.append)
    for server in (Server(State.STARTING), Server(State.STARTING, progress="migrating"), READY, READY):
        journal.tell(server)
    assert len(lines) == 4
    assert lines[0] == lines[1]
    assert lines[3].endswith("http://127.0.0.1:11500")


def test_a_problem_is_told_with_its_values_in_the_language() -> None:
    failed = Server(State.FAILED, problem=Problem("port_taken", {"port": "11500", "program": "nginx"}))
    assert "nginx" in said(failed, "en")
    assert "11500번 포트" in said(failed, "ko")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_one_line_of_status(tmp_path: Path, abstract: bool) -> None:
    if abstract and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    address = f"@ondol-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(5)
        tell_systemd("준비\n됨", address)
        assert systemd.recv(200) == "STATUS=준비 됨".encode()


def test_a_systemd_that_has_gone_is_no_error(tmp_path: Path) -> None:
    assert tell_systemd("ready", str(tmp_path / "nobody")) is None
    assert tell_systemd("ready", "") is None
