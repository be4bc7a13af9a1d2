"""Texts become vectors with sentence-transformers, from a local folder. The only importer of torch and sentence_transformers.

Nothing is imported before the first text, and nothing is ever fetched: the folder has all that is needed, and no code of
its own is run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.core.egress import quiet_libraries
from app.core.errors import ItemError, NotReady, OndolError
from models.embed_queue import BUDGET, Kind, batches
from models.embedder import EmbedderInfo, Vectors
from models.embedding_folder import read_facts
from models.installed import InstalledModel, embedder_info

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# A GPU wants far larger batches than a few CPU cores.
_GPU_BUDGET = 16 * BUDGET


class SentenceEmbedder:
    """The embedder contract over one installed model. Weights in fp32. Any thread may call; one embeds at a time.

    `threads` 0: as many as torch finds cores. `device` "": a GPU where torch sees one, else the CPU.
    """

    def __init__(self, model: InstalledModel, *, threads: int = 0, device: str = "") -> None:
        self.info: EmbedderInfo = embedder_info(model)
        assert model.embedding is not None, "embedder_info has refused all others"
        self._model, self._threads, self._device = model, threads, device
        self._prefix = {Kind.QUERY: model.embedding.query_prefix, Kind.PASSAGE: model.embedding.passage_prefix}
        self._loaded: SentenceTransformer | None = None
        self._lock = threading.Lock()

    @property
    def budget(self) -> int:
        """Characters of one padded batch on this device; the model must be loaded."""
        return BUDGET if self._device == "cpu" else _GPU_BUDGET

    @property
    def longest(self) -> int:
        """About how many characters of a text the model reads at most."""
        return 6 * self.info.max_tokens

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        return self._all(texts, Kind.PASSAGE)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions."""
        return self._all(texts, Kind.QUERY)

    def batch(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """The vectors of one small batch, which goes through the model at once."""
        with self._lock:
            model = self._loaded or self._load()
            found = model.encode(
                list(texts),
                prompt=self._prefix[kind] or None,
                batch_size=max(1, len(texts)),
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        vectors = np.asarray(found, dtype=np.float32).reshape(len(texts), -1)
        if vectors.shape[1] != self.info.dimensions and len(texts):
            raise ItemError(
                f"{self.info.model} gives {vectors.shape[1]} dimensions, not {self.info.dimensions}.", hint="Pull the model again."
            )
        if not np.isfinite(vectors).all():
            raise OndolError(f"{self.info.model} gave a vector that is no number.", hint="Choose another device or model.")
        return vectors

    def load(self) -> None:
        """Import the libraries and read the weights now; `batch` does it otherwise. ItemError, NotReady."""
        with self._lock:
            if self._loaded is None:
                self._load()

    def _all(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.zeros((len(texts), self.info.dimensions), dtype=np.float32)
        if texts:
            self.load()
        for part in batches([min(len(text), self.longest) for text in texts], budget=self.budget):
            vectors[part] = self.batch([texts[index] for index in part], kind)
        return vectors

    def _load(self) -> SentenceTransformer:
        # Both before the libraries are imported: they read their environment once.
        quiet_libraries(os.environ)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        # The folder may have been changed since it was pulled: nothing that would run code of its own is loaded.
        read_facts(self._model.path, self._model.id)
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging as transformers_logging
        except ModuleNotFoundError as error:
            raise NotReady(
                f"{error.name} is not installed.", hint="Install Ondol with its local parts: pip install 'ondol[local]'."
            ) from None
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if self._threads:
            torch.set_num_threads(self._threads)
        self._device = self._device or _device()
        try:
            self._loaded = SentenceTransformer(
                str(self._model.path),
                device=self._device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except Exception as error:
            # Each library below raises its own for a damaged folder, some a bare Exception.
            raise ItemError(
                f"{self._model.id} can't be loaded: {error}", hint="Remove the model and pull it again, or choose another."
            ) from error
        return self._loaded


def open_embedder(model: InstalledModel, threads: int = 0) -> SentenceEmbedder:
    """An embedder in this process; its `info` is known at once, torch is imported with the first text."""
    return SentenceEmbedder(model, threads=threads)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
