"""`ondol bench serve` as its users run it, where no other server is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from product import Product

pytestmark = pytest.mark.acceptance


def test_a_bench_without_a_peer_measures_ours_and_says_why_there_are_no_ratios(smollm2: Path, tmp_path: Path) -> None:
    product = Product(tmp_path / "home", smollm2.parent.parent)
    product.environment["PATH"] = str(tmp_path)  # where no llama-server is
    said = product.lines("bench", "serve", str(smollm2), "--streams", "1", "--repeat", "1", "--tokens", "8", "--threads", "1")
    runs = [line for line in said if "side" in line]
    assert [(line["side"], line["streams"], line["tokens"]) for line in runs] == [("ondol", 1, 8)]
    assert runs[0]["tokens_per_s"] > 0
    found = {line["figure"]: line for line in said if "figure" in line}
    assert set(found) == {"tokens_per_s", "tokens_per_cpu_s"}
    assert all(line["medians"].keys() == {"ondol"} and line["ratios"] == {} for line in found.values())
    assert all("--peer-python" in line["why"] for line in found.values())
