"""llama.cpp's own grammar engine over a real vocabulary, asked about whole texts."""

from __future__ import annotations

from models.engine.grammar import gbnf
from models.engine.llama.guard import Grammar
from models.engine.llama.model import Model


class GrammarEngine:
    """Says whether a text is one of a grammar's."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._end = min(model.end_tokens)

    def takes(self, source: str, *texts: str) -> list[bool]:
        """For each text, whether it is whole and of the grammar; our own reading of the grammar has nothing against it either."""
        gbnf.check(source)
        grammar = Grammar(self._model._vocab, source, self._model._log.reason)
        try:
            return [grammar.takes([*self._model.spell(text.encode()), self._end]) for text in texts]
        finally:
            grammar.close()
