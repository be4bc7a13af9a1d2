from __future__ import annotations

import numpy as np
from ingest_world import World

from app.core.paths import Home
from ingest.sync import ingest_files
from models.sentence import open_embedder
from models.tokenizer import ModelTokenCounter


def test_files_are_cut_and_embedded_by_the_real_model(tmp_path, minilm):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "heat.md").write_text(
        "# Heating\n\nAn ondol carries warm smoke under the floor of the house.\n\n## Bread\n\nBake the dough for an hour.\n"
    )
    (folder / "온돌.txt").write_text("온돌은 방바닥 밑으로 더운 연기를 보내 방을 데우는 난방 방식이다. " * 8)
    world = World(tmp_path / "home")
    world.home.root.mkdir()
    embedder, counter = open_embedder(minilm), ModelTokenCounter(minilm)
    report = ingest_files(Home(tmp_path / "home"), [folder], "notes", embedder, counter)
    assert (report.added, report.chunks, report.ok) == (2, 3, True)
    world.check()
    rows = world.sql("SELECT c.text, v.vector FROM chunks c JOIN vectors v ON v.text_hash = c.text_hash ORDER BY c.pk")
    vectors = np.stack([np.frombuffer(vector, dtype="<f4") for _, vector in rows])
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    best = int((vectors @ embedder.queries(["How was the house warmed?"])[0]).argmax())
    assert rows[best][0].startswith("An ondol carries")
