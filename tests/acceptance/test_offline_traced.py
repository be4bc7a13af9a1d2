"""On the host itself, with a real network beside it: every connect and every send of every process, as the kernel was asked for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from postgres_servers import embedded_server
from traced_calls import outward, traced

from models.installed import InstalledModel

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]
STORY = Path(__file__).with_name("offline_story.py")


def test_the_trace_sees_a_connect_a_datagram_and_a_name_that_is_asked_for(tmp_path: Path) -> None:
    """Inside a namespace without a route, so that the control reaches nobody."""
    from namespace import loopback_alone

    code = """
import socket
for act in (
    lambda: socket.socket().connect(("192.0.2.1", 443)),
    lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 443)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.2", 53)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ("192.0.2.3", 53)),
    lambda: socket.socket().connect(("127.0.0.1", 9)),
):
    try:
        act()
    except OSError:
        pass
"""
    with loopback_alone() as inside:
        seen = outward(traced([*inside.enter, sys.executable, "-c", code], tmp_path / "trace"))
    assert [next(one for one in ("192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3") if one in line) for line in seen] == [
        "192.0.2.1",
        "2001:db8::1",
        "192.0.2.2",
        "192.0.2.3",
    ]


def test_on_the_host_only_loopback_and_local_sockets_are_ever_asked_for(
    tmp_path: Path, models_dir: Path, smollm2: Path, minilm: InstalledModel
) -> None:
    with embedded_server() as dsn:
        lines = traced([sys.executable, str(STORY), str(tmp_path / "ondol"), str(models_dir), dsn], tmp_path / "trace")
    assert len({line.split()[0] for line in lines}) > 20  # threads and processes: the server and its workers are among them
    assert any("127.0.0.1" in line for line in lines)
    assert any("sa_family=AF_UNIX" in line and ".s.PGSQL." in line for line in lines)
    assert outward(lines) == []
