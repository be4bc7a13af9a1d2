"""The chat page's own requests beside a chat: which one it is, and its answer made from the chat itself. Pure.

Open WebUI asks for a title, tags, follow-up questions and search queries around each chat, each as a request of its own whose
one message holds the instructions and the chat so far. It names them in a header where the connection is set so; else their
prompts tell. A title made of the question is there at once, in the chat's language, and costs no token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.records import Message
from app.core.terms import is_korean

LONGEST_TITLE = 48
MOST_FOLLOW_UPS = 3
MOST_TAGS = 3


class Task(StrEnum):
    """What the page wants; `other` is a task that only a model can do (autocompletion, an emoji)."""

    TITLE = "title"
    TAGS = "tags"
    FOLLOW_UPS = "follow_ups"
    QUERIES = "queries"
    OTHER = "other"


# Open WebUI's names in the header X-OWUI-Task.
_NAMES = {
    "title_generation": Task.TITLE,
    "tags_generation": Task.TAGS,
    "follow_up_generation": Task.FOLLOW_UPS,
    "query_generation": Task.QUERIES,
}
# Tokens that a model may take for each: a title of a thousand words helps nobody.
LONGEST = {Task.TITLE: 64, Task.TAGS: 96, Task.QUERIES: 160, Task.FOLLOW_UPS: 320}
_HISTORY = re.compile(r"<chat_history>\s*(.*?)\s*</chat_history>", re.DOTALL)
_TURN = re.compile(r"^(SYSTEM|USER|ASSISTANT|TOOL): ", re.MULTILINE)
_MARKS = re.compile(r"[*_`#>]+|^\s*[-+]\s+|^\s*\d+\.\s+", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?。？！])\s+|\n+")


@dataclass(frozen=True)
class About:
    """What an answer without a model draws on: the chat's data sources, and the questions that its owner would have asked next."""

    sources: Sequence[str] = ()
    follow_ups: Sequence[str] = ()


def task_of(messages: Sequence[Message], header: str = "") -> Task | None:
    """Which task this is, by its header or by how its prompt is made; None for a chat.

    Open WebUI's file template begins with the same words as its tasks, but brings a context instead of a chat.
    """
    if header:
        return _NAMES.get(header, Task.OTHER)
    prompt = messages[-1].text if messages else ""
    if not prompt.lstrip().startswith("### Task:") or "<chat_history>" not in prompt:
        return None
    wanted = prompt.partition("<chat_history>")[0]
    return next((task for task in (Task.TITLE, Task.TAGS, Task.FOLLOW_UPS, Task.QUERIES) if f'"{task}"' in wanted), Task.OTHER)


def holds_files(messages: Sequence[Message]) -> bool:
    """Whether the page has put passages of its own files into the last message: they are to be answered from as they stand."""
    last = next((message.text for message in reversed(messages) if message.role == "user"), "")
    return "<context>" in last and "<source " in last


def asked_in(messages: Sequence[Message]) -> list[str]:
    """What the user said in the chat that a task's prompt carries, oldest first."""
    prompt = messages[-1].text if messages else ""
    found = _HISTORY.search(prompt)
    turns = _TURN.split(found[1] if found else "")
    return [said.strip() for role, said in zip(turns[1::2], turns[2::2], strict=True) if role == "USER" and said.strip()]


def answer(task: Task, messages: Sequence[Message], about: About) -> str:
    """The JSON that the page reads, made from the chat itself."""
    said = asked_in(messages)
    last = said[-1] if said else ""
    value: str | list[str]
    match task:
        case Task.TITLE:
            value = title(said[0] if said else "")
        case Task.TAGS:
            value = list(about.sources)[:MOST_TAGS] or ["일반" if is_korean(last) else "General"]
        case Task.FOLLOW_UPS:
            new = [one for one in about.follow_ups if one not in said and is_korean(one) == is_korean(last)]
            value = new[:MOST_FOLLOW_UPS]
        case _:
            value = [last] if last else []
    return json.dumps({str(task): value}, ensure_ascii=False)


def title(question: str) -> str:
    """A chat's title from its first question: its first sentence, cut between words."""
    plain = _MARKS.sub("", question).strip()
    first = " ".join(_SENTENCE_END.split(plain, maxsplit=1)[0].split()).rstrip(".。")
    if len(first) <= LONGEST_TITLE:
        return first
    cut = first[:LONGEST_TITLE].rsplit(" ", 1)[0] if " " in first[: LONGEST_TITLE + 1] else first[:LONGEST_TITLE]
    return cut.rstrip(" ,;:") + "…"


def usable(task: Task, text: str) -> str | None:
    """The JSON in what a model wrote for a task; None where the page could not read it."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return None
    value = found.get(str(task)) if isinstance(found, dict) else None
    fits = isinstance(value, str) if task is Task.TITLE else isinstance(value, list) and all(isinstance(one, str) for one in value)
    return json.dumps({str(task): value}, ensure_ascii=False) if value and fits else None
