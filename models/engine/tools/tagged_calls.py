"""Calls as tags with a parameter in each: Qwen3-Coder's `<function=...>` and GLM's `<arg_key>`. Pure.

Values are texts; what their schema wants as a number, a list and so on is read as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from app.core.records import CallPart
from models.engine.tools.parts import Numbered, could_begin, loads


class Tags(NamedTuple):
    """How a family writes: what stands before and behind a name, a key and a value, and the call's end."""

    before_name: str
    behind_name: str
    before_key: str
    behind_key: str
    behind_value: str
    end: str


QWEN = Tags("<function=", ">", "<parameter=", ">", "</parameter>", "</tool_call>")
GLM = Tags("", "\n", "<arg_key>", "</arg_key>", "</arg_value>", "</tool_call>")
_GLM_VALUE = "<arg_value>"
_LONGEST_NAME = 200


class TaggedCalls:
    """Reads one call behind its opening tag."""

    def __init__(self, numbered: Numbered, tags: Tags) -> None:
        self._numbered, self._tags = numbered, tags
        self._raw = self._held = self._key = self._name = ""
        self._state: Literal["before", "name", "body", "key", "value"] = "before" if tags.before_name else "name"
        self._count = 0
        self.rest: str | None = None

    def feed(self, text: str) -> list[CallPart]:
        """Take the next text in."""
        self._raw += text
        self._held += text
        parts: list[CallPart] = []
        while self.rest is None and (found := self._step()) is not None:
            parts += found
        return parts

    def _step(self) -> list[CallPart] | None:
        """One step on; None where more text is needed."""
        tags = self._tags
        match self._state:
            case "before":
                return self._skip(tags.before_name, "name")
            case "name":
                return self._named()
            case "body":
                return self._body()
            case "key":
                if (key := self._until(tags.behind_key)) is None:
                    return None
                self._key, self._state = key.strip(), "value"
                return []
        return self._value()

    def _named(self) -> list[CallPart] | None:
        tags = self._tags
        marks = [tags.behind_name] if tags.before_name else [tags.behind_name, tags.before_key, tags.end]
        self._held = self._held.lstrip("\n")
        ends = [(at + len(mark), mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        end, mark = min(ends, default=(len(self._held), ""))
        name = self._held[: end - len(mark)].strip()
        if end > _LONGEST_NAME or (mark and name not in self._numbered.tools):
            self.rest = self._raw
            return None
        if not mark:
            return None
        self._held = self._held[end if mark == tags.behind_name else end - len(mark) :]
        self._name, self._state = name, "body"
        return [self._numbered.begin(name), self._numbered.more("{")]

    def _body(self) -> list[CallPart] | None:
        tags, held = self._tags, self._held.lstrip()
        if held.startswith(tags.before_key):
            self._held, self._state = held[len(tags.before_key) :], "key"
            return []
        if held.startswith(tags.end):
            self.rest = held[len(tags.end) :]
            return [self._numbered.more("}")]
        if held.startswith("</function>"):
            self._held = held[len("</function>") :]
            return []
        if could_begin(held, (tags.before_key, tags.end, "</function>")) == len(held):
            return None
        # The call has broken off: what is known of it stays one, the rest is text.
        self.rest = held
        return [self._numbered.more("}")]

    def _value(self) -> list[CallPart] | None:
        text = self._until(self._tags.behind_value)
        if text is None:
            return None
        text = text.partition(_GLM_VALUE)[2] if self._tags is GLM else text.removeprefix("\n").removesuffix("\n")
        self._state, self._count = "body", self._count + 1
        value = json.dumps(self._typed(text), ensure_ascii=False)
        return [self._numbered.more(f"{', ' if self._count > 1 else ''}{json.dumps(self._key, ensure_ascii=False)}: {value}")]

    def _typed(self, text: str) -> Any:
        if is_text(self._numbered.tools[self._name].parameters, self._key):
            return text
        value = loads(text)
        return text if value is None and text.strip() != "null" else value

    def _until(self, mark: str) -> str | None:
        before, found, rest = self._held.partition(mark)
        if not found:
            return None
        self._held = rest
        return before

    def _skip(self, mark: str, state: Literal["name"]) -> list[CallPart] | None:
        held = self._held.lstrip()
        if held.startswith(mark):
            self._held, self._state = held[len(mark) :], state
            return []
        if could_begin(held, (mark,)) != len(held):
            self.rest = self._raw
        return None


def is_text(parameters: Mapping[str, Any], key: str) -> bool:
    """Whether a parameter is a text as its schema has it, so that nothing of it is read as JSON."""
    properties = parameters.get("properties")
    schema = properties.get(key) if isinstance(properties, Mapping) else None
    if not isinstance(schema, Mapping):
        return False
    if "type" in schema:
        return schema["type"] in ("string", ["string"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return bool(values) and all(isinstance(value, str) for value in values)
