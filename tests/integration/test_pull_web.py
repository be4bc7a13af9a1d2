from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, serving
from tiny_models import gguf_bytes

from app.core.errors import ItemError, NotFound, UpstreamError
from models.library import Library
from models.pull.http import download

LARGE = gguf_bytes(rows=40_000, seed=3)
PULL = "import sys; from pathlib import Path; from models.library import Library; Library(Path(sys.argv[1])).pull(sys.argv[2])"


@pytest.fixture
def web() -> Iterator[Hub]:
    with serving(Hub(files={"Tiny.Q4_1.gguf": LARGE, "page.gguf": b"<html>please log in</html>" * 100})) as web:
        yield web


def stop_in_the_middle(web: Hub, library: Path, source: str) -> None:
    """A real puller, killed when it has 3,000,000 bytes."""
    web.stall_after = 3_000_000
    process = subprocess.Popen([sys.executable, "-c", PULL, str(library), source])
    assert web.stalled.wait(60)
    while not [path for path in library.rglob("*.part") if path.stat().st_size == 3_000_000]:
        time.sleep(0.02)
    process.kill()
    process.wait()
    web.stall_after = 0


def test_an_address_with_its_hash_becomes_a_model(web: Hub, tmp_path: Path) -> None:
    model = Library(tmp_path).pull(f"{web.url}/web/Tiny.Q4_1.gguf#sha256={hashlib.sha256(LARGE).hexdigest()}")
    assert (model.id, model.quant, model.sha256) == ("tiny", "Q4_1", hashlib.sha256(LARGE).hexdigest())


def test_a_file_with_another_hash_than_asked_for_is_refused(web: Hub, tmp_path: Path) -> None:
    library = Library(tmp_path)
    with pytest.raises(ItemError, match="SHA-256"):
        library.pull(f"{web.url}/web/Tiny.Q4_1.gguf#sha256={'0' * 64}")
    assert library.list() == []
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_killed_download_goes_on_where_it_stopped(web: Hub, tmp_path: Path) -> None:
    source = f"{web.url}/web/Tiny.Q4_1.gguf"
    stop_in_the_middle(web, tmp_path, source)
    assert Library(tmp_path).pull(source).path.read_bytes() == LARGE
    assert web.ranges("Tiny.Q4_1.gguf") == ["", "bytes=3000000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew_and_never_mixed(web: Hub, tmp_path: Path) -> None:
    source = f"{web.url}/web/Tiny.Q4_1.gguf"
    stop_in_the_middle(web, tmp_path, source)
    web.files["Tiny.Q4_1.gguf"] = other = gguf_bytes(rows=50_000, seed=4)
    assert Library(tmp_path).pull(source).path.read_bytes() == other


def test_a_web_page_in_place_of_a_model_is_refused(web: Hub, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="not a GGUF"):
        Library(tmp_path).pull(f"{web.url}/web/page.gguf")


def test_a_missing_file_is_not_tried_again(web: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Library(tmp_path).pull(f"{web.url}/web/none.gguf")
    assert len(web.asked) == 1


def test_a_host_that_keeps_failing_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="goes on where it stopped"):
        download("http://127.0.0.1:9/x.gguf", tmp_path / "x.gguf", lambda done, total: None, attempts=2, pause=0.01)
