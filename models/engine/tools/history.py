"""Messages with calls and their results, as a template takes them. Pure.

Templates differ: some want arguments as an object, some as text, Mistral's want ids of nine letters; some know no tools at all, and are
told of them in plain words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.engine.tools.json_calls import shown
from models.engine.tools.parts import loads

_ABOUT = (
    "You can call functions. They are, as JSON:\n{tools}\n\n"
    "To call one, answer with nothing but its name and its arguments, in this form:\n"
    '<tool_call>\n{{"name": "NAME", "arguments": {{"KEY": "VALUE"}}}}\n</tool_call>\n'
    "Its result comes in the next message, within <tool_response>. Where no function is needed, answer in words."
)


class Habits(NamedTuple):
    """What a template takes: tools at all, arguments as objects, ids of nine letters alone."""

    tools: bool = True
    objects: bool = True
    short_ids: bool = False


def written(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], habits: Habits) -> list[dict[str, Any]]:
    """The messages, each as a new mapping."""
    if habits.tools:
        return [_native(message, habits) for message in messages]
    told: list[dict[str, Any]] = []
    for message in messages:
        plain = _told(message)
        # Results of several calls are one message: many templates want turns to alternate.
        if message.get("role") in ("tool", "function") and told and told[-1].pop("result", False):
            told[-1] = {**told[-1], "content": f"{told[-1]['content']}\n{plain['content']}", "result": True}
        else:
            told.append(plain)
    return _introduced([{key: value for key, value in message.items() if key != "result"} for message in told], tools)


def _native(message: Mapping[str, Any], habits: Habits) -> dict[str, Any]:
    changed = dict(message)
    if habits.short_ids and message.get("tool_call_id"):
        changed["tool_call_id"] = _short(message["tool_call_id"])
    if message.get("tool_calls"):
        changed["tool_calls"] = [_call(call, habits) for call in message["tool_calls"]]
    return changed


def _call(call: Mapping[str, Any], habits: Habits) -> dict[str, Any]:
    function = call.get("function") or {}
    given = function.get("arguments")
    arguments = (loads(given) if isinstance(given, str) else given) if habits.objects else given
    if habits.objects and not isinstance(arguments, Mapping):
        arguments = given or {}
    if not habits.objects and not isinstance(given, str):
        arguments = json.dumps(given or {}, ensure_ascii=False)
    changed = {**call, "type": "function", "function": {**function, "arguments": arguments}}
    return {**changed, "id": _short(str(call.get("id", "")))} if habits.short_ids else changed


def _object(arguments: Any) -> Any:
    """Arguments as an object, which some clients send them as, and others as its text."""
    return (loads(arguments) if isinstance(arguments, str) else arguments) or {}


def _short(id: str) -> str:
    """Nine letters and digits, the same for the same id."""
    if len(id) == 9 and id.isascii() and id.isalnum():
        return id
    return hashlib.sha256(id.encode()).hexdigest()[:9]


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in plain words."""
    if message.get("role") in ("tool", "function"):
        return {"role": "user", "content": f"<tool_response>\n{message.get('content') or ''}\n</tool_response>", "result": True}
    calls = message.get("tool_calls")
    plain = {key: value for key, value in message.items() if key not in ("tool_calls", "tool_call_id")}
    if calls:
        functions = [call.get("function") or {} for call in calls]
        texts = [f"<tool_call>\n{shown(str(one.get('name', '')), _object(one.get('arguments')))}\n</tool_call>" for one in functions]
        plain["content"] = "\n".join(filter(None, [message.get("content") or "", *texts]))
    return plain


def _introduced(messages: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With what there is to call in the system text."""
    if not tools:
        return messages
    about = _ABOUT.format(tools="\n".join(json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools))
    if messages and messages[0].get("role") == "system":
        return [{**messages[0], "content": f"{messages[0].get('content') or ''}\n\n{about}".strip()}, *messages[1:]]
    return [{"role": "system", "content": about}, *messages]
