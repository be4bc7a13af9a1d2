"""The real tray over the real server, on a desktop of our own: every row is clicked over the bus and does what it says."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import tray_host
from hub_server import Hub, serving
from tiny_models import gguf_bytes
from tray_host import Desktop, Panel
from tray_program import Place, Tray, add_chat_page, documents, fill, tray, unchosen, until

from models.installed import InstalledModel
from models.library import Library

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(bool(tray_host.missing()), reason=tray_host.missing())]


FORBIDDEN = ("litestar", "chromadb", "torch", "llama_cpp", "typer", "uvicorn", "sqlalchemy", "numpy", "sentence_transformers")


LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB


SOURCE = "maker/Tiny-GGUF:Q4_K_M"


MODEL, SECOND = "smollm2-135m-instruct", "second"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving(Hub(repos={"maker/Tiny-GGUF": {"Tiny-Q4_K_M.gguf": LARGE}}, stall_after=1_000_000)) as hub:
        yield hub


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> Place:
    """With two chat models, a store of one document, and a chat page."""
    place = Place(tmp_path_factory.mktemp("whole"), models_dir)
    shutil.copy(smollm2, place.folder / f"{SECOND}.gguf")
    library = Library(place.home.models)
    library.pull(f"file:{place.folder / f'{SECOND}.gguf'}")
    library.use(MODEL)
    fill(place, leave="# Leave\n\nAnnual leave is 15 days.\n")
    add_chat_page(place)
    return place


@pytest.fixture(scope="module")
def whole(filled: Place, hub: Hub) -> Iterator[Tray]:
    """One tray for all rows, with a note of all that it imports."""
    more = {"HF_ENDPOINT": hub.url, "HF_HOME": str(filled.folder / "hf"), "PYTHONPROFILEIMPORTTIME": "1"}
    with tray_host.desktop() as desktop, Panel(desktop.bus) as panel, tray(filled, desktop, panel=panel, **more) as running:
        running.shows("Ondol is ready")
        running.shows("Models", "SmolLM2")
        yield running


def loaded(whole: Tray, model: str) -> bool:
    return bool(whole.manager().all()[model]["status"]["value"] == "loaded")


def test_the_models_row_makes_a_model_the_default_and_loads_it_and_unload_frees_it(whole: Tray) -> None:
    [chosen] = [entry.label for entry in whole.icon.menu().find("Models").entries if entry.checked]
    assert chosen.startswith("SmolLM2")
    other = unchosen(whole)
    whole.click("Models", other)
    until(lambda: loaded(whole, SECOND), "the server has not loaded it")
    until(lambda: "in memory" in (row := whole.shows("Models", other)).label and row.checked, "the row does not say so")
    listed = whole.place.product.lines("models", "list")
    assert [one["id"] for one in listed if one["default"] and one["kind"] == "chat"] == [SECOND]
    whole.click("Models", "Unload")
    until(lambda: not loaded(whole, SECOND), "the server has not unloaded it")
    whole.shows("Models", "No model is in memory")


def test_the_rows_of_a_download_pause_it_and_let_it_go_on_until_its_model_is_told_and_listed(whole: Tray, hub: Hub) -> None:
    assert whole.manager().ask("/models", SOURCE)[0] == 200
    until(lambda: "% of 5 MB" in whole.shows("Downloading Tiny-GGUF:Q4_K_M: ").label, "the row says no size")
    whole.click("Downloading", "Pause")
    until(lambda: whole.manager().all()[SOURCE]["status"]["value"] == "stopped", "the server has not paused it")
    assert whole.shows("Paused: Tiny-GGUF:Q4_K_M").label.endswith("of 5 MB")
    whole.click("Paused", "Resume")
    assert whole.panel.note("Tiny-GGUF:Q4_K_M", 60).title == "Ondol"
    whole.shows("Models", "Tiny")
    until(lambda: whole.row("Paused") is None, "the row is still there")
    whole.manager().remove("tiny")


def test_the_rows_of_a_download_cancel_it(whole: Tray, hub: Hub) -> None:
    assert whole.manager().ask("/models", SOURCE)[0] == 200
    whole.click("Downloading", "Cancel")
    until(lambda: SOURCE not in whole.manager().all(), "the server still has it")
    until(lambda: whole.row("Downloading") is None, "the row is still there")
    assert list(whole.place.home.models.rglob("*.part")) == []


def test_sync_now_reads_what_is_new_and_the_row_says_when(whole: Tray) -> None:
    before = documents(whole.place)
    (whole.place.folder / "papers" / "급여.md").write_text("# Pay\n\nPayday is the 25th.\n", encoding="utf-8")
    whole.click("Sync now")
    until(lambda: documents(whole.place) == before + 1, "nothing new is in the store")
    whole.shows("Sync now (just now)")


def test_a_sync_that_fails_is_told_with_why_and_one_that_works_again_takes_the_problem_away(whole: Tray) -> None:
    papers = whole.place.folder / "papers"
    papers.rename(papers.with_name("elsewhere"))
    whole.click("Sync now")
    whole.panel.note("The sync failed", 60)
    whole.shows("⚠ The last sync failed")
    papers.with_name("elsewhere").rename(papers)
    whole.click("→ Sync again")
    until(lambda: whole.row("⚠ The last sync failed") is None, "the problem is still shown")


def test_open_chat_starts_the_page_and_shows_it_and_the_next_click_shows_it_again(whole: Tray) -> None:
    whole.click("Open chat")
    [url] = until(lambda: whole.place.words("browser"), "no browser was opened")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/health")
    assert json.loads(connection.getresponse().read()) == {"status": True}
    connection.close()
    given = json.loads((whole.place.home.root / "open-webui" / "data" / "given.json").read_text())
    record = whole.place.server()
    assert record is not None
    assert given["environment"]["OPENAI_API_BASE_URLS"] == f"{record.address}/v1"
    whole.click("Open chat")
    until(lambda: whole.place.words("browser") == [url, url], "it was not shown again")


def test_the_server_rows_stop_start_and_restart_it_and_the_chat_page_follows_its_address(whole: Tray) -> None:
    first = whole.place.server()
    assert first is not None
    whole.click("Server", "Stop")
    whole.shows("Ondol is stopped")
    assert whole.place.server() is None
    assert not whole.shows("Server", "Stop").enabled
    whole.click("Server", "Start")
    whole.shows("Ondol is ready")
    second = whole.place.server()
    assert second is not None
    assert second.pid != first.pid
    whole.click("Server", "Restart")
    third = until(lambda: (now := whole.place.server()) and now.pid != second.pid and now, "it did not start anew")
    whole.shows("Ondol is ready")
    whole.shows("Models", "SmolLM2")
    given = whole.place.home.root / "open-webui" / "data" / "given.json"

    def follows() -> bool:
        now = whole.place.server()
        with contextlib.suppress(ValueError):  # it is being written
            return now is not None and str(json.loads(given.read_text())["environment"]["OPENAI_API_BASE_URLS"]) == f"{now.address}/v1"
        return False

    until(follows, f"the chat page does not know {third}")
    whole.shows("Open chat")


def test_address_and_key_go_to_the_clipboard_and_the_key_on_no_command_line(whole: Tray) -> None:
    record = whole.place.server()
    assert record is not None
    whole.click("Server", "Copy API address")
    until(lambda: whole.place.input("xclip") == f"{record.address}/v1", "the address is not there")
    key = whole.place.home.key.read_text().strip()
    whole.click("Server", "Copy API key")
    until(lambda: whole.place.input("xclip") == key, "the key is not there")
    assert key not in whole.place.words("xclip")
    assert key not in (whole.place.home.logs / "tray.log").read_text(encoding="utf-8")


def test_logs_and_documentation_are_opened_and_about_says_version_and_address(whole: Tray) -> None:
    whole.click("Help", "Show logs")
    until(lambda: str(whole.place.home.logs) in whole.place.words("xdg-open"), "the logs were not opened")
    whole.click("Help", "Documentation")
    until(
        lambda: any(word.endswith("README.md") and Path(word).is_file() for word in whole.place.words("xdg-open")), "no README was opened"
    )
    whole.click("Help", "About Ondol")
    record = whole.place.server()
    assert record is not None
    note = whole.panel.note("Ondol 0.")
    assert record.address in note.text


def test_diagnostics_are_saved_and_their_place_is_told(whole: Tray) -> None:
    whole.click("Help", "Save diagnostics")
    note = whole.panel.note("Saved to", 120)
    assert Path(note.text.removeprefix("Saved to ")).is_file()


def test_start_at_login_makes_the_entry_and_takes_it_away(whole: Tray) -> None:
    entry = whole.place.folder / "config" / "autostart" / "ondol.desktop"
    whole.click("Settings", "Start at login")
    until(entry.exists, "there is no entry")
    until(lambda: whole.shows("Settings", "Start at login").checked, "the row is not marked")
    whole.click("Settings", "Start at login")
    until(lambda: not entry.exists(), "the entry is still there")
    until(lambda: not whole.shows("Settings", "Start at login").checked, "the row is still marked")


def test_the_language_changes_at_once_and_back(whole: Tray) -> None:
    whole.click("Settings", "Language", "한국어")
    whole.shows("온돌이 준비되었습니다")
    whole.click("설정", "언어 (Language)", "English")
    whole.shows("Ondol is ready")
    assert json.loads((whole.place.home.root / "tray.json").read_text())["language"] == "en"


def test_with_notifications_off_a_download_that_is_done_calls_nobody_and_a_click_is_still_answered(whole: Tray, hub: Hub) -> None:
    whole.click("Settings", "Notifications")
    until(lambda: not whole.shows("Settings", "Notifications").checked, "the row is still marked")
    stalls, hub.stall_after = hub.stall_after, 0
    whole.panel.notes.clear()
    assert whole.manager().ask("/models", SOURCE)[0] == 200
    whole.shows("Models", "Tiny")
    whole.click("Help", "About Ondol")
    whole.panel.note("Ondol 0.")
    assert len(whole.panel.notes) == 1
    whole.click("Settings", "Notifications")
    until(lambda: whole.shows("Settings", "Notifications").checked, "the row is not marked again")
    hub.stall_after = stalls
    whole.manager().remove("tiny")


def test_a_second_start_ends_well_and_the_first_says_where_it_is(whole: Tray, desktop: Desktop) -> None:
    line = [sys.executable, "-P", "-m", "tray.main"]
    second = subprocess.run(line, env=whole.place.environment(desktop), capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, second.stdout) == (0, "")
    assert "runs already" in second.stderr
    whole.panel.note("running already")
    assert whole.process.poll() is None


def test_a_server_that_is_killed_comes_back_and_that_is_told_once(whole: Tray) -> None:
    for _ in range(2):
        record = whole.place.server()
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        until(lambda: (now := whole.place.server()) and now.pid != record.pid, "no server came back")  # noqa: B023
        whole.shows("Ondol is ready")
    whole.panel.note("runs again")
    assert sum("runs again" in note.text for note in whole.panel.notes) == 1


def test_after_all_of_that_it_is_small_and_has_imported_nothing_of_the_server(whole: Tray) -> None:
    imported = {line.rpartition("|")[2].strip() for line in whole.said.splitlines() if line.startswith("import time:")}
    assert {"tray.tray", "tray.face.toolkit_gtk", "pystray"} <= imported
    assert {name for name in imported if name.partition(".")[0] in FORBIDDEN} == set()
    assert psutil.Process(whole.process.pid).memory_full_info().uss < 60e6


def test_quit_ends_the_tray_its_server_and_its_chat_page(whole: Tray) -> None:
    whole.click("Quit")
    assert whole.process.wait(30) == 0
    whole.place.is_left()
    assert whole.place.server() is None
