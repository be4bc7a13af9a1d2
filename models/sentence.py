"""Texts become vectors with sentence-transformers, from a local folder. The only importer of torch and sentence_transformers.

Nothing is imported before the first text, and nothing is ever fetched: the folder has all that is needed, and no code of
its own is run. In bf16 the products alone are coarse (autocast, with their weights rounded once instead of for each batch): as fast here
as all weights in bf16, and nearer to fp32 (one minus the cosine, at worst over paragraphs and short texts in two languages: .00006,
not .00013).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.collecting import settle
from app.core.egress import quiet_libraries
from app.core.errors import ItemError, NotReady, OndolError
from models import heap
from models.embed_queue import BUDGET, Kind, Prepared, batches
from models.embed_threads import EmbedThreads
from models.embedder import EmbedderInfo, Vectors
from models.embedding_folder import EmbeddingFacts, read_facts
from models.installed import InstalledModel, embedder_info
from models.precision import BF16, FP32, SAMPLE, Found, Precisions, choose
from models.reading import Reading, learned, samples
from models.tokenizer import ModelTokenCounter

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

# A GPU wants far larger batches than a few CPU cores.
_GPU_BUDGET = 64 * BUDGET
_ROUNDS = 3
# Multiplications of a lone text from which on all cores together are faster than one: helpers take their time to wake up.
_HELPED = 2_000_000_000
# Rows of a tile of AMX, which are multiplied at once. Texts padded to multiples of it are 4 % more quickly embedded although there is more
# of them, and 8 % more quickly where lengths come mixed: what the library prepares for each shape is prepared for 16 lengths, not 256.
_TILE = 16
# Tokens of a text beyond which a model's limit is none that can be tried.
_LONGEST = 32_768
# A thread that wants Python's lock gets it after so many seconds at the latest. A product takes some tenths of a millisecond; before the
# next one its thread would wait for Python's own 5 ms whenever another thread cuts, hashes or writes. Where one does so a third of the
# time, a batch took 16 % longer than beside none; so it takes 3 % longer.
_LOCK_SECONDS = 0.0001


class SentenceEmbedder:
    """The embedder contract over one installed model. Any thread may call; all is computed in a few threads of its own.

    On a processor batches go side by side, `streams` of them, each in a thread with its share of the cores, so that these needn't
    wait for each other at each step of the model. A long text that comes alone is computed by all of them, in another thread: torch
    keeps helpers for each thread that calls it, and where more of them are there than cores they sleep at each step.

    `precision` is fp32 or bf16; "": what `precisions` remembers for this machine, measured with the first load where it remembers
    nothing (fp32 without `precisions`). `threads` 0: as many as torch finds cores. `device` "": a GPU where torch sees one, else the CPU.
    """

    def __init__(
        self,
        model: InstalledModel,
        *,
        threads: int = 0,
        device: str = "",
        precision: str = "",
        precisions: Precisions | None = None,
    ) -> None:
        embedder_info(model)
        assert model.embedding is not None, "embedder_info has refused all others"
        self._model, self._threads, self._device, self._precisions = model, threads, device, precisions
        self._precision = precision or ("" if precisions else FP32)
        self._prefix = {Kind.QUERY: model.embedding.query_prefix, Kind.PASSAGE: model.embedding.passage_prefix}
        self._counter = ModelTokenCounter(model)
        self._loaded: SentenceTransformer | None = None
        self._readings: dict[Kind, tuple[Reading, dict[str, Any]]] = {}
        self._streams = EmbedThreads()
        self._multiplied = 0
        self._grain = 1

    @property
    def info(self) -> EmbedderInfo:
        """What an index must know. The weights are loaded for it only where the precision was never measured on this machine."""
        if self._precision:
            return embedder_info(self._model, self._precision)
        if self._precisions is not None and (known := self._precisions.info(self._model)) is not None:
            return known
        self.load()
        return embedder_info(self._model, self._precision)

    @property
    def budget(self) -> int:
        """Tokens of one padded batch on this device; the model must be loaded."""
        return BUDGET * self._streams.share if self._device == "cpu" else _GPU_BUDGET

    @property
    def streams(self) -> int:
        """Batches that go through the model at once; the model must be loaded."""
        return self._streams.count

    def prepared(self, texts: Sequence[str], kind: Kind) -> list[Prepared]:
        """The texts as `batch` takes them; the model must be loaded."""
        if kind in self._readings:
            reading, _ = self._readings[kind]
            return [Prepared(text, reading.padded(len(ids), self._grain), ids) for text, ids in zip(texts, reading.ids(texts), strict=True)]
        most = self._facts.max_tokens
        # No tokenizer makes fewer tokens of a text than a sixth of its characters, but for one run of spaces or a single word.
        counts = self._counter.counts([text[: 6 * most] for text in texts])
        return [Prepared(text, min(count, most)) for text, count in zip(texts, counts, strict=True)]

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        return self._all(texts, Kind.PASSAGE)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions."""
        return self._all(texts, Kind.QUERY)

    def batch(self, texts: Sequence[Prepared], kind: Kind, *, more: bool = False) -> Vectors:
        """The vectors of one small batch, which goes through the model at once. `more`: others come beside it or right after it."""
        heavy = not more and sum(text.length for text in texts) * self._multiplied >= _HELPED
        return self._streams.begin(partial(self._made, texts, kind), heavy=heavy, more=more).result()

    @property
    def _facts(self) -> EmbeddingFacts:
        assert self._model.embedding is not None
        return self._model.embedding

    def _made(self, texts: Sequence[Prepared], kind: Kind) -> Vectors:
        vectors = self._encoded(self._there(), texts, kind, self._precision)
        if vectors.shape[1] != self._facts.dimensions and len(texts):
            raise ItemError(
                f"{self._model.id} gives {vectors.shape[1]} dimensions, not {self._facts.dimensions}.", hint="Pull the model again."
            )
        if not np.isfinite(vectors).all():
            raise OndolError(f"{self._model.id} gave a vector that is no number.", hint="Choose another device or model.")
        return vectors

    def _there(self) -> SentenceTransformer:
        return self._loaded or self._load()

    def _encoded(self, model: SentenceTransformer, texts: Sequence[Prepared], kind: Kind, precision: str) -> Vectors:
        import torch

        if not texts:
            return np.zeros((0, self._facts.dimensions), dtype=np.float32)
        coarse = torch.autocast(self._device, dtype=torch.bfloat16) if precision == BF16 else contextlib.nullcontext()
        with torch.inference_mode(), coarse:
            made = model(self._features(model, texts, kind))["sentence_embedding"]
            vectors: Vectors = made.to("cpu", torch.float32).numpy()
        # Whatever the model's last module is: one that normalizes in coarse numbers is not exact.
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _features(self, model: SentenceTransformer, texts: Sequence[Prepared], kind: Kind) -> dict[str, Any]:
        import torch

        ids = [text.ids for text in texts if text.ids is not None]
        if len(ids) < len(texts):
            return _on(self._device, model.preprocess([text.text for text in texts], prompt=self._prefix[kind] or None))
        reading, rest = self._readings[kind]
        return _on(self._device, {name: torch.from_numpy(array) for name, array in reading.arrays(ids, self._grain).items()}) | rest

    def load(self) -> None:
        """Import the libraries and read the weights now; `passages` and `queries` do it otherwise. ItemError, NotReady."""
        if self._loaded is None:
            self._streams.whole(self._there)

    def _all(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.zeros((len(texts), self._facts.dimensions), dtype=np.float32)
        if not texts:
            return vectors
        self.load()
        prepared = self.prepared(texts, kind)
        parts = batches([text.length for text in prepared], budget=self.budget)
        if len(parts) == 1:
            return self.batch(prepared, kind)
        # Each text is taken again from the caller's sequence when its turn comes: there it may say that nobody wants it any more.
        works = (partial(self._made, [replace(prepared[index], text=texts[index]) for index in part], kind) for part in parts)
        for part, made in zip(parts, self._streams.in_turn(works), strict=True):
            vectors[part] = made
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
            from torch import nn
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
            model = _shared(SentenceTransformer)(
                str(self._model.path),
                device=self._device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            ).eval()
            self._readings = _readings(model, self._prefix)
        except Exception as error:
            # Each library below raises its own for a damaged folder, some a bare Exception.
            raise ItemError(
                f"{self._model.id} can't be loaded: {error}", hint="Remove the model and pull it again, or choose another."
            ) from error
        self._precision = self._precision or self._decided(model)
        products = [module for module in model.modules() if type(module) is nn.Linear]
        self._multiplied = sum(product.weight.numel() for product in products)
        if self._precision == BF16:
            for product in products:
                product.to(torch.bfloat16)
            self._grain = _TILE if self._device == "cpu" and _has(("_is_amx_tile_supported",)) else 1
        if self._device == "cpu":
            heap.keep()
            self._streams.divide(torch.get_num_threads(), _use_cores)
            sys.setswitchinterval(min(_LOCK_SECONDS, sys.getswitchinterval()))
        self._loaded = model
        settle()
        return model

    def _decided(self, model: SentenceTransformer) -> str:
        """As it was found on this machine before, else as it is found now."""
        assert self._precisions is not None, "without them the precision was settled at the start"
        found = self._precisions.read(self._model)
        if found is None or found.device != self._device:
            found = self._tried(model) if _bf16_may_pay(self._device) else Found(self._device, FP32)
            try:
                self._precisions.write(self._model, found)
            except OSError as error:
                log.warning("the precision of %s is measured again next time: %s", self._model.id, error)
        return found.precision

    def _tried(self, model: SentenceTransformer) -> Found:
        import torch

        # Processor time where it is the processor that works, and of one thread (several spin while they wait for each other):
        # others who use the machine meanwhile must not decide.
        clock = time.process_time if self._device == "cpu" else time.perf_counter
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        sample = self.prepared(SAMPLE, Kind.PASSAGE)
        made: dict[str, Vectors] = {}
        times: dict[str, list[float]] = {FP32: [], BF16: []}
        for _ in range(_ROUNDS):
            for precision, its in times.items():
                began = clock()
                made[precision] = self._encoded(model, sample, Kind.PASSAGE, precision)
                its.append(clock() - began)
        torch.set_num_threads(threads)
        # The first run of each pays for what the library prepares; the least of the others is the least disturbed.
        seconds = {precision: min(its[1:]) for precision, its in times.items()}
        cosines = [float(cosine) for cosine in np.einsum("ij,ij->i", made[FP32], made[BF16])]
        precision = choose(seconds[FP32], seconds[BF16], cosines)
        log.info("%s calculates in %s: %s s, least cosine %.6f", self._model.id, precision, seconds, min(cosines))
        return Found(self._device, precision, round(seconds[FP32], 4), round(seconds[BF16], 4), round(min(cosines), 6))


def open_embedder(
    model: InstalledModel, threads: int = 0, *, precision: str = "", precisions: Precisions | None = None
) -> SentenceEmbedder:
    """An embedder in this process; torch is imported with the first text."""
    return SentenceEmbedder(model, threads=threads, precision=precision, precisions=precisions)


def _use_cores(count: int) -> None:
    """In the calling thread. torch gives a thread that it meets for the first time its own number: so it must have met it."""
    import torch

    torch.get_num_threads()
    torch.set_num_threads(count)


def _shared(kind: type[SentenceTransformer]) -> type[SentenceTransformer]:
    """A model that several threads may use at once: its tokenizer raises where two call it."""
    lock = threading.RLock()

    class Shared(kind):  # type: ignore[misc, valid-type]
        def preprocess(self, *texts: Any, **options: Any) -> Any:
            with lock:
                return super().preprocess(*texts, **options)

    return Shared


def _readings(model: SentenceTransformer, prefixes: Mapping[Kind, str]) -> dict[Kind, tuple[Reading, dict[str, Any]]]:
    """How to prepare texts of each kind as the model's own code does, and what else it passes on; empty where that can't be told."""
    import torch

    most = model.max_seq_length
    tokenizer: Any = getattr(model, "tokenizer", None)
    if not most or most > _LONGEST or getattr(tokenizer, "backend_tokenizer", None) is None:
        return {}
    found: dict[Kind, tuple[Reading, dict[str, Any]]] = {}
    for kind, prefix in prefixes.items():
        theirs = model.preprocess(samples(most), prompt=prefix or None)
        arrays = {name: value.numpy() for name, value in theirs.items() if isinstance(value, torch.Tensor)}
        reading = learned(
            tokenizer.backend_tokenizer,
            tokenizer.pad_token_id or 0,
            left=tokenizer.padding_side == "left",
            prefix=prefix,
            most=most,
            theirs=arrays,
        )
        if reading is None:
            return {}
        found[kind] = reading, {name: value for name, value in theirs.items() if name not in arrays}
    return found


def _on(device: str, features: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors among them on the device; the rest as it is."""
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in features.items()}


def _bf16_may_pay(device: str) -> bool:
    """Whether this device calculates in bf16 by itself: on a processor that doesn't, it is only slower."""
    if device != "cpu":
        return True
    return _has(("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _has(names: Sequence[str]) -> bool:
    """Whether this processor can do one of these, as far as torch tells."""
    import torch

    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
