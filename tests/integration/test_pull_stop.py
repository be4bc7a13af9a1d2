"""A pull that another thread ends: at a silent network, and while it waits for another program."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hub_server import Hub, only_hub
from tiny_models import gguf_bytes

from app.core.errors import Cancelled, Conflict
from app.core.locks import FileLock
from models.library import Library
from models.pull.spec import Progress, parse
from models.pull.stop import Stop

LARGE = gguf_bytes(rows=40_000, seed=7)  # 5 MB
SOURCE = "hf:maker/Tiny-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with only_hub(Hub(repos={"maker/Tiny-GGUF": {"Tiny-Q4_K_M.gguf": LARGE}}), monkeypatch, tmp_path) as hub:
        yield hub


class Pulling:
    """A pull in a thread, with what came of it."""

    def __init__(self, library: Library) -> None:
        self.stop, self.told = Stop(), threading.Event()
        self.raised: list[Exception | None] = [None]
        self._thread = threading.Thread(target=self._run, args=(library,), daemon=True)
        self._thread.start()

    def _run(self, library: Library) -> None:
        def tell(progress: Progress) -> None:
            if progress.stage in ("downloading", "waiting"):
                self.told.set()

        try:
            library.pull(SOURCE, on_progress=tell, stop=self.stop)
        except Exception as error:  # noqa: BLE001 - whatever came of it
            self.raised[0] = error

    def end(self) -> Exception | None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.raised[0]


def test_a_pull_that_hears_nothing_from_the_network_ends_when_it_is_told_to_and_goes_on_later(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 3_000_000
    library = Library(tmp_path / "models")
    others = psutil.Process().children(recursive=True)
    pulling = Pulling(library)
    assert pulling.told.wait(60)
    assert hub.stalled.wait(60)
    children = [child for child in psutil.Process().children(recursive=True) if child not in others]
    pulling.stop.throw()
    assert isinstance(pulling.end(), Cancelled)
    assert children
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert library.list() == []
    hub.stall_after = 0
    assert library.pull(SOURCE).path.read_bytes() == LARGE


def test_a_pull_that_waits_for_another_program_ends_when_it_is_told_to(hub: Hub, tmp_path: Path) -> None:
    lock = tmp_path / "models" / ".locks" / f"{parse(SOURCE).key}.lock"
    with FileLock(lock, who="another program"):
        pulling = Pulling(Library(tmp_path / "models"))
        assert pulling.told.wait(30)
        pulling.stop.throw()
        assert isinstance(pulling.end(), Cancelled)
        with pytest.raises(Conflict, match="another program"):
            Library(tmp_path / "models").discard(SOURCE)
    assert hub.asked == []


def test_a_pull_that_was_told_to_end_before_it_began_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    stop = Stop()
    stop.throw()
    with pytest.raises(Cancelled):
        Library(tmp_path / "models").pull(SOURCE, stop=stop)
    assert hub.asked == []


def test_what_an_ended_pull_left_is_deleted_on_request(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 1_000_000
    library = Library(tmp_path / "models")
    pulling = Pulling(library)
    assert hub.stalled.wait(60)
    pulling.stop.throw()
    pulling.end()
    assert list((tmp_path / "models" / ".partial").iterdir())
    library.discard(SOURCE)
    assert list((tmp_path / "models" / ".partial").iterdir()) == []
