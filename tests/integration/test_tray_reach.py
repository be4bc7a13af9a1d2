"""The tray under its own egress guard, over a server that listens on an address of this machine's network."""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tray.reach import server_at

ROOT = Path(__file__).parents[2]
TRAY = """
import json, socket, sys, threading
from pathlib import Path
from app.core import egress
from app.core.errors import EgressRefused, OndolError
from app.core.paths import Home
from tray.keeping.keeper import Keeper
from tray.records import State
from tray.watching.client import Client

egress.install(egress.Policy())
ready, said = threading.Event(), []

def tell(server):
    said.append(server)
    if server.state is State.READY:
        ready.set()

keeper = Keeper(Home(Path(sys.argv[1])), tell, line=json.loads(sys.argv[2]))
keeper.start()
assert ready.wait(40), said
address = keeper.server.address
host, port = address.removeprefix("http://").rsplit(":", 1)
found = {"address": address}
try:
    Client(address, lambda: "key").listing()
except OndolError as error:
    found["client"] = type(error).__name__
try:
    socket.create_connection((host, int(port)), timeout=2)
except EgressRefused:
    found["others"] = "refused"
keeper.close()
print(json.dumps(found))
"""


def network_address() -> str:
    """One of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback:
                return one.address
    pytest.skip("this machine has loopback alone")


def test_a_server_on_an_address_of_this_machines_network_is_reached_by_the_tray_and_by_nothing_else_in_it(tmp_path: Path) -> None:
    host = network_address()
    (tmp_path / "plan.json").write_text(json.dumps([{"host": host}]), encoding="utf-8")
    server = [sys.executable, str(Path(__file__).with_name("keeper_server.py")), str(tmp_path / "plan.json")]
    line = [sys.executable, "-c", TRAY, str(tmp_path / "온돌 home"), json.dumps(server)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["address"].startswith(f"http://{host}:")
    assert found["others"] == "refused"
    assert found["client"] == "UpstreamError", "it answered, though not as our server does"


def test_an_address_that_this_machine_has_no_more_is_not_asked() -> None:
    with pytest.raises(OSError, match=r"assign|address"), server_at("http://198.51.100.7:11500"):
        raise AssertionError("it would be asked")
