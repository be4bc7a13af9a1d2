from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.core.paths import Home
from app.core.server_record import ServerRecord, announce, running, withdraw

SERVE = """
import sys, time
from pathlib import Path
from app.core.paths import Home
from app.core.server_record import announce
announce(Home(Path(sys.argv[1])), host="127.0.0.1", port=1, version="0")
print("up", flush=True)
time.sleep(60)
"""


def test_a_running_server_is_found_with_its_address_and_token(tmp_path: Path) -> None:
    record = announce(Home(tmp_path), host="0.0.0.0", port=11500, version="0.1.0")
    assert running(Home(tmp_path)) == record
    assert record.pid == os.getpid()
    assert record.address == "http://127.0.0.1:11500"
    assert len(record.token) >= 20


@pytest.mark.parametrize(("host", "address"), [("::", "http://[::1]:1"), ("[::1]", "http://[::1]:1"), ("my.host", "http://my.host:1")])
def test_the_address_is_one_that_a_client_here_can_call(host: str, address: str) -> None:
    assert ServerRecord(1, 1.0, host, 1, "t", "v").address == address


def test_the_record_of_a_killed_server_does_not_count(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
    found = running(Home(tmp_path))
    assert found is not None
    assert found.pid == process.pid
    process.kill()
    # Also while nobody has collected the dead process yet.
    while running(Home(tmp_path)) is not None:
        assert process.returncode is None
    process.wait()
    assert running(Home(tmp_path)) is None


def test_a_process_id_that_was_given_to_another_process_does_not_count(tmp_path: Path) -> None:
    record = announce(Home(tmp_path), host="127.0.0.1", port=1, version="0")
    older = msgspec.structs.replace(record, born=record.born - 10)
    Home(tmp_path).server.write_bytes(msgspec.json.encode(older))
    assert running(Home(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00" * 50])
def test_no_record_or_a_torn_one_is_no_server(tmp_path: Path, text: str) -> None:
    assert running(Home(tmp_path)) is None
    Home(tmp_path).server.write_text(text)
    assert running(Home(tmp_path)) is None


def test_a_server_withdraws_its_own_record_and_never_its_successors(tmp_path: Path) -> None:
    first = announce(Home(tmp_path), host="127.0.0.1", port=1, version="0")
    second = announce(Home(tmp_path), host="127.0.0.1", port=2, version="0")
    withdraw(Home(tmp_path), first)
    assert running(Home(tmp_path)) == second
    withdraw(Home(tmp_path), second)
    assert not Home(tmp_path).server.exists()
