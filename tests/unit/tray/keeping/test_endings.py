"""Exit statuses and last words, read."""

from __future__ import annotations

import pytest

from tray.keeping.endings import read

PORT = {"message": "Port 11500 is in use by another program.", "code": "port_in_use", "param": "11500"}


@pytest.mark.parametrize(
    ("status", "error", "tail", "kind"),
    [
        (78, {"message": "config.yaml:1: unknown key", "code": "bad_setting"}, [], "settings"),
        (75, PORT, [], "port"),
        (75, {"message": "A server already runs over this data folder.", "code": "conflict"}, [], "conflict"),
        (75, {"message": "state.db was written by a newer Ondol.", "code": "newer_data"}, [], "newer"),
        (75, {"message": "busy", "code": "try_again"}, [], "crash"),
        (74, {"message": "The disk is full.", "code": "disk_full"}, [], "disk"),
        (1, None, ["OSError: [Errno 28] No space left on device"], "disk"),
        (0, None, [], "ordered"),
        (-15, None, [], "ordered"),
        (-2, None, [], "ordered"),
        (0xC000013A, None, [], "ordered"),
        (-9, None, [], "crash"),
        (-11, None, [], "crash"),
        (1, None, ["Traceback", "ImportError: no module"], "crash"),
        (70, {"message": "something of ours broke", "code": "internal_error"}, [], "crash"),
    ],
)
def test_an_exit_status_tells_what_to_do_next(status: int, error: dict[str, str] | None, tail: list[str], kind: str) -> None:
    assert read(status, error, tail).kind == kind


def test_a_port_that_is_taken_is_named() -> None:
    assert read(75, PORT, []).port == 11500


def test_the_detail_is_what_it_said_else_its_last_line_else_how_it_ended() -> None:
    assert read(1, {"message": "the words"}, ["a line"]).detail == "the words"
    assert read(1, None, ["first", "ImportError: x", "  "]).detail == "ImportError: x"
    assert read(-11, None, []).detail == "SIGSEGV"
    assert read(0xC0000005, None, []).detail == "status 0xc0000005"


def test_the_detail_carries_no_password() -> None:
    assert "geheim" not in read(1, None, ["cannot connect to postgresql://me:geheim@db/x"]).detail
