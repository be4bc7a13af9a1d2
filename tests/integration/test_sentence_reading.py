"""Texts that are prepared here give the vectors that the library's own call gives, for models of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_embedders

from app.core.errors import ItemError
from models.embed_queue import Kind
from models.installed import InstalledModel
from models.library import Library
from models.sentence import SentenceEmbedder

TEXTS = (
    "the quick brown fox",
    "온돌은 바닥",
    "",
    " ",
    "THE Quick\n\n brown  words, a b c",
    "word " * 400,
    " " * 4_000 + "fox",
    "x" * 30_000 + " fox",
    "a b c " * 7,
    "온돌 " * 30,
)
TEMPLATE = "{% for message in messages %}the {{ message['content'] }} fox {% endfor %}"


def alike(model: InstalledModel, *, prefix: str = "", own: bool = True, texts: Sequence[str] = TEXTS) -> None:
    """Passages and questions, alone and together."""
    from sentence_transformers import SentenceTransformer

    embedder = SentenceEmbedder(model, precision="fp32")
    theirs = SentenceTransformer(str(model.path), device="cpu", local_files_only=True)
    np.testing.assert_allclose(embedder.passages(texts), theirs.encode(list(texts), normalize_embeddings=True), atol=1e-5)
    asked = theirs.encode(list(texts), normalize_embeddings=True, prompt=prefix or None)
    np.testing.assert_allclose(embedder.queries(texts), asked, atol=1e-5)
    for text, vector in zip(texts, asked, strict=True):
        np.testing.assert_allclose(embedder.queries([text])[0], vector, atol=1e-5)
    assert all((text.ids is not None) is own for text in embedder.prepared(texts, Kind.QUERY))


def test_the_real_all_minilm(minilm: InstalledModel) -> None:
    alike(minilm)


@pytest.mark.parametrize(
    ("made", "prefix"),
    [
        (tiny_embedders.bert, ""),
        (partial(tiny_embedders.bert, query_prefix="query: "), "query: "),
        (partial(tiny_embedders.bert, query_prefix="query: ", prefix_counts=False), "query: "),
    ],
)
def test_a_model_whose_texts_are_prepared_here(made: Callable[[Path], Path], prefix: str, tmp_path: Path) -> None:
    alike(Library(tmp_path / "models").pull(f"file:{made(tmp_path / 'made')}"), prefix=prefix)


def test_a_model_that_is_padded_at_the_left(tmp_path: Path) -> None:
    # Without special tokens nothing is left of an empty text: the library itself has no vector for it.
    model = Library(tmp_path / "models").pull(f"file:{tiny_embedders.causal(tmp_path / 'made')}")
    alike(model, texts=[text for text in TEXTS if text])
    embedder = SentenceEmbedder(model)
    embedder.load()
    reading, _ = embedder._readings[Kind.PASSAGE]
    assert reading.arrays([[5], [6, 7]])["attention_mask"].tolist() == [[0, 1], [1, 1]]


def test_a_model_whose_own_code_must_prepare_its_texts(tmp_path: Path) -> None:
    made = tiny_embedders.causal(tmp_path / "made", template=TEMPLATE)
    alike(Library(tmp_path / "models").pull(f"file:{made}"), own=False)


def test_a_model_that_lacks_what_its_own_code_needs_says_so_with_the_load(tmp_path: Path) -> None:
    model = Library(tmp_path / "models").pull(f"file:{tiny_embedders.causal(tmp_path / 'made', template=TEMPLATE)}")
    (model.path / "chat_template.jinja").unlink()
    with pytest.raises(ItemError, match=r"can't be loaded: .*chat.template") as refused:
        SentenceEmbedder(model).load()
    assert "pull it again" in refused.value.hint


def test_the_prefix_that_is_left_out_of_the_mean_makes_a_difference(tmp_path: Path) -> None:
    library = Library(tmp_path / "models")
    one, other = (
        SentenceEmbedder(library.pull(f"file:{tiny_embedders.bert(tmp_path / name, query_prefix='query: ', prefix_counts=counts)}"))
        for name, counts in (("with", True), ("without", False))
    )
    np.testing.assert_allclose(one.passages(TEXTS), other.passages(TEXTS), atol=1e-6)
    assert not np.allclose(one.queries(TEXTS), other.queries(TEXTS), atol=1e-3)
