"""What the bootstrap asks of an installed llama.cpp, asked of the one that is here."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from boot.llama import PACKAGE, WORKS
from boot.tiny_model import tiny_model


@pytest.mark.parametrize(
    ("version", "cut", "works"),
    [("", None, True), ("0.0.1", None, False), ("", -64, False)],
    ids=["as it is", "another version", "a model that is cut"],
)
def test_llama_cpp_computes_the_tiny_model(tmp_path: Path, version: str, cut: int | None, works: bool) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(tiny_model()[:cut])
    version = version or importlib.metadata.version(PACKAGE)
    asked = subprocess.run([sys.executable, "-c", WORKS, version, str(model)], capture_output=True, check=False)
    assert (asked.returncode == 0) == works, asked.stderr.decode()[-500:]
