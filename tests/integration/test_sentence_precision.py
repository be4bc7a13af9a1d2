"""The real all-MiniLM in both precisions, in this process."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from models.embed_queue import Kind
from models.installed import InstalledModel, embedder_info
from models.precision import Found, Precisions
from models.sentence import SentenceEmbedder, open_embedder

TEXTS = ["A kitten rests on a rug.", "연차 휴가는 며칠인가요?", "words of a longer passage " * 60, ""]


def test_both_precisions_give_nearly_equal_vectors_of_length_one_under_different_fingerprints(minilm: InstalledModel) -> None:
    exact, coarse = (open_embedder(minilm, 1, precision=precision) for precision in ("fp32", "bf16"))
    one, other = exact.passages(TEXTS), coarse.passages(TEXTS)
    assert np.einsum("ij,ij->i", one, other).min() > 0.9998
    assert np.allclose(np.linalg.norm(other, axis=1), 1, atol=1e-6)
    assert not np.array_equal(one, other)
    assert [exact.info, coarse.info] == [embedder_info(minilm), embedder_info(minilm, "bf16")]


def test_what_was_measured_once_is_remembered_and_known_before_torch_is_loaded(minilm: InstalledModel, tmp_path: Path) -> None:
    precisions = Precisions(tmp_path)
    first = open_embedder(minilm, 1, precisions=precisions)
    first.load()
    found = precisions.read(minilm)
    assert found is not None
    assert first.info == embedder_info(minilm, found.precision)
    assert found.cosine >= 0.9999 or found.precision == "fp32"
    second = SentenceEmbedder(minilm, precisions=precisions)
    assert second.info == first.info
    assert second._loaded is None
    # What was remembered decides, whatever it was.
    precisions.write(minilm, Found("cpu", "bf16"))
    assert SentenceEmbedder(minilm, precisions=precisions, device="cpu").info == embedder_info(minilm, "bf16")


def test_the_collector_does_not_look_at_a_loaded_model(minilm: InstalledModel) -> None:
    embedder = open_embedder(minilm)
    embedder.load()
    assert embedder._loaded is not None
    loaded = {id(module) for module in embedder._loaded.modules()}
    assert not loaded & {id(seen) for seen in gc.get_objects()}


def test_lengths_are_of_the_tokens_that_the_model_reads(minilm: InstalledModel) -> None:
    embedder = open_embedder(minilm)
    embedder.load()
    assert [text.length for text in embedder.prepared(["hello world", "word " * 1000, ""], Kind.PASSAGE)] == [4, 256, 2]


def test_many_who_embed_at_once_get_the_vectors_that_each_would_get_alone(minilm: InstalledModel) -> None:
    embedder = open_embedder(minilm, 3)
    texts = [f"{'a word or two of ' * (n % 7)}text {n}" for n in range(60)]
    alone = np.concatenate([embedder.passages([text]) for text in texts])
    with ThreadPoolExecutor(4) as callers:
        for vectors in callers.map(embedder.passages, [texts] * 4):
            np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert embedder.streams == 3


def test_weights_that_are_rounded_once_give_the_vectors_of_those_rounded_each_time(minilm: InstalledModel) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    texts = ["The cat sits on the mat.", "연차 휴가는 며칠인가요?"]
    exact = SentenceTransformer(str(minilm.path), device="cpu", local_files_only=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        each_time = exact.encode(texts, normalize_embeddings=True)
    each_time /= np.linalg.norm(each_time, axis=1, keepdims=True)
    once = open_embedder(minilm, precision="bf16")
    once.load()
    # The library pads to the longest text alone, and sums of coarse numbers come out a little different with every padding.
    once._grain = 1
    np.testing.assert_allclose(once.passages(texts), each_time, atol=1e-5)
