"""A store whose embedder changes: searched as before until all of it has its new vectors, then in the new way, at no time in between."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from doomed import Doomed
from ingest_world import World
from two_models import NEW, OLD, both, embed_anew, make

import ingest.generations as building
from app.core.errors import NotFound, NotReady
from app.core.locks import FileLock
from app.core.records import Context, SearchQuery
from ingest.embedders import Tools
from ingest.generations import Renewed, Renewing, statuses, step_back
from ingest.index.client import IndexClient
from ingest.index.contract import GenerationChanged, VectorSearch
from ingest.index.exact import ExactVectors
from ingest.report import Event
from ingest.search.hybrid import Searcher
from ingest.sync import forget, ingest_files, sync
from models.embedder import Embedder
from models.hash_embedder import WordCounter

OLDER, NEWER = make(*OLD), make(*NEW)


class Installed:
    """Questions to any of the models, by the fingerprint of what they are compared with."""

    async def vectors_bytes(self, texts: Sequence[str], kind: str, *, fingerprint: str = "") -> tuple[bytes, int]:
        embedder = {one.info.fingerprint: one for one in (OLDER, NEWER)}[fingerprint]
        return embedder.queries(texts).astype("<f4").tobytes(), embedder.info.dimensions


class Shop:
    """A store `notes` over a folder of short notes."""

    def __init__(self, root: Path, notes: int = 40) -> None:
        self.world = World(root / "home")
        self.home, self.folder = self.world.home, root / "notes"
        self.home.root.mkdir()
        self.folder.mkdir()
        for number in range(notes):
            self.write(number)
        self.events: list[Event] = []

    def write(self, number: int, more: str = "") -> None:
        (self.folder / f"n{number}.txt").write_text(f"Note {number} speaks of item{number} alone. {more}", encoding="utf-8")

    def files(self, now: Embedder, *others: Embedder) -> None:
        ingest_files(self.home, [self.folder], "notes", both(now, *others), WordCounter(), on_event=self.events.append)

    def sync(self, now: Embedder, *others: Embedder) -> None:
        reports = sync(self.home, None, both(now, *others), WordCounter(), on_event=self.events.append)
        assert [report.error for report in reports] == [""] * len(reports)

    def back(self, now: Embedder, *others: Embedder) -> str:
        return step_back(self.home, "notes", Tools(both(now, *others), WordCounter()), self.events.append).model

    def states(self) -> dict[str, tuple[str, int, int]]:
        return {one.state: (one.model, one.texts, one.total) for one in statuses(self.home, "notes")}

    def check(self, embedder: Embedder) -> None:
        """Each chunk has the vector that this embedder gives it, in the current generation."""
        rows = self.world.sql(
            "SELECT d.title, c.heading, c.text, v.vector FROM chunks c JOIN documents d ON d.pk = c.document_pk JOIN generations g"
            " ON g.state = 'current' LEFT JOIN vectors v ON v.generation_id = g.id AND v.text_hash = c.text_hash"
        )
        assert len(rows) == len(list(self.folder.iterdir()))
        for title, heading, text, vector in rows:
            wanted = embedder.passages(["\n".join(filter(None, (title, heading, text)))])[0]
            np.testing.assert_allclose(np.frombuffer(vector, "<f4"), wanted, atol=1e-6)
        assert self.world.sql("SELECT v.pk FROM vectors v WHERE v.text_hash NOT IN (SELECT text_hash FROM chunks)") == []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.files(OLDER)
    return shop


def test_the_next_sync_embeds_all_anew_and_keeps_the_way_before(shop: Shop) -> None:
    shop.sync(NEWER, OLDER)
    assert shop.states() == {"current": ("new", 40, 40), "previous": ("old", 40, 40)}
    shop.check(NEWER)
    told = [event for event in shop.events if isinstance(event, Renewing | Renewed)]
    assert (told[-2].done, told[-1]) == (40, Renewed("notes", "new"))  # type: ignore[union-attr]
    shop.events.clear()
    shop.sync(NEWER, OLDER)
    assert not any(isinstance(event, Renewing | Renewed) for event in shop.events)


def test_what_changes_while_the_store_is_embedded_anew_is_found_at_once_in_the_old_way_and_later_in_the_new(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "PORTION", 8)
    others: list[str] = []

    def meanwhile(event: Event) -> None:
        if isinstance(event, Renewing) and not others:
            others.append("run")
            shop.write(3, "Changed meanwhile.")
            shop.write(99)
            (shop.folder / "n5.txt").unlink()
            shop.files(NEWER, OLDER)
            assert shop.states()["current"] == ("old", 40, 40)
            shop.check(OLDER)

    sync(shop.home, None, both(NEWER, OLDER), WordCounter(), on_event=meanwhile)
    assert others
    assert shop.states() == {"current": ("new", 40, 40), "previous": ("old", 40, 40)}
    shop.check(NEWER)


def test_a_store_whose_old_model_is_gone_is_embedded_anew_before_its_sources_are_read(shop: Shop) -> None:
    shop.write(77)
    shop.sync(NEWER)
    assert shop.states()["current"] == ("new", 41, 41)
    shop.check(NEWER)


def test_of_many_generations_the_last_two_stay(shop: Shop) -> None:
    third = make("third", 32)
    shop.sync(NEWER, OLDER)
    shop.sync(third, NEWER, OLDER)
    assert {state: found[0] for state, found in shop.states().items()} == {"current": "third", "previous": "new"}
    assert shop.world.sql("SELECT count(*) FROM vectors") == [(80,)]


def test_a_choice_taken_back_before_the_end_leaves_nothing_of_the_building(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PORTION", 8)

    def stop(event: Event) -> None:
        if isinstance(event, Renewing):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(shop.home, None, both(NEWER, OLDER), WordCounter(), on_event=stop)
    assert shop.states() == {"current": ("old", 40, 40), "building": ("new", 8, 40)}
    shop.sync(OLDER, NEWER)
    assert shop.states() == {"current": ("old", 40, 40)}
    assert shop.world.sql("SELECT count(*) FROM vectors") == [(40,)]


def test_a_step_back_embeds_what_came_since_and_is_not_undone_by_the_next_sync(shop: Shop) -> None:
    shop.sync(NEWER, OLDER)
    shop.write(50)
    shop.sync(NEWER, OLDER)
    assert shop.back(NEWER, OLDER) == "old"
    shop.check(OLDER)
    shop.write(51)
    shop.sync(NEWER, OLDER)
    assert shop.states() == {"current": ("old", 42, 42), "left": ("new", 41, 42)}
    shop.check(OLDER)
    assert shop.back(NEWER, OLDER) == "new"
    shop.check(NEWER)


def test_a_step_back_needs_an_earlier_generation_and_its_model(shop: Shop) -> None:
    with pytest.raises(NotFound, match="no earlier generation"):
        shop.back(OLDER)
    shop.sync(NEWER, OLDER)
    with pytest.raises(NotReady, match="old, which the earlier generation was made with, is not installed"):
        shop.back(NEWER)
    assert shop.states()["current"][0] == "new"


def test_while_one_process_builds_another_leaves_it_to_it(shop: Shop) -> None:
    with FileLock(shop.home.locks / "renew-notes.lock"):
        shop.sync(NEWER, OLDER)
    assert shop.states() == {"current": ("old", 40, 40)}


def test_a_store_forgotten_while_it_is_embedded_anew_stays_forgotten(shop: Shop) -> None:
    def away(event: Event) -> None:
        if isinstance(event, Renewing) and shop.world.documents():
            forget(shop.home, "notes")

    sync(shop.home, None, both(NEWER, OLDER), WordCounter(), on_event=away)
    assert shop.world.sql("SELECT * FROM stores") == shop.world.sql("SELECT * FROM vectors") == []


def test_a_build_killed_again_and_again_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 1500)
    shop.files(OLDER)
    chance, kept, runs = random.Random(5), 0, 0
    while shop.states()["current"][0] == "old":
        runs += 1
        run = Doomed(embed_anew, shop.home.root)
        run.until_it_speaks()
        if runs < 8:
            time.sleep(chance.uniform(0, 0.06))
            run.kill()
        run.ended()
        done = max((int(said.split()[1]) for said in run.said if said.startswith("kept")), default=0)
        states = shop.states()
        if states["current"][0] == "old":
            assert states["building"][1] >= max(kept, done)
            kept = states["building"][1]
    assert runs > 1
    shop.check(NEWER)


async def asked(searcher: Searcher, number: int) -> None:
    result = await searcher.search("notes", SearchQuery(f"item{number}", 3), Context())
    assert result.failed == {}
    assert result.passages[0].document_id.endswith(f"/n{number}.txt")
    assert result.passages[0].relevance > 0.5


@pytest.mark.parametrize("worker", [False, True])
async def test_who_searches_all_the_while_sees_neither_an_empty_nor_a_mixed_result(shop: Shop, worker: bool) -> None:
    index = IndexClient(shop.home) if worker else None
    vectors: VectorSearch = index or ExactVectors(shop.home)
    searcher = Searcher(shop.home.book, Installed(), vectors)
    changed: list[str] = []
    number = 0

    def change() -> None:
        for turn in (renewed, *[back] * 5):  # a step back from a step back leads forth again
            turn()
            changed.append(shop.states()["current"][0])
            # A search is tried again so often and no more: on a busy machine it must not meet all of these.
            answered = number + 2
            while number < answered:
                time.sleep(0.005)

    def renewed() -> None:
        shop.sync(NEWER, OLDER)

    def back() -> None:
        shop.back(NEWER, OLDER)

    changing = threading.Thread(target=change, daemon=True)
    await asked(searcher, 0)
    changing.start()
    while changing.is_alive():
        number += 1
        await asyncio.gather(asked(searcher, number % 40), asked(searcher, (number + 7) % 40))
    assert changed == ["new", "old"] * 3
    assert number > 5
    searcher.close()
    if index is not None:
        await index.stop()


async def test_a_vector_made_for_another_generation_is_refused_not_compared(shop: Shop) -> None:
    exact = ExactVectors(shop.home)
    question = NEWER.queries(["item3"])[0].astype("<f4").tobytes()
    with pytest.raises(GenerationChanged):
        await exact.query("notes", question, 3, generation="another")
    index = IndexClient(shop.home)
    with pytest.raises(GenerationChanged):
        await index.query("notes", question, 3, generation="another")
    await index.stop()
