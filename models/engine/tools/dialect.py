"""How a family of models writes its calls: one record per family, which says how to read them and which grammar they keep. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from models.engine.grammar import schema
from models.engine.grammar.rules import Rules, either, json_literal, literal
from models.engine.reasoning import PAIRS
from models.engine.speech import Listener
from models.engine.tools.calls import Calls
from models.engine.tools.gemma_calls import GemmaCalls
from models.engine.tools.gemma_grammar import gemma_object
from models.engine.tools.harmony import MARKS, Harmony
from models.engine.tools.json_calls import JsonCalls
from models.engine.tools.named_calls import Frame, NamedCalls
from models.engine.tools.parts import NewId, Numbered, Tool, new_id, short_id
from models.engine.tools.tagged_calls import GLM, TaggedCalls, Tags
from models.engine.tools.tagged_grammar import tagged_call

# Calls after the first: a small model that has begun to repeat itself must come to an end.
MORE = "{0,15}"
_WORD = re.compile(r"<[^<>]+>|\[[A-Z_]+\]")


class Dialect(Protocol):
    """A family's way. `marks` are its control words that count as text; `pairs` the marks around its thoughts.

    `around`: what stands before an answer's text, thoughts and all.
    `trigger`: what begins a call in an answer; its first group begins the text that `body` describes.
    """

    name: str
    marks: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    around: tuple[tuple[str, str], ...]
    trigger: re.Pattern[bytes]

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """Tells calls of these tools from text."""
        ...

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:
        """The grammar of one call, or of several."""
        ...

    def framed(self, body: str) -> str:
        """The grammar of an answer whose text is `body`, where a call may come in its place."""
        ...


class _Family:
    marks: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = tuple(PAIRS.items())
    around: tuple[tuple[str, str], ...] = tuple(PAIRS.items())
    make_id: NewId = staticmethod(new_id)

    def framed(self, body: str) -> str:
        """As it stands."""
        return body

    def numbered(self, tools: Sequence[Tool]) -> Numbered:
        """The calls of one answer."""
        return Numbered(tools, self.make_id)


class JsonDialect(_Family):
    """`begin {"name": ..., "arguments": ...} end`, or a list of such objects between the marks."""

    def __init__(
        self,
        name: str,
        begin: str,
        end: str = "",
        *,
        listed: bool = False,
        keys: tuple[str, str] = ("name", "arguments"),
        short_ids: bool = False,
    ) -> None:
        self.name, self._begin, self._end, self._listed, self._keys = name, begin, end, listed, keys
        self.marks = tuple(filter(None, (begin, end)))
        self.make_id = short_id if short_ids else new_id
        self.trigger = re.compile(b"(" + re.escape(begin.encode()) + b")")

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the opening mark."""
        numbered = self.numbered(tools)
        return Calls({self._begin: lambda: JsonCalls(numbered, self._end)})

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:
        """The objects, each with its marks or all between two."""
        rules.shared("ws")
        one = rules.add("call", json_call(rules, tools, self._keys))
        begin, end = literal(self._begin), literal(self._end)
        if self._listed:
            more = f' ("," ws {one}){MORE}' if parallel else ""
            return f'{begin} ws "[" {one}{more} "]"' + (f" ws {end}" if self._end else "")
        whole = rules.add("calls", f"{begin} ws {one} ws {end}" if self._end else f"{begin} ws {one}")
        return f"{whole} (ws {whole}){MORE}" if parallel else whole


class Llama3(_Family):
    """Llama 3.1 and later: the answer is one JSON object with a name and `parameters`, at times behind a control word."""

    name = "llama3"
    marks: tuple[str, ...] = ("<|python_tag|>",)
    trigger = re.compile(rb'^\s*((?:<\|python_tag\|>\s*)?\{\s*"(?:name|type)"\s*:)')

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the brace that an answer begins with."""
        numbered = self.numbered(tools)

        def make() -> JsonCalls:
            return JsonCalls(numbered)

        return Calls({"<|python_tag|>": make}, bare=make)

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:  # noqa: ARG002 - the family makes one call at a time
        """One object."""
        rules.shared("ws")
        one = rules.add("call", json_call(rules, tools, ("name", "parameters"), '("\\"type\\"" ws ":" ws "\\"function\\"," ws)?'))
        return f'("<|python_tag|>" ws)? {one}'


class Named(_Family):
    """A name, a mark, and the arguments as JSON."""

    def __init__(self, name: str, frame: Frame, *, short_ids: bool = False) -> None:
        self.name, self._frame = name, frame
        self.make_id = short_id if short_ids else new_id
        self.marks = tuple({"[CALL_ID]", *_WORD.findall("".join(frame))})
        self.trigger = re.compile(b"(" + re.escape(frame.begin.encode()) + b")")

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the opening mark."""
        numbered = self.numbered(tools)
        return Calls({self._frame.begin: lambda: NamedCalls(numbered, self._frame)})

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:
        """Calls one after the other between the marks."""
        frame = self._frame
        calls = [f"{literal(tool.name + frame.mark)} {arguments(rules, tool)}" for tool in tools]
        one = rules.add("call", f"{literal(frame.prefix)} {either(calls)} {literal(frame.end)}")
        more = f" ({literal(frame.again)} {one}){MORE}" if parallel else ""
        return f"{literal(frame.begin)} {one}{more} {literal(frame.close)}"


class Tagged(_Family):
    """A tag for the call, and one for each parameter: Qwen3-Coder and GLM."""

    marks: tuple[str, ...] = ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
    trigger = re.compile(rb"(<tool_call>)")

    def __init__(self, name: str, tags: Tags) -> None:
        self.name, self._tags = name, tags

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the opening tag."""
        numbered = self.numbered(tools)
        return Calls({"<tool_call>": lambda: TaggedCalls(numbered, self._tags)})

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:
        """Tags with values."""
        one = rules.add("call", either([tagged_call(rules, tool, glm=self._tags is GLM) for tool in tools]))
        return f'{one} ("\\n" {one}){MORE}' if parallel else one


class Gemma(_Family):
    """`call:NAME{key:value}` between two marks, texts between two others."""

    def __init__(self, name: str, begin: str, end: str, quote: str) -> None:
        self.name, self._begin, self._end, self._quote = name, begin, end, quote
        self.marks = (begin, end, quote)
        self.trigger = re.compile(b"(" + re.escape(begin.encode()) + b")")

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the opening mark."""
        numbered = self.numbered(tools)
        return Calls({self._begin: lambda: GemmaCalls(numbered, self._end, self._quote)})

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:
        """Calls one after the other."""
        calls = [f"{literal('call:' + tool.name)} {gemma_object(rules, tool.parameters, self._quote)}" for tool in tools]
        one = rules.add("call", f"{literal(self._begin)} {either(calls)} {literal(self._end)}")
        return f"{one} {one}{MORE}" if parallel else one


class HarmonyDialect(_Family):
    """gpt-oss: messages in channels. Thoughts are told apart here too."""

    name = "harmony"
    marks: tuple[str, ...] = MARKS
    pairs: tuple[tuple[str, str], ...] = (("<|channel|>analysis<|message|>", "<|end|>"),)
    around: tuple[tuple[str, str], ...] = (("<|channel|>", "final<|message|>"),)
    trigger = re.compile(rb"((?:<\|start\|>assistant)?(?: to=functions\.|<\|channel\|>commentary to=functions\.))")

    def listener(self, tools: Sequence[Tool]) -> Listener:
        """By the channels."""
        return Harmony(self.numbered(tools))

    def body(self, rules: Rules, tools: Sequence[Tool], *, parallel: bool) -> str:  # noqa: ARG002 - the family makes one call at a time
        """One message to a function."""
        calls = [f"{literal(tool.name)} HEAD {arguments(rules, tool)}" for tool in tools]
        to = either(calls)
        before = to.replace("HEAD", '"<|channel|>commentary" (" "? "<|constrain|>"? "json")? "<|message|>"')
        behind = to.replace("HEAD", '(" " "<|constrain|>"? "json")? "<|message|>"')
        return f'"<|start|>assistant"? (" to=functions." {before} | "<|channel|>commentary to=functions." {behind})'

    def framed(self, body: str) -> str:
        """In the channel of answers."""
        return f'"<|start|>assistant"? "<|channel|>final" (" "? "<|constrain|>"? "json")? "<|message|>" {body}'


def arguments(rules: Rules, tool: Tool) -> str:
    """The grammar of a call's arguments as JSON."""
    return rules.add(f"{tool.name}-arguments", schema.add(rules, tool.parameters, strict=tool.strict, param="tools"))


def json_call(rules: Rules, tools: Sequence[Tool], keys: tuple[str, str], before: str = "") -> str:
    """A call as a JSON object."""
    name, given = (literal(f'"{key}"') for key in keys)
    calls = [f'{json_literal(tool.name)} "," ws {given} ":" ws {arguments(rules, tool)}' for tool in tools]
    return f'"{{" ws {before} {name} ":" ws {either(calls)} ws "}}"'
