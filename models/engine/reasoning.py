"""What a model thinks before it answers is told apart from the answer: a pair of tags at the start of its text. Pure.

    start -> thinking -> blank -> answer        what stands before the first word of the answer is dropped
    start ----------------------> answer        the text begins with anything else: tags in it are text

A chat template may open the tag itself, at the end of the prompt (`opened`); then the text begins within it. Thoughts that
are never closed are thoughts to the end. The result depends on the text alone, not on where it was cut.
"""

from __future__ import annotations

from typing import Literal

PAIRS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<seed:think>": "</seed:think>",
    "<|channel>thought\n": "<channel|>",
}
TAGS = frozenset((*PAIRS, *PAIRS.values(), "<|channel>"))


def opened(prompt: str) -> str:
    """The tag that a prompt leaves open at its end, so that the model goes on within it; empty for none."""
    end = prompt.rstrip()
    return next((tag for tag in PAIRS if end.endswith(tag)), "")


class Thoughts:
    """One answer on its way out, as (reasoning, text) pairs. `tag`: the one that the prompt has opened."""

    def __init__(self, tag: str = "") -> None:
        self._opened = tag
        self._state: Literal["start", "thinking", "blank", "answer"] = "start"
        self._close = self._held = ""
        self._thought = False

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next text in; returns what is now certain to be reasoning, and what is answer (often both empty)."""
        self._held += text
        reasoning = ""
        if self._state == "start":
            self._begin()
        if self._state == "thinking":
            reasoning = self._think()
        if self._state == "blank":
            self._skip()
        if self._state != "answer":
            return reasoning, ""
        said, self._held = self._held, ""
        return reasoning, said

    def finish(self) -> tuple[str, str]:
        """The end: what was held back as a possible tag. Blanks around thoughts are dropped."""
        held, self._held = self._held, ""
        if self._state == "thinking" or (self._state == "start" and self._opened):
            return (held.rstrip() if self._thought else held.strip()), ""
        return "", "" if self._state == "blank" else held

    def _begin(self) -> None:
        text = self._held.lstrip()
        tag = next((tag for tag in PAIRS if text.startswith(tag)), "")
        if not tag and any(one.startswith(text) for one in PAIRS):
            return
        if tag or self._opened:
            self._state, self._close, self._held = "thinking", PAIRS[tag or self._opened], text[len(tag) :]
        else:
            self._state = "answer"

    def _think(self) -> str:
        if not self._thought:
            self._held = self._held.lstrip()
        thought, closed, rest = self._held.partition(self._close)
        if closed:
            self._state, self._held = "blank", rest
            return thought.rstrip()
        # Blanks before the tag are dropped, so they wait as a part of it would.
        sure = thought[: len(thought) - _could_begin(thought, self._close)].rstrip()
        self._held = thought[len(sure) :]
        self._thought = self._thought or bool(sure)
        return sure

    def _skip(self) -> None:
        if self._held.strip():
            blanks = len(self._held) - len(self._held.lstrip())
            # The first line's own indentation stays: it may belong to a list or to code.
            self._state, self._held = "answer", self._held[self._held.rfind("\n", 0, blanks) + 1 :]


def _could_begin(text: str, tag: str) -> int:
    """How many characters at the end of `text` are the beginning of the tag."""
    return next((size for size in range(min(len(text), len(tag) - 1), 0, -1) if tag.startswith(text[-size:])), 0)
