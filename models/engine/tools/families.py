"""Which family a chat template belongs to: by the marks in its source, else by what it makes of a call. Pure but for the rendering."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from models.engine.tools.dialect import Dialect, Gemma, HarmonyDialect, JsonDialect, Llama3, Named, Tagged
from models.engine.tools.history import Habits
from models.engine.tools.named_calls import Frame
from models.engine.tools.tagged_calls import GLM, QWEN

HERMES = JsonDialect("hermes", "<tool_call>", "</tool_call>")
# The way of those that were taught none: calls are told about in the system text, in the writing that most models have seen.
GENERIC = JsonDialect("generic", "<tool_call>", "</tool_call>")
_DEEPSEEK = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>")

# The first whose marks all stand in a template. Longer lists of marks before those that they hold.
_KNOWN: tuple[tuple[tuple[str, ...], Dialect], ...] = (
    (("<|channel|>", "<|message|>", "<|start|>"), HarmonyDialect()),
    (("<start_function_call>",), Gemma("gemma", "<start_function_call>", "<end_function_call>", "<escape>")),
    (("<|tool_call>", "<tool_call|>"), Gemma("gemma4", "<|tool_call>", "<tool_call|>", '<|"|>')),
    (("<function=", "<parameter="), Tagged("qwen-xml", QWEN)),
    (("<tool_call>", "<arg_key>"), Tagged("glm", GLM)),
    (
        (*_DEEPSEEK, "```json"),
        Named(
            "deepseek-r1",
            Frame(_DEEPSEEK[0], "\n```json\n", f"{_DEEPSEEK[1]}function{_DEEPSEEK[2]}", f"\n```{_DEEPSEEK[3]}", "\n", _DEEPSEEK[4]),
        ),
    ),
    (_DEEPSEEK, Named("deepseek", Frame(_DEEPSEEK[0], _DEEPSEEK[2], _DEEPSEEK[1], _DEEPSEEK[3], "", _DEEPSEEK[4]))),
    (("[TOOL_CALLS]", "[ARGS]"), Named("mistral", Frame("[TOOL_CALLS]", "[ARGS]", again="[TOOL_CALLS]"), short_ids=True)),
    (("[TOOL_CALLS]",), JsonDialect("mistral-list", "[TOOL_CALLS]", listed=True, short_ids=True)),
    (("<|START_ACTION|>",), JsonDialect("cohere", "<|START_ACTION|>", "<|END_ACTION|>", listed=True, keys=("tool_name", "parameters"))),
    (("<|tool_call|>", "<|/tool_call|>"), JsonDialect("phi4", "<|tool_call|>", "<|/tool_call|>", listed=True)),
    (("<tool_call>", "</tool_call>"), HERMES),
    (("<|tool_call|>",), JsonDialect("granite", "<|tool_call|>", listed=True)),
    (("<|python_tag|>",), Llama3()),
    (("<|start_header_id|>", '"parameters"', "tools"), Llama3()),
)
DIALECTS = {dialect.name: dialect for dialect in (*(dialect for _, dialect in _KNOWN), GENERIC)}
PROBE_NAME, PROBE_KEY, PROBE_VALUE = "probe_function", "probe_key", "probe_value"
Render = Callable[[Sequence[dict[str, Any]], Sequence[dict[str, Any]]], str | None]
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": PROBE_NAME,
            "description": "A probe.",
            "parameters": {
                "type": "object",
                "properties": {PROBE_KEY: {"type": "string", "description": "A key."}},
                "required": [PROBE_KEY],
            },
        },
    }
]


class Learned(NamedTuple):
    """A template's family, and what it takes."""

    dialect: Dialect
    habits: Habits


def learn(source: str, render: Render) -> Learned:
    """What a template is, by its source and by what it makes of a conversation with a call; `render` gives None where it refuses."""
    known = by_marks(source)
    ask = {"role": "user", "content": "Probe."}
    objects, texts = render(_called({PROBE_KEY: PROBE_VALUE}), _TOOLS), render(_called(f'{{"{PROBE_KEY}": "{PROBE_VALUE}"}}'), _TOOLS)
    told = PROBE_NAME in (render([ask], _TOOLS) or "")
    takes_objects = _shows(objects) and "'" + PROBE_KEY not in (objects or "")
    if not told or not (takes_objects or _shows(texts)):
        return Learned(known if isinstance(known, HarmonyDialect) else GENERIC, Habits(tools=False))
    habits = Habits(True, takes_objects, "length 9" in source)
    answered = [ask, {"role": "assistant", "content": "Answer."}, {"role": "user", "content": "Thanks."}]
    return Learned(known or by_probe(objects if takes_objects else texts, render(answered, ())) or GENERIC, habits)


def _called(arguments: Any) -> list[dict[str, Any]]:
    call = {"id": "abcdefghi", "type": "function", "function": {"name": PROBE_NAME, "arguments": arguments}}
    return [
        {"role": "user", "content": "Probe."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefghi", "name": PROBE_NAME, "content": "Result."},
        {"role": "user", "content": "Thanks."},
    ]


def _shows(text: str | None) -> bool:
    """Whether a call's argument stands in the text as it should, not as a text within a text."""
    return bool(text) and PROBE_VALUE in str(text) and f'\\"{PROBE_KEY}' not in str(text)


def by_marks(source: str) -> Dialect | None:
    """The family whose marks stand in the template; None for an unknown one."""
    return next((dialect for marks, dialect in _KNOWN if all(mark in source for mark in marks)), None)


def by_probe(called: str | None, plain: str | None) -> Dialect | None:
    """What can be learned from one conversation rendered twice, with a call and with a text in its place: the marks around a JSON object.

    None where the call isn't written as one object with its name and its arguments.
    """
    if not called or not plain:
        return None
    found = re.search(
        r'\{\s*"(?P<name>name|tool_name)"\s*:\s*"'
        + PROBE_NAME
        + r'"\s*,\s*"(?P<given>arguments|parameters)"\s*:\s*\{\s*"'
        + PROBE_KEY
        + r'"\s*:\s*"'
        + PROBE_VALUE
        + r'"\s*\}\s*\}',
        called,
    )
    if found is None:
        return None
    begin, end = _mark_before(called[: found.start()], plain), _mark_behind(called[found.end() :], plain)
    if not begin:
        return None
    listed = begin.endswith("[") and end.startswith("]")
    begin, end = (begin[:-1].rstrip(), end[1:].lstrip()) if listed else (begin, end)
    return JsonDialect("learned", begin, end, listed=listed, keys=(found["name"], found["given"])) if begin else None


def _mark_before(text: str, plain: str) -> str:
    """What stands right before the call, as far as it is in no conversation without one."""
    found = re.search(r"((?:<[^<>\s]{1,40}>|\[[A-Z_]{2,30}\])\s*\[?)\s*$", text)
    return found[1].strip() if found and found[1].strip(" \n[") not in plain else ""


def _mark_behind(text: str, plain: str) -> str:
    found = re.match(r"\s*(\]?\s*(?:<[^<>\s]{1,40}>|\[/?[A-Z_]{2,30}\])?)", text)
    mark = found[1].strip() if found else ""
    return mark if mark and mark.lstrip("] \n") not in plain else "]" if mark.startswith("]") else ""
