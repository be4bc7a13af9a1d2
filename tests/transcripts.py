"""What models of each family write when they call tools, and what should be heard of it."""

from __future__ import annotations

from typing import NamedTuple

from models.engine.tools.parts import Tool

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["city"],
}
TOOLS = (Tool("get_weather", WEATHER), Tool("now", {"type": "object", "properties": {}, "additionalProperties": False}))


class Heard(NamedTuple):
    """`calls`: name and arguments as JSON."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()


class Transcript(NamedTuple):
    """What a model of the family writes."""

    family: str
    written: str
    heard: Heard


OSLO = '{"city": "Oslo"}'
# Letters of several bytes in every family's call: a stream may be cut within one.
SEOUL = '{"city": "서울"}'
TWO = (("get_weather", SEOUL), ("now", "{}"))
_DEEP = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>")

# Calls alone, which the family's own grammar takes too.
_CALLS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "hermes",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "서울 {\\"}", "days": 3}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
        (("get_weather", '{"city": "서울 {\\"}", "days": 3}'), ("now", "{}")),
    ),
    (
        "qwen-xml",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\n서울 <b>\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        '<parameter=tags>\n["a", "b"]\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>',
        (("get_weather", '{"city": "서울 <b>", "days": 3, "tags": ["a", "b"]}'), ("now", "{}")),
    ),
    (
        "glm",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>서울</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n"
        "</tool_call>\n<tool_call>now\n</tool_call>",
        (("get_weather", '{"city": "서울", "days": 2}'), ("now", "{}")),
    ),
    ("llama3", '{"name": "get_weather", "parameters": {"city": "서울", "days": 2}}', (("get_weather", '{"city": "서울", "days": 2}'),)),
    ("llama3", '<|python_tag|>{"type": "function", "name": "now", "parameters": {}}', (("now", "{}"),)),
    ("mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "서울"}[TOOL_CALLS]now[ARGS]{}', TWO),
    ("mistral-list", '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "서울"}}, {"name": "now", "arguments": {}}]', TWO),
    (
        "harmony",
        '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "서울"}',
        (("get_weather", SEOUL),),
    ),
    ("harmony", " to=functions.now<|channel|>commentary json<|message|>{}", (("now", "{}"),)),
    (
        "gemma",
        "<start_function_call>call:get_weather{city:<escape>서, {울}<escape>,days:2,tags:[<escape>a<escape>,<escape>b<escape>]}"
        "<end_function_call><start_function_call>call:now{}<end_function_call>",
        (("get_weather", '{"city": "서, {울}", "days": 2, "tags": ["a", "b"]}'), ("now", "{}")),
    ),
    (
        "gemma4",
        '<|tool_call>call:get_weather{city:<|"|>서울<|"|>}<tool_call|><|tool_call>call:now{}<tool_call|>',
        TWO,
    ),
    (
        "deepseek",
        f"{_DEEP[0]}{_DEEP[1]}get_weather{_DEEP[2]}{SEOUL}{_DEEP[3]}{_DEEP[1]}now{_DEEP[2]}{{}}{_DEEP[3]}{_DEEP[4]}",
        TWO,
    ),
    (
        "deepseek-r1",
        f"{_DEEP[0]}{_DEEP[1]}function{_DEEP[2]}get_weather\n```json\n{SEOUL}\n```{_DEEP[3]}\n"
        f"{_DEEP[1]}function{_DEEP[2]}now\n```json\n{{}}\n```{_DEEP[3]}{_DEEP[4]}",
        TWO,
    ),
    (
        "cohere",
        '<|START_ACTION|>[{"tool_name": "get_weather", "parameters": {"city": "서울"}},\n'
        '    {"tool_name": "now", "parameters": {}}]<|END_ACTION|>',
        TWO,
    ),
    ("phi4", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "서울"}}, {"name": "now", "arguments": {}}]<|/tool_call|>', TWO),
    ("granite", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "서울"}}, {"name": "now", "arguments": {}}]', TWO),
    (
        "generic",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "서울"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
        TWO,
    ),
)
GRAMMATICAL = tuple((family, call) for family, call, _ in _CALLS)
ALONE = tuple(Transcript(family, call, Heard(calls=calls)) for family, call, calls in _CALLS)

WITHIN = (
    Transcript(
        "hermes",
        '<think>\nhm <tool_call>\n</think>\n\nI look.\n<tool_call>\n{"arguments": {}, "name": "now"}\n</tool_call>',
        Heard("I look.", "hm <tool_call>", (("now", "{}"),)),
    ),
    Transcript(
        "hermes",
        'Write `<tool_call>` or\n```\n<tool_call>{"name": "now", "arguments": {}}</tool_call>\n```\nas code.',
        Heard('Write `<tool_call>` or\n```\n<tool_call>{"name": "now", "arguments": {}}</tool_call>\n```\nas code.'),
    ),
    Transcript(
        "hermes",
        'A <tool_call>{"name": "other", "arguments": {}}</tool_call> nobody knows.',
        Heard('A <tool_call>{"name": "other", "arguments": {}}</tool_call> nobody knows.'),
    ),
    Transcript("hermes", '<tool_call>{"name": "now", oops}</tool_call> <tool', Heard('<tool_call>{"name": "now", oops}</tool_call> <tool')),
    Transcript(
        "hermes",
        'a <tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>\n\nb',
        Heard("a b", calls=(("now", '{"a": 1}'),)),
    ),
    Transcript("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Os', Heard(calls=(("get_weather", '{"city": "Os'),))),
    Transcript("hermes", 'x <tool_call>{"name": "get_wea', Heard('x <tool_call>{"name": "get_wea')),
    Transcript("hermes", "1 < 2 and <b>so</b>", Heard("1 < 2 and <b>so</b>")),
    Transcript("llama3", '{"a": 1} is JSON', Heard('{"a": 1} is JSON')),
    Transcript("llama3", 'Hi {"name": "now", "parameters": {}}', Heard('Hi {"name": "now", "parameters": {}}')),
    Transcript(
        "mistral",
        'Sure.[TOOL_CALLS]get_weather[CALL_ID]abc123456[ARGS]{"city": "[ARGS]"}',
        Heard("Sure.", calls=(("get_weather", '{"city": "[ARGS]"}'),)),
    ),
    Transcript(
        "mistral-list",
        '[THINK]hm[/THINK][TOOL_CALLS] [{"name": "now", "arguments": {}, "id": "abc"}]',
        Heard("", "hm", (("now", "{}"),)),
    ),
    Transcript(
        "harmony",
        "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>commentary<|message|>Wait.<|end|>"
        '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo"}<|call|>',
        Heard("Wait.", "I think.", (("get_weather", OSLO),)),
    ),
    Transcript(
        "harmony",
        "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>final<|message|>Hello <b>!<|return|>",
        Heard("Hello <b>!", "I think."),
    ),
    Transcript("harmony", "Plain words.", Heard("Plain words.")),
    Transcript(
        "cohere",
        '<|START_THINKING|>I will.<|END_THINKING|><|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "now", "parameters": {}}\n]'
        "<|END_ACTION|>",
        Heard("", "I will.", (("now", "{}"),)),
    ),
    Transcript(
        "gemma4",
        '<|channel>thought\nhm<channel|><|tool_call>call:get_weather{city:<|"|>Oslo<tool_call|><|"|>,days:-2.5}<tool_call|>',
        Heard("", "hm", (("get_weather", '{"city": "Oslo<tool_call|>", "days": -2.5}'),)),
    ),
    Transcript(
        "qwen-xml",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\n42\n</parameter>\nodd",
        Heard("odd", calls=(("get_weather", '{"city": "42"}'),)),
    ),
    Transcript("qwen-xml", "<tool_call>\n<function=nobody>\n", Heard("<tool_call>\n<function=nobody>\n")),
    Transcript("glm", "<think></think><tool_call>now</tool_call>", Heard(calls=(("now", "{}"),))),
)
