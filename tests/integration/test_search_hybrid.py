"""Hybrid search over a real book: both legs, access, filters, and a leg that fails."""

from __future__ import annotations

import asyncio

import pytest
from shelf import EMBEDDER, home_in, shelf, some_texts

from app.core.errors import BadRequest, NotReady, StoreNotFound, WorkerDied
from app.core.paths import Home
from app.core.records import Context, Principal, SearchQuery, SearchResult
from ingest.index.exact import ExactVectors
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions
from ingest.search.relevance import DEFAULT_THRESHOLD
from ingest.search.visible import Restriction
from models.hash_embedder import HashEmbedder, WordCounter

OWNER = Context()
GUEST = Context(principal=Principal(groups=("sales",), owner=False))


class Shattered:
    """The tokenizer of an embedder that cuts every letter into pieces."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(at, at + 1) for at in range(len(text)) for _ in range(2)]


class Dead:
    """A vector leg whose worker has died."""

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        raise WorkerDied()


@pytest.fixture
def home(tmp_path) -> Home:  # type: ignore[no-untyped-def]
    return home_in(tmp_path)


def searcher(home: Home) -> Searcher:
    return Searcher(home.book, LocalQuestions(EMBEDDER), ExactVectors(home), WordCounter())


def ids(result: SearchResult) -> list[str]:
    return [passage.document_id for passage in result.passages]


async def test_the_passage_that_says_it_comes_first_with_all_that_a_citation_needs(home: Home) -> None:
    with shelf(home) as books:
        books.put(some_texts(100))
        books.put({"leave": "연차휴가는 입사 첫해에 15일이며 다음 해로 넘길 수 있다."}, attributes={"lang": "ko"})
    result = await searcher(home).search("things", SearchQuery("연차휴가는 며칠인가요?", 5), OWNER)
    best = result.passages[0]
    assert (best.document_id, best.store, best.source, best.attributes) == ("leave", "things", "shelf", {"lang": "ko"})
    assert best.text.startswith("연차휴가")
    assert result.failed == {}
    assert [passage.score for passage in result.passages] == sorted((passage.score for passage in result.passages), reverse=True)


async def test_english_is_found_by_another_form_of_the_word(home: Home) -> None:
    with shelf(home) as books:
        books.put({"a": "Returned scales are repaired.", "b": "Meetings are on Monday."})
    result = await Searcher(home.book, None, ExactVectors(home)).search("things", SearchQuery("returning a scale"), OWNER)
    assert ids(result)[0] == "a"


async def test_an_acknowledged_document_is_found_by_the_next_search_and_a_deleted_one_is_gone(home: Home) -> None:
    searching = searcher(home)
    with shelf(home) as books:
        books.put(some_texts(30))
        for n in range(5):
            books.put({"fact": f"비밀번호 교체 주기는 {n + 30}일이다"})
            found = await searching.search("things", SearchQuery("비밀번호 교체 주기"), OWNER)
            assert f"{n + 30}일" in found.passages[0].text
        books.delete(["fact"])
    assert "fact" not in ids(await searching.search("things", SearchQuery("비밀번호 교체 주기"), OWNER))


async def test_nobody_is_shown_a_passage_without_a_right_to_it(home: Home) -> None:
    with shelf(home) as books:
        books.put({f"hr{n}": f"연봉 협상 결과 {n}" for n in range(60)}, access=["hr"])
        books.put({"sales": "연봉 이야기는 없다"}, access=["sales"])
        books.put({"open": "연봉 안내"})
    searching = searcher(home)
    assert sorted(ids(await searching.search("things", SearchQuery("연봉 협상 결과", 5), GUEST))) == ["open", "sales"]
    assert len(ids(await searching.search("things", SearchQuery("연봉 협상 결과", 5), OWNER))) == 5


async def test_filters_hold_in_both_legs_before_the_lists_are_cut(home: Home) -> None:
    with shelf(home) as books:
        books.put({f"old{n}": f"보증 기간 안내 {n}" for n in range(80)}, attributes={"year": 2023})
        books.put({"new": "보증 안내가 조금 있다"}, attributes={"year": "2024"})
    found = await searcher(home).search("things", SearchQuery("보증 기간 안내", 3, {"year": 2024}), OWNER)
    assert ids(found) == ["new"]


async def test_a_filter_may_name_an_attribute_in_korean(home: Home) -> None:
    with shelf(home) as books:
        books.put({"seoul": "보증 기간 안내"}, attributes={"지역": "서울"})
        books.put({"busan": "보증 기간 안내 둘"}, attributes={"지역": "부산"})
    assert ids(await searcher(home).search("things", SearchQuery("보증 기간", 3, {"지역": "부산"}), OWNER)) == ["busan"]


@pytest.mark.parametrize(
    "question", ["휴가 \ud800 규정", "\udcff휴가", "휴가\x00규정", "휴가 " + "아" * 300_000, " " * 20_000 + "휴가", '휴가" OR *']
)
async def test_what_no_person_types_is_searched_for_what_there_is_of_it(home: Home, question: str) -> None:
    with shelf(home) as books:
        books.put({**some_texts(20), "leave": "휴가"})
    found = await searcher(home).search("things", SearchQuery(question, 3), OWNER)
    assert (ids(found)[0], found.failed) == ("leave", {})


async def test_stores_with_the_same_words_do_not_mix(home: Home) -> None:
    with shelf(home, "big") as books:
        books.put({f"big{n}": f"scale warranty {n}" for n in range(300)})
    with shelf(home, "small") as books:
        books.put({"mine": "a long text about other things that only names a scale warranty in passing"})
    assert ids(await searcher(home).search("small", SearchQuery("scale warranty"), OWNER)) == ["mine"]


async def test_a_failed_vector_leg_is_named_and_words_answer(home: Home) -> None:
    with shelf(home) as books:
        books.put({"a": "scale warranty", "b": "price list"})
    found = await Searcher(home.book, LocalQuestions(EMBEDDER), Dead()).search("things", SearchQuery("warranty"), OWNER)
    assert ids(found) == ["a"]
    assert list(found.failed) == ["vectors"]


async def test_another_embedder_than_the_stores_own_is_named_and_words_answer(home: Home) -> None:
    with shelf(home) as books:
        books.put({"a": "scale warranty"})
    other = LocalQuestions(HashEmbedder(64, name="other"))
    found = await Searcher(home.book, other, ExactVectors(home)).search("things", SearchQuery("warranty"), OWNER)
    assert ids(found) == ["a"]
    assert "other" in found.failed["vectors"]


async def test_where_both_legs_fail_the_error_says_both_reasons(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with shelf(home) as books:
        books.put({"a": "scale warranty"})
    searching = Searcher(home.book, None, ExactVectors(home))

    def broken(ask: object) -> list[int]:
        raise OSError("the disk said no")

    monkeypatch.setattr(searching, "_full_text", broken)
    with pytest.raises(NotReady, match=r"disk said no.*No embedder"):
        await searching.search("things", SearchQuery("warranty"), OWNER)


async def test_vectors_have_no_say_where_the_embedder_cannot_read_the_question(home: Home) -> None:
    with shelf(home) as books:
        books.put({"a": "연차휴가 규정"})
    found = await Searcher(home.book, LocalQuestions(EMBEDDER), Dead(), Shattered()).search("things", SearchQuery("연차휴가"), OWNER)
    assert (ids(found), found.failed, found.trust) == (["a"], {}, 0.0)


async def test_a_question_about_other_things_stays_below_the_threshold_and_one_in_either_language_of_a_passage_above(home: Home) -> None:
    with shelf(home) as books:
        books.put({f"d{n}": f"프랑스의 수도 파리와 그 역사 {n}. The capital of France and its history." for n in range(20)})
    searching = searcher(home)
    for text in ("What do scales cost?", "휴가 규정은?"):
        assert (await searching.search("things", SearchQuery(text), OWNER)).relevance < DEFAULT_THRESHOLD
    for text in ("프랑스의 수도", "capital of France"):
        assert (await searching.search("things", SearchQuery(text), OWNER)).relevance > DEFAULT_THRESHOLD


@pytest.mark.parametrize("text", ["", "  \n", "　"])
async def test_an_empty_question_is_refused(home: Home, text: str) -> None:
    with pytest.raises(BadRequest, match="empty"):
        await searcher(home).search("things", SearchQuery(text), OWNER)


@pytest.mark.parametrize(
    "text", ["???", '"', "AND OR NOT", "NEAR(a b)", "terms:x", "*", "日本", "\x00", "😀", "a" * 100_000, "- - -", "'; --"]
)
async def test_any_other_question_is_answered(home: Home, text: str) -> None:
    with shelf(home) as books:
        books.put({"a": "scale warranty"})
    assert (await searcher(home).search("things", SearchQuery(text), OWNER)).failed == {}


async def test_an_unknown_store_is_told_with_the_nearest_name(home: Home) -> None:
    with shelf(home, "핸드북") as books:
        books.put({"a": "x"})
    with pytest.raises(StoreNotFound, match="핸드북"):
        await searcher(home).search("핸드복", SearchQuery("x"), OWNER)


async def test_before_any_ingest_there_are_no_stores(home: Home) -> None:
    searching = searcher(home)
    assert await searching.stores() == []
    with pytest.raises(StoreNotFound, match="ingest"):
        await searching.search("things", SearchQuery("x"), OWNER)


async def test_a_store_names_a_few_titles_from_all_over_it(home: Home) -> None:
    with shelf(home) as books:
        for n in range(16):
            books.put({f"page{n}": f"text {n}"}, title=f"Title {n // 2}")
        books.put({"untitled": "no title"})
    (store,) = await searcher(home).stores()
    assert store.titles == ("Title 0", "Title 2", "Title 4", "Title 6")


async def test_stores_are_listed_with_their_counts(home: Home) -> None:
    with shelf(home, "a") as books:
        books.put(some_texts(7))
    with shelf(home, "b"):
        pass
    one, two = await searcher(home).stores()
    assert (one.name, one.documents, one.chunks, two.name, two.documents, two.chunks, two.bytes) == ("a", 7, 7, "b", 0, 0, 0)
    assert one.bytes > 7 * 4 * 64


async def test_many_searches_at_once_each_get_their_own_answer(home: Home) -> None:
    with shelf(home) as books:
        books.put({f"n{n}": f"unique{n} word" for n in range(40)})
    searching = searcher(home)
    results = await asyncio.gather(*(searching.search("things", SearchQuery(f"unique{n}"), OWNER) for n in range(40)))
    assert [ids(result)[0] for result in results] == [f"n{n}" for n in range(40)]
    searching.close()


def test_the_server_side_of_the_search_imports_neither_numpy_nor_chroma() -> None:
    import subprocess
    import sys

    program = "import sys, ingest.search.hybrid, ingest.index.client; print({'numpy', 'chromadb', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "set()"


async def test_the_tokenizer_of_the_model_that_filled_the_store_tells_how_far_its_vectors_are_trusted(home: Home) -> None:
    with shelf(home) as books:
        books.put(some_texts(20))
    asked: list[str] = []

    def counters(fingerprint: str) -> Shattered:
        asked.append(fingerprint)
        return Shattered()

    searching = Searcher(home.book, LocalQuestions(EMBEDDER), ExactVectors(home), counters)
    assert (await searching.search("things", SearchQuery("scale price", 5), OWNER)).trust < 0.5
    assert asked == [EMBEDDER.info.fingerprint]
    unknown = Searcher(home.book, LocalQuestions(EMBEDDER), ExactVectors(home), lambda fingerprint: None)
    assert (await unknown.search("things", SearchQuery("scale price", 5), OWNER)).trust == 1.0
