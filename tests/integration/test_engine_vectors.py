"""GGUF models that embed and rerank: beside the same computed in numpy, and in their worker process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import tiny_ggufs
import tiny_vectors
from tiny_vectors import HEADS, LAYERS, WIDTH

from app.core.errors import BadRequest, ContextLengthExceeded, WorkerDied
from models.engine.llama.vectors import VectorModel
from models.engine.vector_client import VectorClient
from models.engine.vector_worker import Vectors
from models.engine.vectors import VectorSettings, batches, pair

Array = np.ndarray[Any, np.dtype[np.float64]]
TEXTS = ["the cat sat", "a red dog ran", "the moon is blue ?", "leave days"]


def norm(values: Array, weights: dict[str, Array], name: str) -> Array:
    centred = values - values.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def bert(weights: dict[str, Array], tokens: list[int]) -> Array:
    """What BERT makes of each token."""

    def linear(values: Array, name: str) -> Array:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    count, width = len(tokens), WIDTH // HEADS
    found = weights["token_embd.weight"][tokens] + weights["position_embd.weight"][:count] + weights["token_types.weight"][0]
    found = norm(found, weights, "token_embd_norm")
    for layer in range(LAYERS):
        name = f"blk.{layer}"
        q, k, v = (linear(found, f"{name}.attn_{one}").reshape(count, HEADS, width).transpose(1, 0, 2) for one in "qkv")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(count, WIDTH)
        found = norm(found + linear(mixed, f"{name}.attn_output"), weights, f"{name}.attn_output_norm")
        inner = linear(found, f"{name}.ffn_up")
        inner = inner * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        found = norm(found + linear(inner, f"{name}.ffn_down"), weights, f"{name}.layer_output_norm")
    return found


def vectors(model: VectorModel, texts: list[str]) -> Array:
    answers = [one for one in Vectors(model).embed(texts) if one is not None]
    return np.frombuffer(answers[-1]["data"], "<f4").reshape(-1, WIDTH).astype(np.float64)


@pytest.mark.parametrize("pooling", [gguf.PoolingType.MEAN, gguf.PoolingType.CLS, gguf.PoolingType.LAST])
def test_vectors_are_those_that_numpy_computes_from_the_same_weights_and_have_the_length_one(
    tmp_path: Path, pooling: gguf.PoolingType
) -> None:
    path = tiny_vectors.embedder(tmp_path / "e.gguf", pooling=pooling)
    weights, model = tiny_vectors.weights(path), VectorModel(path, context=64, threads=1)
    pool = {
        gguf.PoolingType.MEAN: lambda rows: rows.mean(0),
        gguf.PoolingType.CLS: lambda rows: rows[0],
        gguf.PoolingType.LAST: lambda rows: rows[-1],
    }
    found = vectors(model, TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        tokens = model.tokenize(text, whole=True)
        assert (tokens[0], tokens[-1]) == (2, 3), "[CLS] and [SEP]"
        wanted = pool[pooling](bert(weights, tokens))
        assert row @ wanted / np.linalg.norm(wanted) > 0.9999
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-6)
    model.close()


def test_a_text_has_the_same_vector_alone_and_among_hundreds(tmp_path: Path) -> None:
    model = VectorModel(tiny_vectors.embedder(tmp_path / "e.gguf"), context=64, threads=1)
    many = vectors(model, TEXTS * 60)
    alone = np.concatenate([vectors(model, [text]) for text in TEXTS])
    assert np.abs(many - np.tile(alone, (60, 1))).max() < 1e-5
    model.close()


def test_a_model_that_writes_and_says_nothing_of_pooling_gives_the_mean(tmp_path: Path) -> None:
    model = VectorModel(tiny_ggufs.llama(tmp_path / "l.gguf"), context=64, threads=1)
    rows = model.compute([model.tokenize("abc", whole=True)])
    assert rows.shape == (1, tiny_ggufs.WIDTH)
    assert not model.ranks
    model.close()


def test_a_rerankers_scores_are_those_that_numpy_computes_from_the_same_weights(tmp_path: Path) -> None:
    path = tiny_vectors.reranker(tmp_path / "r.gguf")
    weights, model = tiny_vectors.weights(path), VectorModel(path, context=64, threads=1)
    answers = [one for one in Vectors(model).rerank("the cat ?", TEXTS) if one is not None]
    for text, score in zip(TEXTS, answers[-1]["scores"], strict=True):
        tokens = pair(model.marks, model.tokenize("the cat ?", whole=False), model.tokenize(text, whole=False))
        assert [tokens[0], tokens[-1], tokens.count(3)] == [2, 3, 2], "[CLS] question [SEP] document [SEP]"
        first = np.tanh(weights["cls.weight"] @ bert(weights, tokens)[0] + weights["cls.bias"])
        logit = float((weights["cls.output.weight"] @ first + weights["cls.output.bias"])[0])
        assert score == pytest.approx(1 / (1 + np.exp(-logit)), abs=5e-3)
    assert len({round(score, 4) for score in answers[-1]["scores"]}) == len(TEXTS)
    model.close()


def test_texts_are_cut_into_batches_in_order_that_never_hold_too_much() -> None:
    lengths = [10, 50, 4, 64, 1, 1, 1]
    assert batches(lengths, 64) == [[0, 1, 2], [3], [4, 5, 6]]
    assert batches(lengths, 64, 2) == [[0, 1], [2], [3], [4, 5], [6]]
    assert batches([], 64) == []


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VectorClient]:
    path = tiny_vectors.embedder(tmp_path / "한글 모델.gguf")
    client = VectorClient(path, VectorSettings(threads=1), name="vectors-test", logs=tmp_path / "logs")
    yield client
    await client.stop()


async def test_its_process_embeds_many_requests_side_by_side_and_refuses_what_it_can_not_do(client: VectorClient) -> None:
    info = await client.start()
    assert (info.dimensions, info.context) == (WIDTH, 64)
    made = await asyncio.gather(*(client.embed(TEXTS * 20) for _ in range(4)), client.embed(TEXTS[:1]))
    assert {len(data) for data, _ in made[:4]} == {80 * WIDTH * 4}
    assert made[0][0] == made[1][0]
    first = [np.frombuffer(data, "<f4")[:WIDTH] for data, _ in (made[0], made[4])]
    assert np.abs(first[0] - first[1]).max() < 1e-5
    with pytest.raises(ContextLengthExceeded) as refused:
        await client.embed(["short", "cat " * 80])
    assert (refused.value.prompt_tokens, refused.value.context) == (82, 64)
    with pytest.raises(BadRequest, match="doesn't rerank"):
        await client.rerank("a", ["b"])


async def test_a_request_that_is_given_up_makes_room_for_the_next(client: VectorClient) -> None:
    await client.start()
    long = asyncio.create_task(client.embed(TEXTS * 5000))
    await asyncio.sleep(0.3)
    long.cancel()
    await client.embed(TEXTS[:1])
    with pytest.raises(asyncio.CancelledError):
        await long
    assert client.busy == 0


async def test_when_its_process_dies_the_next_request_starts_another(client: VectorClient) -> None:
    import os
    import signal

    await client.start()
    pid = client.pid
    assert pid is not None
    long = asyncio.create_task(client.embed(TEXTS * 5000))
    await asyncio.sleep(0.3)
    os.kill(pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    with pytest.raises(WorkerDied):
        await long
    assert (await client.embed(TEXTS[:1]))[1] > 0
    assert client.pid != pid
