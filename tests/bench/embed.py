"""Ours beside the embedding call as its library's documentation shows it, over the same model and the same texts.

    ONDOL_EVAL_DATA=DATA python tests/bench/embed.py --models FOLDER [--texts 400] [--rounds 3]

The texts are en-squad paragraphs cut to many lengths, and Korean ones. The default is `SentenceTransformer(folder).encode(texts)`;
ours in fp32 and bf16, whatever this machine would choose. In turns in one process. One JSON line: texts a second, the medians of
the ratios to the default's time (of the wall, and of the processor), and the least and mean cosine to the default's vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.library import Library
from models.sentence import open_embedder


def texts(data: Path, count: int) -> list[str]:
    chance, found = random.Random(3), []
    for name in ("en-squad", "en-squad", "en-squad", "ko-kobest"):
        lines = (data / "retrieval" / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        found += [json.loads(line)["text"][: chance.choice((80, 300, 700, 2000))] for line in chance.sample(lines, count // 4)]
    chance.shuffle(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Ours beside the default embedding call.")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    model = Library(asked.models).find("", "embedding")
    some = texts(Path(os.environ["ONDOL_EVAL_DATA"]), asked.texts)
    ours = {precision: open_embedder(model, precision=precision) for precision in ("fp32", "bf16")}
    for embedder in ours.values():
        embedder.passages(["warm"])
    from sentence_transformers import SentenceTransformer

    default = SentenceTransformer(str(model.path), local_files_only=True)
    default.encode(["warm"])
    ways: dict[str, Callable[[], Any]] = {"default": lambda: default.encode(some, show_progress_bar=False)}
    ways |= {precision: lambda embedder=embedder: embedder.passages(some) for precision, embedder in ours.items()}  # type: ignore[misc]
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, Any] = {}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            made[name] = np.asarray(way(), dtype=np.float32)
            wall[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - used)
    said: dict[str, Any] = {"texts": len(some), "default texts/s": round(len(some) / statistics.median(wall["default"]), 1)}
    for name in ours:
        cosines = np.einsum("ij,ij->i", made[name], made["default"]) / np.linalg.norm(made["default"], axis=1)
        said[name] = {
            "texts/s": round(len(some) / statistics.median(wall[name]), 1),
            "of the default's time": round(statistics.median(a / b for a, b in zip(wall[name], wall["default"], strict=True)), 3),
            "of its processor time": round(statistics.median(a / b for a, b in zip(cpu[name], cpu["default"], strict=True)), 3),
            "cosine": [round(float(cosines.min()), 6), round(float(cosines.mean()), 6)],
        }
    print(json.dumps({**said, "bar": 0.6}))


if __name__ == "__main__":
    main()
