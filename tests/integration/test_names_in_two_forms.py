"""A Mac writes 가게 as five letters, other systems as two: one store all the same, by every way in."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import KEY, Kept, Running, Scripted, serving
from ingest_world import World
from two_models import NEW, both, make

from app.core.errors import BadRequest, BadSetting, StoreNotFound
from app.core.names import composed
from app.core.records import Context, SearchQuery
from app.core.settings import load_settings
from app.local.parts import LocalStores
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.service import Service
from ingest.embedders import Tools
from ingest.generations import statuses, step_back
from ingest.index.exact import ExactVectors
from ingest.keeping.choosing import choose
from ingest.keeping.keeper import Keeper
from ingest.keeping.rebuild import rebuild
from ingest.keeping.retry import chosen
from ingest.naming import meant
from ingest.options import Options
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions
from ingest.sync import ingest_files
from models.hash_embedder import WordCounter

SHOP = "가게 café"
APART = unicodedata.normalize("NFD", SHOP)


@pytest.fixture
def shop(world: World, tmp_path: Path) -> World:
    """A store that was made under the Mac's form of its name."""
    folder = tmp_path / "자료"
    folder.mkdir()
    (folder / "floor.txt").write_text("따뜻한 바닥")
    world.files(folder, store=APART)
    return world


def test_a_store_that_is_filled_under_both_forms_is_one(shop: World, tmp_path: Path) -> None:
    (tmp_path / "자료" / "more.txt").write_text("더")
    report = shop.files(tmp_path / "자료", store=SHOP)
    assert (report.added, report.unchanged) == (1, 1)
    assert shop.sql("SELECT name FROM stores") == [(SHOP,)]
    assert shop.files(tmp_path / "자료", store=APART).store == SHOP


async def test_a_store_is_found_under_both_forms(shop: World) -> None:
    searcher = _searcher(shop)
    for name in (SHOP, APART):
        found = await searcher.search(name, SearchQuery("따뜻한 바닥"), Context())
        assert [passage.store for passage in found.passages] == [SHOP]


def _searcher(shop: World) -> Searcher:
    return Searcher(shop.home.book, LocalQuestions(shop.embedder), ExactVectors(shop.home), WordCounter())


async def test_what_is_done_with_a_store_and_its_sources_takes_both_forms(shop: World, tmp_path: Path) -> None:
    source = unicodedata.normalize("NFD", str(tmp_path / "자료"))
    assert shop.sync(APART).unchanged == 1
    assert [words for _, words in choose(shop.home, APART, source, "1h", "", on_change=False, never=False)] == ["every 1 hour"]
    assert chosen(shop.home, APART, source, ()) == {}
    assert [key.store for key in await Keeper(shop.home).ask(APART, source)] == [SHOP]
    (again,) = rebuild(shop.home, APART, shop.embedder, WordCounter(), on_event=shop.events.append, options=Options())
    assert again.changed == 1
    assert shop.forget(APART, source=source).deleted == 1


def test_a_store_is_embedded_anew_and_stepped_back_under_both_forms(shop: World, tmp_path: Path) -> None:
    older, newer = shop.embedder, make(*NEW)
    ingest_files(shop.home, [tmp_path / "자료"], APART, both(newer, older), WordCounter())
    assert [(one.model, one.state) for one in statuses(shop.home, APART)] == [("hash", "previous"), ("new", "current")]
    assert step_back(shop.home, APART, Tools(both(newer, older), WordCounter()), shop.events.append).model == "hash"


def test_a_name_means_the_very_source_before_one_that_looks_the_same() -> None:
    assert meant([SHOP, APART, "else"], APART) == {APART}
    assert meant([APART, "else"], SHOP) == {APART}
    assert meant([SHOP, "else"], APART) == {SHOP}
    assert meant([SHOP, "else"], None) == {SHOP, "else"}


def test_a_settings_file_may_write_its_names_in_either_form(tmp_path: Path, shop: World) -> None:
    file = tmp_path / "ondol.yaml"
    file.write_text(f"sources:\n  {APART}: {{type: store}}\nassistants:\n  {APART}: {{sources: [{APART}]}}\n", encoding="utf-8")
    settings = load_settings(shop.home, environ={"ONDOL_CONFIG": str(file)}, flags={})
    assert (list(settings.sources), list(settings.assistants)) == ([SHOP], [SHOP])
    assert settings.assistants[SHOP].sources == (SHOP,)
    assert settings.where(f"assistants.{SHOP}.sources").endswith("line 4")
    file.write_text(f"sources:\n  {APART}: {{type: store}}\n  {SHOP}: {{type: store}}\n", encoding="utf-8")
    with pytest.raises(BadSetting, match="stands twice, in two Unicode forms"):
        load_settings(shop.home, environ={"ONDOL_CONFIG": str(file)}, flags={})


def test_the_api_takes_both_forms_in_addresses_and_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as running:
        shop = World(running.library_folder.parent)
        (shop.home.root / "floor.txt").write_text("따뜻한 바닥")
        shop.files(shop.home.root / "floor.txt", store=SHOP)
        local = LocalStores(_searcher(shop))
        monkeypatch.setattr(running.stores, "stores", local.stores)
        monkeypatch.setattr(running.stores, "search", local.search)
        for name in (SHOP, APART):
            assert _asked(running, "GET", f"/v1/vector_stores/{name}")["id"] == SHOP
            (hit,) = _asked(running, "POST", f"/v1/vector_stores/{name}/search", {"query": "따뜻한 바닥"})["data"]
            assert hit["content"][0]["text"] == "따뜻한 바닥"
            (accepted,) = _asked(running, "POST", "/ingest/sync", {"store": name})["accepted"]
            (scheduled,) = _asked(running, "PUT", "/ingest/schedule", {"store": name, "every": "1h"})["sources"]
            assert [accepted["store"], scheduled["store"], scheduled["schedule"]] == [SHOP, SHOP, "every 1 hour"]


def _asked(running: Running, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, running.url + path, headers={"authorization": f"Bearer {KEY}"}, json=body)
    answer.raise_for_status()
    return answer.json()


async def test_an_assistant_is_asked_by_its_name_in_both_forms() -> None:
    backend = Scripted()
    shop = Assistant(SHOP, SHOP, backend)

    async def assistants() -> Mapping[str, Assistant]:
        return {SHOP: shop}

    service = Service({"scripted": backend}, backend, assistants, Answerer(None, Kept()))
    for name in (SHOP, APART):
        assert await service.resolve(name) is shop


def test_letters_that_only_look_alike_stay_what_they_are() -> None:
    assert composed("Αlpha") != composed("Alpha")
    assert composed(APART) == SHOP


def test_bytes_that_are_no_text_name_no_store(shop: World) -> None:
    with pytest.raises(StoreNotFound, match=r'no store "\?\?"'):
        shop.sync("\udcff\udcfe")
    with pytest.raises(BadRequest, match="can't be a store's name"):
        shop.files(shop.home.root, store="\udcff")
