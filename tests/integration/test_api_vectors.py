"""Embeddings and reranking by GGUF models over the wired server."""

from __future__ import annotations

import base64
import math
import urllib.request
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
import tiny_vectors
from served_models import ServedModels, serving_models

DOCUMENTS = ["the cat sat", "a red dog", "the moon is blue", "leave days"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    folder = tmp_path_factory.mktemp("served")
    files = {
        "embedder": tiny_vectors.embedder(folder / "tiny-embedder.gguf"),
        "other": tiny_vectors.embedder(folder / "other-embedder.gguf", seed=9),
        "reranker": tiny_vectors.reranker(folder / "tiny-reranker.gguf"),
    }
    with serving_models(folder / "home", files) as served:
        yield served


def rerank(server: ServedModels, **more: Any) -> tuple[int, Any]:
    return server.ask("/v1/rerank", {"model": "tiny-reranker", "query": "the cat ?", "documents": DOCUMENTS, **more})


def test_a_gguf_embedder_answers_the_official_client_by_its_name(server: ServedModels) -> None:
    made = server.client.embeddings.create(model="tiny-embedder", input=DOCUMENTS, encoding_format="float")
    assert [len(one.embedding) for one in made.data] == [tiny_vectors.WIDTH] * 4
    assert all(math.hypot(*one.embedding) == pytest.approx(1, abs=1e-5) for one in made.data)
    assert made.usage.prompt_tokens > 8
    other = server.client.embeddings.create(model="other-embedder", input=DOCUMENTS[0], encoding_format="float")
    assert other.data[0].embedding != made.data[0].embedding
    assert other.model == "other-embedder"


def test_base64_and_numbers_are_the_same_vectors(server: ServedModels) -> None:
    body = {"model": "tiny-embedder", "input": DOCUMENTS[:1]}
    numbers = server.ask("/v1/embeddings", {**body, "encoding_format": "float"})[1]["data"][0]["embedding"]
    coded = server.ask("/v1/embeddings", {**body, "encoding_format": "base64"})[1]["data"][0]["embedding"]
    assert array("f", base64.b64decode(coded)).tolist() == numbers


def test_documents_come_back_best_first_with_their_places_and_scores(server: ServedModels) -> None:
    status, made = rerank(server)
    assert status == 200
    scores = [one["relevance_score"] for one in made["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert sorted(one["index"] for one in made["results"]) == [0, 1, 2, 3]
    assert made["usage"]["total_tokens"] > 0
    assert server.ask("/rerank", {"query": "the cat ?", "documents": DOCUMENTS})[1]["results"] == made["results"], "the one that is there"
    turned = rerank(server, documents=[{"text": text} for text in reversed(DOCUMENTS)])[1]["results"]
    assert [(3 - one["index"], one["relevance_score"]) for one in turned] == [
        (one["index"], pytest.approx(one["relevance_score"], abs=1e-5)) for one in made["results"]
    ]


def test_only_as_many_as_wanted_come_back_and_their_texts_where_wanted(server: ServedModels) -> None:
    best = rerank(server)[1]["results"]
    made = rerank(server, top_n=2, return_documents=True)[1]["results"]
    assert [one["index"] for one in made] == [one["index"] for one in best[:2]]
    assert [one["document"]["text"] for one in made] == [DOCUMENTS[one["index"]] for one in made]
    assert "document" not in best[0]
    assert len(rerank(server, top_n=99)[1]["results"]) == 4


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["x"] * 10_000}, "documents"),
        ({"documents": "the cat"}, "documents"),
        ({"documents": [3]}, "documents"),
        ({"documents": [{"title": "x"}]}, "documents"),
        ({"documents": ["ok", " "]}, "documents"),
        ({"documents": ["cat " * 100]}, "documents"),
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "all"}, "top_n"),
    ],
)
def test_a_body_that_makes_no_sense_is_a_bad_request_that_names_what(server: ServedModels, more: dict[str, Any], param: str) -> None:
    status, refused = rerank(server, **more)
    assert status == 400, refused
    assert param in (refused["error"]["param"] or ""), refused


def test_a_text_that_is_too_long_is_refused_with_both_counts(server: ServedModels) -> None:
    status, refused = server.ask("/v1/embeddings", {"model": "tiny-embedder", "input": "cat " * 100})
    assert (status, refused["error"]["code"]) == (400, "context_length_exceeded")
    assert "64 tokens" in refused["error"]["message"]
    assert "102" in refused["error"]["message"]


def test_each_kind_of_model_does_its_own_work_alone(server: ServedModels) -> None:
    for path, body in (("/v1/embeddings", {"input": "x"}), ("/v1/rerank", {"query": "x", "documents": ["y"]})):
        for name in ("tiny-reranker", "tiny-embedder", "none"):
            status, answer = server.ask(path, {"model": name, **body})
            fits = (path, name) in {("/v1/embeddings", "tiny-embedder"), ("/v1/rerank", "tiny-reranker")}
            assert status == (200 if fits else 404), answer
    messages = [{"role": "user", "content": "x"}]
    assert server.ask("/v1/chat/completions", {"model": "tiny-embedder", "messages": messages})[0] == 404


def test_they_stand_in_the_lists_are_loaded_and_unloaded_and_need_the_key(server: ServedModels) -> None:
    listed = {one["id"]: one for one in server.ask("/v1/models")[1]["data"]}
    assert [tag["name"] for tag in listed["tiny-reranker"]["tags"]] == ["local", "rerank"]
    assert listed["tiny-embedder"]["info"]["meta"]["hidden"] is True

    def state(id: str) -> str:
        return next(one["status"]["value"] for one in server.ask("/models")[1]["data"] if one["id"] == id)

    assert server.ask("/models/load", {"model": "tiny-reranker"})[0] == 200
    assert state("tiny-reranker") == "loaded"
    assert server.ask("/models/unload", {"model": "tiny-reranker"})[0] == 200
    assert state("tiny-reranker") == "unloaded"
    for path in ("/v1/rerank", "/rerank"):
        assert server.ask(path, {"query": "x", "documents": ["y"]}, key="wrong")[0] == 401


def test_the_metrics_count_them(server: ServedModels) -> None:
    rerank(server)
    rerank(server, documents=["cat " * 100])
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'ai_requests_total{endpoint="rerank",model="tiny-reranker",status="ok"}' in text
    assert 'ai_errors_total{code="context_length_exceeded",endpoint="rerank"}' in text
