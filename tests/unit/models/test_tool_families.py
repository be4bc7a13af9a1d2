"""A chat template tells the family by its marks, or by what it makes of a call; and how it wants calls written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.errors import BadRequest
from app.core.records import Format, Generation, Message
from models.engine.chat_template import ChatTemplate
from models.engine.tools.families import by_marks
from models.engine.tools.history import Habits, written
from models.engine.tools.known import callable_tools, known
from models.engine.tools.plan import check, plan

CALL = {"id": "call_0123456789", "type": "function", "function": {"name": "now", "arguments": '{"zone": "서울"}'}}
NOW: dict[str, Any] = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
}
HISTORY = (
    Message("user", "What time is it?"),
    Message("assistant", None, tool_calls=[CALL]),
    Message("tool", "Noon.", tool_call_id="call_0123456789"),
    Message("user", "Thanks."),
)
TOOLS = "{% for t in tools %}{{ t | tojson }}{% endfor %}"
EACH = "{% for m in messages %}{% for c in m.tool_calls or [] %}"
END = "{% endfor %}[{{ m.role }}]{{ m.content }}{% endfor %}"
DEEPSEEK = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>")
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"


def template(call: str) -> ChatTemplate:
    return ChatTemplate(TOOLS + EACH + call + END)


@pytest.mark.parametrize(
    ("marks", "family"),
    [
        (" ".join(DEEPSEEK), "deepseek"),
        (" ".join((*DEEPSEEK, "```json")), "deepseek-r1"),
        ("<|tool_call|> <|/tool_call|>", "phi4"),
        ("<|tool_call|>", "granite"),
        ("<tool_call> </tool_call>", "hermes"),
        ("<tool_call> <function= <parameter= </tool_call>", "qwen-xml"),
        ("<tool_call> <arg_key> </tool_call>", "glm"),
        ('<|start_header_id|> tools "parameters"', "llama3"),
        ("[TOOL_CALLS]", "mistral-list"),
        ("[TOOL_CALLS] [ARGS]", "mistral"),
        ("<|start|> <|channel|> <|message|>", "harmony"),
        ("<start_function_call>", "gemma"),
        ("<|tool_call> <tool_call|>", "gemma4"),
        ("<|START_ACTION|>", "cohere"),
    ],
)
def test_marks_in_a_template_tell_its_family(marks: str, family: str) -> None:
    found = by_marks(marks)
    assert found is not None
    assert found.name == family


def test_a_template_without_tools_is_told_of_them_in_words() -> None:
    own = ChatTemplate(CHATML)
    assert own.learned.dialect.name == "generic"
    text = own.render(HISTORY, {}, tools=[NOW])
    assert text.startswith("<|im_start|>system\nYou can call functions.")
    assert '<tool_call>\n{"name": "now", "arguments": {"zone": "서울"}}\n</tool_call>' in text
    assert "<|im_start|>user\n<tool_response>\nNoon.\n</tool_response>" in text
    assert "tool<" not in text.replace("</tool", "")


def test_without_tools_a_template_is_rendered_as_ever() -> None:
    assert "functions" not in ChatTemplate(CHATML).render((Message("user", "Hi"),), {})


def test_results_of_several_calls_are_one_turn_for_a_template_that_knows_no_tools() -> None:
    told = written([{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}], (), Habits(tools=False))
    assert told == [{"role": "user", "content": "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"}]


def test_arguments_come_as_the_template_wants_them() -> None:
    objects = template("{{ c.function.name }}={{ c.function.arguments | tojson }}")
    texts = template("{{ c.function.name }}={{ c.function.arguments }}")
    assert objects.learned.habits.objects
    assert not texts.learned.habits.objects
    for own in (objects, texts):
        assert 'now={"zone": "서울"}' in own.render(HISTORY, {}, tools=[NOW])


@pytest.mark.parametrize(
    ("call", "family"),
    [
        ("{0}{1}{{{{ c.function.name }}}}{2}{{{{ c.function.arguments }}}}{3}{4}", "deepseek"),
        ("{0}{1}function{2}{{{{ c.function.name }}}}\n```json\n{{{{ c.function.arguments }}}}\n```{3}{4}", "deepseek-r1"),
        ("<|tool_call|>[{{{{ c.function | tojson }}}}]<|/tool_call|>", "phi4"),
        ("<|tool_call|>[{{{{ c.function | tojson }}}}]", "granite"),
        ("<tool_call>\n{{{{ c.function | tojson }}}}\n</tool_call>", "hermes"),
    ],
)
def test_a_template_that_writes_a_familys_calls_is_of_it_and_its_own_writing_is_read_back(call: str, family: str) -> None:
    own = template(call.format(*DEEPSEEK))
    assert own.learned.dialect.name == family
    begun = own.render(HISTORY[:2], {}, tools=[NOW]).partition("[user]What time is it?")[2]
    said = own.learned.dialect.listener(known([NOW])).feed(begun.partition("[assistant]")[0])
    assert [part.name for part in said.calls if part.name] == ["now"]
    assert json.loads("".join(part.arguments for part in said.calls)) == {"zone": "서울"}


def test_an_unknown_familys_marks_are_learned_from_a_call() -> None:
    own = template("<fn_begin>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}<fn_end>")
    dialect = own.learned.dialect
    assert dialect.name == "learned"
    assert dialect.marks == ("<fn_begin>", "<fn_end>")
    said = dialect.listener(known([NOW])).feed('<fn_begin>{"name": "now", "arguments": {"zone": "UTC"}}<fn_end>')
    assert "".join(part.arguments for part in said.calls) == '{"zone": "UTC"}'


def test_what_can_not_be_learned_is_generic() -> None:
    assert template("{{ c.function.name }} with {{ c.function.arguments | tojson }}").learned.dialect.name == "generic"
    assert template("{{ raise_exception('no calls') }}").learned.habits.tools is False


def test_ids_are_made_nine_letters_where_a_template_wants_them() -> None:
    own = template("{% if c.id | length != 9 %}{{ raise_exception('length 9') }}{% endif %}{{ c.id }}={{ c.function.arguments | tojson }}")
    text = own.render(HISTORY, {}, tools=[NOW])
    assert own.learned.habits.short_ids
    assert '={"zone"' in text
    told = written(
        [{"role": "tool", "tool_call_id": "call_0123456789"}, {"role": "assistant", "tool_calls": [CALL]}], (), own.learned.habits
    )
    assert told[0]["tool_call_id"] == told[1]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([{"type": "web_search"}], "web_search"),
        ([{"type": "function", "function": {"name": "a b"}}], r"tools\[0\]"),
        ([NOW, NOW], "two tools"),
        ([{"type": "function", "function": {"name": "x", "parameters": "{}"}}], r"tools\[0\]"),
    ],
)
def test_tools_that_can_not_be_used_are_named(tools: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        known(tools)


ARGUMENTS = {"type": "object", "properties": {"zone": {"type": "string"}}}


def tool(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "x", "parameters": parameters}}


@pytest.mark.parametrize("choice", ["auto", "required", "x"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "array"},
        {"type": "string"},
        {"type": ["string", "null"]},
        {"type": "hiccup"},
        {"$ref": "#/$defs/list", "$defs": {"list": {"type": "array"}}},
        [],
        "string",
    ],
)
def test_arguments_that_are_no_object_are_refused_with_what_to_send(parameters: Any, choice: str) -> None:
    with pytest.raises(BadRequest, match=r"tools\[0\]\.function\.parameters") as refused:
        check(Generation(messages=HISTORY, tools=(tool(parameters),), tool_choice=choice))
    assert refused.value.status == 400
    assert refused.value.param == "tools"
    assert '{"type": "object", "properties": {...}}' in refused.value.hint


@pytest.mark.parametrize("parameters", [{"anyOf": [{"type": "array"}, {"type": "integer"}]}, {"enum": ["a", 1]}, {"const": []}])
def test_arguments_that_no_object_fits_are_refused(parameters: Any) -> None:
    with pytest.raises(BadRequest, match="nothing fits"):
        check(Generation(messages=HISTORY, tools=(tool(parameters),), tool_choice="required"))


@pytest.mark.parametrize(
    ("parameters", "taken"),
    [
        (None, {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"properties": ARGUMENTS["properties"]}, ARGUMENTS),
        ({**ARGUMENTS, "type": ["object", "null"]}, ARGUMENTS),
        (
            {"$ref": "#/$defs/a", "title": "A", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": ARGUMENTS}},
            {**ARGUMENTS, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": ARGUMENTS}},
        ),
    ],
)
def test_arguments_are_an_object_also_where_their_schema_says_so_in_other_words(parameters: Any, taken: dict[str, Any]) -> None:
    assert known([tool(parameters)])[0].parameters == taken


def test_a_definition_that_refers_to_itself_alone_is_refused_and_read_to_no_end() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    with pytest.raises(BadRequest, match="refers to itself"):
        check(Generation(messages=HISTORY, tools=(tool(loop),), tool_choice="required"))


def test_tool_choice_says_what_may_be_called() -> None:
    other = {"type": "function", "function": {"name": "other"}}

    def names(choice: str) -> list[str]:
        return [tool.name for tool in callable_tools(Generation(tools=(NOW, other), tool_choice=choice))]

    assert names("auto") == names("required") == ["now", "other"]
    assert names("none") == []
    assert names("other") == ["other"]
    with pytest.raises(BadRequest, match="nobody"):
        names("nobody")
    with pytest.raises(BadRequest, match="no tools"):
        callable_tools(Generation(tool_choice="required"))


def test_a_strict_tool_whose_schema_can_not_be_kept_is_refused_and_another_one_loosened() -> None:
    def asked(strict: bool) -> Generation:
        parameters = {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 5}}}
        tool = {"type": "function", "function": {"name": "five", "parameters": parameters, "strict": strict}}
        return Generation(messages=HISTORY, tools=(tool,))

    dialect = ChatTemplate(CHATML).learned.dialect
    assert plan(asked(False), dialect).rule is not None
    with pytest.raises(BadRequest, match="#/properties/n/multipleOf"):
        plan(asked(True), dialect)


def test_nothing_binds_an_answer_that_nothing_was_asked_of() -> None:
    found = plan(Generation(messages=HISTORY), ChatTemplate(CHATML).learned.dialect)
    assert found.rule is None
    assert found.listener is None
    both = Generation(messages=HISTORY, tools=(NOW,), format=Format("gbnf", grammar='root ::= "a"'))
    with pytest.raises(BadRequest, match="grammar and tools"):
        plan(both, ChatTemplate(CHATML).learned.dialect)


@pytest.mark.parametrize("arguments", ['{"zone": "서울"}', {"zone": "서울"}])
def test_arguments_of_the_history_are_the_same_as_an_object_and_as_its_text(arguments: object) -> None:
    messages = [{"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "now", "arguments": arguments}}]}]
    assert (
        written(messages, (), Habits(tools=False))[0]["content"]
        == '<tool_call>\n{"name": "now", "arguments": {"zone": "서울"}}\n</tool_call>'
    )
    assert written(messages, (), Habits())[0]["tool_calls"][0]["function"]["arguments"] == {"zone": "서울"}


def test_a_call_without_arguments_in_the_history_is_a_call_without_arguments() -> None:
    call = {"id": "1", "function": {"name": "now", "arguments": ""}}
    told = written([{"role": "assistant", "tool_calls": [call]}], (), Habits())
    assert told[0]["tool_calls"][0]["function"]["arguments"] == {}
    assert (
        json.loads(
            written([{"role": "assistant", "tool_calls": [call]}], (), Habits(objects=False))[0]["tool_calls"][0]["function"]["arguments"]
            or "{}"
        )
        == {}
    )
