"""What a chat asks for: pure readings of its messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.errors import BadRequest
from app.core.records import Message
from app.core.terms import terms

SHORT = 3


def last_said(messages: Sequence[Message]) -> str:
    """The last thing the user said; "" where there is nothing."""
    return next((found for message in reversed(messages) if message.role == "user" and (found := message.text.strip())), "")


def last_asked(messages: Sequence[Message]) -> Message:
    """The user's last message; an empty one where there is none."""
    return next((message for message in reversed(messages) if message.role == "user"), Message("user"))


def question(messages: Sequence[Message]) -> str:
    """The last thing the user said. BadRequest where there is nothing."""
    if found := last_said(messages):
        return found
    raise BadRequest("The messages hold no question.", hint="Send at least one message with role 'user' and some text.", param="messages")


def search_text(messages: Sequence[Message]) -> str:
    """What to search for: the question, and before it the one before, where the question alone says too little ("And for managers?")."""
    asked = [found for message in messages if message.role == "user" and (found := message.text.strip())]
    last = question(messages)
    follows_on = len(asked) > 1 and (len(set(terms(last))) <= SHORT or re.match(r"(?i)(and|그럼|그러면|그리고)\b", last))
    return f"{asked[-2]}\n{last}" if follows_on else last
