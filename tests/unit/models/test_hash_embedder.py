from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from models.hash_embedder import HashEmbedder


def test_vectors_have_length_one_also_of_a_text_without_words():
    vectors = HashEmbedder().passages(["The floor is warm.", "온돌", "", "  "])
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert HashEmbedder().passages([]).shape == (0, 384)


def test_texts_that_share_words_are_nearer_than_texts_that_do_not():
    warm, warmer, other = HashEmbedder().passages(["the floor is warm tonight", "a warm floor", "prices rose again"])
    assert warm @ warmer > warm @ other + 0.2


def test_the_same_text_has_the_same_vector_in_every_process():
    code = "from models.hash_embedder import HashEmbedder as H; import sys; sys.stdout.write(H().passages(['온돌 floor']).tobytes().hex())"
    root = Path(__file__).resolve().parents[3]
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, text=True).stdout
    assert HashEmbedder().passages(["온돌 floor"]).tobytes().hex() == other
