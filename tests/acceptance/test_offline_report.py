"""`ondol doctor --offline` as its users run it: a page that is true, and an exit status that follows it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from namespace import loopback_alone
from product import Product

from app.core.egress import QUIET
from models.installed import InstalledModel

pytestmark = pytest.mark.acceptance


@pytest.fixture
def product(tmp_path: Path, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> Product:
    made = Product(tmp_path / "한글 home" / "ondol", models_dir)
    (made.home / "config.yaml").write_text("network: offline\n", encoding="utf-8")
    return made


def test_with_a_server_running_every_part_holds_and_the_page_can_be_filed(product: Product, tmp_path: Path) -> None:
    file = tmp_path / "보고서" / "offline.md"
    with product.serving():
        done = product.run("doctor", "--offline", "--report", str(file))
    assert done.returncode == 0, done.stdout
    page = file.read_text(encoding="utf-8")
    assert page.strip() == done.stdout.strip()
    assert "`network: offline`, set by config.yaml line 1" in page
    assert str(product.home) in page
    assert "refused: The network policy refused a connection to 192.0.2.1:443" in page
    assert "HF_HUB_OFFLINE=1" in page
    assert "server (pid" in page
    assert "listens on 127.0.0.1:" in page
    assert "The promise holds" in page
    assert (product.home / "key").read_text(encoding="utf-8").strip() not in page
    assert not list((product.home / "logs").glob("offline*"))


def test_configured_the_report_says_what_that_allows_and_how_to_keep_offline(product: Product) -> None:
    config = product.home / "config.yaml"
    config.write_text("sources: {orders: {type: 'json:JSONDecoder', config: {host: 'search.internal:9200'}}}\n", encoding="utf-8")
    done = product.run("doctor", "--offline")
    assert done.returncode == 0, done.stdout
    assert "search.internal:9200" in done.stdout
    assert f"Set `network: offline` in {config} to keep it so." in done.stdout


def test_settings_that_are_wrong_are_named_and_the_status_is_1(product: Product) -> None:
    (product.home / "config.yaml").write_text(
        "network: offline\nbackends: {far: {type: openai, config: {model: m, base_url: 'https://api.example/v1'}}}\n", encoding="utf-8"
    )
    lines = product.lines("doctor", "--offline")
    assert lines[-1]["ok"] is False
    assert any("api.example" in line["found"] and "line 2" in line["found"] for line in lines[:-1] if not line["ok"])
    assert any(line["what"] == "urllib" and line["ok"] for line in lines[:-1])


def test_a_server_that_was_started_under_another_setting_does_not_hold(product: Product) -> None:
    config = product.home / "config.yaml"
    config.write_text("network: configured\n", encoding="utf-8")
    with product.serving():
        config.write_text("network: offline\n", encoding="utf-8")
        done = product.run("doctor", "--offline")
    assert done.returncode == 1
    assert "Restart the server." in done.stdout


def test_the_trial_works_for_real_in_a_network_of_its_own(product: Product) -> None:
    with loopback_alone() as inside:  # skips where no namespace can be made
        inside.run(["true"])
    lines = product.lines("doctor", "--offline", "--run")
    trial = {line["what"]: line for line in lines if line.get("part") == "The product at work without a network"}
    assert lines[-1]["ok"] is True, [line for line in lines if not line["ok"]]
    assert trial["the network of this trial"]["found"] == "its devices: lo"
    assert "417" in trial["a question was answered from it"]["found"]
    told = " ".join(trial)
    assert all(f"what the {worker} worker (pid" in told for worker in ("engine", "index", "embedding"))


def test_without_a_guard_no_way_out_passes_for_refused() -> None:
    # Without the pulls: nothing would keep them from trying a registry for a while.
    code = """
import json, time
from app.cli.offline import attempts
time.sleep = lambda _: None  # a library that tries again and again needs no pause here
attempts.WAYS = tuple(way for way in attempts.WAYS if "pull" not in way[0])
print(json.dumps(attempts.everything()))
"""
    # A test before this one may have told this process's libraries to stay home.
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    with loopback_alone() as inside:
        done = inside.run([sys.executable, "-P", "-c", code], timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["policy"] == ""
    assert found["control"] == ""
    refused = [what for what, ok, how in found["ways"] if ok and how != "not installed"]
    assert len(found["ways"]) > 10
    assert refused == []


def test_a_real_connection_beyond_this_machine_is_found_and_does_not_hold() -> None:
    code = """
import os, socket, time
import msgspec
from app.cli.offline import sockets
from app.core.server_record import ServerRecord
server = socket.create_server(("192.0.2.10", 8080))
client = socket.create_connection(("192.0.2.10", 8080), source_address=("192.0.2.9", 0))
record = ServerRecord(os.getpid(), time.time(), "127.0.0.1", 11500, "t", "0", "offline")
for allowed in ("198.51.100.", "192.0.2."):
    print(msgspec.json.encode(list(sockets.checks(record, lambda host, _: host.startswith(allowed), "offline"))).decode())
"""
    with loopback_alone() as inside:
        for address in ("192.0.2.9/32", "192.0.2.10/32"):
            assert inside.run(["ip", "addr", "add", address, "dev", "lo"]).returncode == 0
        done = inside.run([sys.executable, "-P", "-c", code], timeout=120)
    assert done.returncode == 0, done.stderr
    (found,), (allowed,) = (json.loads(line) for line in done.stdout.splitlines())
    assert not found["ok"]
    assert "TCP to 192.0.2.10:8080" in found["found"]
    assert allowed["ok"]
