from __future__ import annotations

import socket

import pytest

from app.cli.runner import bound
from app.core.errors import BadSetting, Conflict


def test_the_listening_socket_is_named_tcp_so_that_answers_leave_without_delay() -> None:
    with bound("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_a_busy_port_is_a_conflict_that_names_the_next_port() -> None:
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict, match=f"--port {port + 1}"), bound("127.0.0.1", port):
            pass


def test_an_address_of_another_machine_is_a_setting_to_mend() -> None:
    with pytest.raises(BadSetting, match=r"server\.host"), bound("192.0.2.1", 0):
        pass
