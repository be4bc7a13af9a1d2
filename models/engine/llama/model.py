"""The weights and the vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_cpp import llama_cpp as native

from app.core.errors import BadRequest, BadSetting
from models.engine.adapters import AdapterFile
from models.engine.crew import Crew
from models.engine.grammar.rule import Rule
from models.engine.infill import InfillTokens
from models.engine.llama import vocabulary
from models.engine.llama.adapters import Adapters
from models.engine.llama.binding import Log
from models.engine.llama.chain import Chain
from models.engine.llama.decoder import Decoder
from models.engine.llama.guard import Grammar, Guard
from models.engine.llama.spelling import Speller
from models.engine.llama.weights import load
from models.engine.reasoning import TAGS
from models.engine.sampling import Link

if TYPE_CHECKING:
    from models.engine.llama.images import Projector


class Model:
    """Weights, their LoRA adapters and vocabulary. `progress` is called with 0..1 while the weights load.

    BadRequest where llama.cpp refuses the file, BadSetting where an adapter is for another model.
    """

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int = 0,
        adapters: Sequence[AdapterFile] = (),
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._log = Log()
        self._handle: Any = load(path, self._log, gpu_layers=gpu_layers, progress=progress)
        if not native.llama_model_has_decoder(self._handle) or native.llama_model_is_diffusion(self._handle):
            raise BadRequest(f"{path.name} is no model that writes text.", hint="Choose a chat model.", code="bad_model_file")
        self._adapters = Adapters(self._handle, adapters, self._log)
        self._vocab: Any = native.llama_model_get_vocab(self._handle)
        self.vocabulary_size = int(native.llama_vocab_n_tokens(self._vocab))
        self.truncates = not (native.llama_model_is_recurrent(self._handle) or native.llama_model_is_hybrid(self._handle))
        self.parameters = int(native.llama_model_n_params(self._handle))
        bos = int(native.llama_vocab_bos(self._vocab))
        self.bos = bos if native.llama_vocab_get_add_bos(self._vocab) and bos >= 0 else None
        self.bos_text, self.eos_text = self.word(bos), self.word(int(native.llama_vocab_eos(self._vocab)))
        self.infill_tokens = _infill_tokens(self._vocab)
        self._pieces: dict[int, bytes] = {}
        self._buffer = ctypes.create_string_buffer(4096)
        every = range(self.vocabulary_size)
        self.end_tokens = frozenset(token for token in every if native.llama_vocab_is_eog(self._vocab, token))
        self._control = {token: word for token in every if native.llama_vocab_is_control(self._vocab, token) and (word := self.word(token))}
        self.control_words = tuple(self._control.values())
        self._speller = Speller(self.vocabulary_size, lambda text: self.tokenize(text, special=True), self.piece)
        self.speak(TAGS)

    def speak(self, words: Collection[str]) -> None:
        """These control words are handed out as text: the marks around a model's thoughts and tool calls, which are told apart there."""
        self._spoken = frozenset(token for token, word in self._control.items() if word in words)
        self._silent = [token for token in self._control if token not in self._spoken and token not in self.end_tokens]
        self._pieces.clear()

    def spell(self, data: bytes) -> list[int]:
        """Tokens whose pieces are these bytes."""
        return self._speller.spell(data)

    def word(self, token: int) -> str:
        """A token's name in the vocabulary ("<|im_end|>"); empty for none."""
        text = native.llama_vocab_get_text(self._vocab, token) if 0 <= token < native.llama_vocab_n_tokens(self._vocab) else None
        return text.decode("utf-8", "replace") if text else ""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text, without a first or last token of the model's own. `special`: control words become control tokens."""
        return vocabulary.tokenize(self._vocab, text, whole=False, special=special)

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text; control tokens add none, but for those that `speak` names."""
        known = self._pieces.get(token)
        if known is None:
            size = native.llama_token_to_piece(self._vocab, token, self._buffer, len(self._buffer), 0, token in self._spoken)
            known = self._pieces[token] = self._buffer.raw[: max(0, size)]
        return known

    def written(self, token: int) -> bytes:
        """The bytes of a token as it is written, control tokens too."""
        return self.piece(token) or self.word(token).encode()

    def chain(self, links: Sequence[Link], *, never: Sequence[int] = (), rule: Rule | None = None) -> Chain:
        """A sampler; the tokens in `never` are never chosen. BadRequest where the rule's grammar doesn't compile."""
        guard = Guard(Grammar(self._vocab, rule.grammar, self._log.reason), rule, self) if rule else None
        return Chain(self.vocabulary_size, links, never, guard, self._silent)

    def decoder(
        self,
        *,
        cells: int,
        sequences: int,
        batch: int,
        threads: int,
        ubatch: int = 0,
        flash: bool = True,
        unified: bool = True,
        crew: Crew | None = None,
    ) -> Decoder:
        """A context of `cells` tokens that `sequences` rows share. BadSetting where there is no memory for it.

        `ubatch`: tokens that are computed at once; 0: a whole batch. `flash` False: without flash attention where llama.cpp would use it.
        `unified` False: each sequence has a part of the cells for itself. `crew` may send some of the threads home.
        """
        params = native.llama_context_default_params()
        params.n_ctx, params.n_seq_max = cells, sequences
        params.n_batch, params.n_ubatch = batch, ubatch or batch
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = unified
        if not flash:
            params.flash_attn_type = native.LLAMA_FLASH_ATTN_TYPE_DISABLED
        handle = native.llama_init_from_model(self._handle, params)
        if not handle:
            raise BadSetting(
                f"A context of {cells} tokens can't be made for this model: {self._log.reason('out of memory')}.",
                hint="Set a smaller `context`, or fewer `gpu_layers`.",
            )
        if not native.llama_get_memory(handle):
            native.llama_free(handle)
            raise BadRequest("This is a model for embeddings: it writes no text.", hint="Choose a chat model.", code="bad_model_file")
        return Decoder(
            *(handle, sequences, batch),
            interrupt=self._log.interrupt,
            truncates=self.truncates,
            streams=1 if unified else sequences,
            adapters=self._adapters,
            crew=crew,
        )

    def projector(self, path: Path, *, threads: int, gpu: bool) -> Projector:
        """Its eyes. BadSetting where the file is none for this model."""
        from models.engine.llama.images import Projector  # a library of its own, for those who see

        return Projector(path, self._handle, self._log, threads=threads, gpu=gpu)

    def close(self) -> None:
        """Free the weights; the decoders must be closed before."""
        native.llama_model_free(self._handle)


def _infill_tokens(vocab: Any) -> InfillTokens | None:
    at = (native.llama_vocab_fim_pre, native.llama_vocab_fim_suf, native.llama_vocab_fim_mid)
    prefix, suffix, middle = (int(token(vocab)) for token in at)
    beside = [int(token(vocab)) for token in (native.llama_vocab_fim_rep, native.llama_vocab_fim_sep)]
    repository, file = (token if token >= 0 else None for token in beside)
    return InfillTokens(prefix, suffix, middle, repository, file) if min(prefix, suffix, middle) >= 0 else None
