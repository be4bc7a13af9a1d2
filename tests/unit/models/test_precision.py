from __future__ import annotations

from pathlib import Path

import msgspec

from models.embedding_folder import EmbeddingFacts
from models.installed import InstalledModel, embedder_info
from models.precision import Found, Precisions, by_fingerprint, choose

MODEL = InstalledModel("mini", "embedding", Path("mini"), 1, "file:x", "", 0.0, "abc", embedding=EmbeddingFacts(8, 16, digest="d"))


def test_the_coarser_precision_is_chosen_where_it_is_faster_by_more_than_noise_and_every_text_is_near_enough() -> None:
    assert choose(1.0, 0.5, [0.99995, 0.9999]) == "bf16"
    assert choose(1.0, 0.95, [1.0]) == "fp32"
    assert choose(1.0, 0.5, [0.99995, 0.9998]) == "fp32"


def test_before_it_was_measured_a_model_may_have_either_fingerprint_and_then_one(tmp_path: Path) -> None:
    precisions = Precisions(tmp_path / "new")
    assert precisions.info(MODEL) is None
    assert len(precisions.fingerprints(MODEL)) == 2
    precisions.write(MODEL, Found("cpu", "bf16", 1.0, 0.4, 0.99995))
    assert precisions.info(MODEL) == embedder_info(MODEL, "bf16")
    assert precisions.fingerprints(MODEL) == {embedder_info(MODEL, "bf16").fingerprint}
    assert precisions.read(msgspec.structs.replace(MODEL, sha256="other")) is None


def test_a_damaged_memory_counts_as_none(tmp_path: Path) -> None:
    precisions = Precisions(tmp_path)
    precisions.write(MODEL, Found("cpu", "bf16"))
    (file,) = tmp_path.iterdir()
    file.write_text("{", "utf-8")
    assert precisions.read(MODEL) is None


def test_a_fingerprint_finds_its_model_and_precision_among_those_installed() -> None:
    other = msgspec.structs.replace(MODEL, id="other", sha256="def")
    chat = InstalledModel("chat", "chat", Path("chat"), 1, "file:x", "", 0.0, "0")
    assert by_fingerprint([chat, other, MODEL], embedder_info(MODEL, "bf16").fingerprint) == (MODEL, "bf16")
    assert by_fingerprint([chat, other], embedder_info(MODEL).fingerprint) is None
