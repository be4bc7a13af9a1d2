"""Calls and formats out of a real model: whatever it would like to write, what comes is a call or a text of the form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from grammar_engine import GrammarEngine
from transcripts import GRAMMATICAL, TOOLS

from app.core.errors import BadRequest
from app.core.records import Format, Generation, Message, Piece, Priority, Sampling
from models.engine.chat_template import ChatTemplate, Prompter
from models.engine.client import EngineSettings
from models.engine.grammar.rules import Rules
from models.engine.tools.families import DIALECTS
from models.engine.worker import LoadedEngine

ASKED = (Message("user", "What is the weather in Oslo for 3 days?"),)
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "exact": {"type": "boolean"},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": ORDER}}
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
SCHEMAS = {"get_weather": ORDER, "now": {"type": "object", "maxProperties": 0}}


class Answer(NamedTuple):
    text: str
    reasoning: str
    calls: list[tuple[str, str]]
    reason: str | None
    tokens: int


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> LoadedEngine:
    return LoadedEngine(smollm2, EngineSettings(context=2048, threads=1))


@pytest.fixture
def asking(loaded: LoadedEngine) -> Iterator[LoadedEngine]:
    """The same engine, with its own template again after the test."""
    own = loaded.prompter
    yield loaded
    loaded.prompter = own


def ask(loaded: LoadedEngine, **values: Any) -> Answer:
    loaded.submit(1, Generation(**{"messages": ASKED, "max_tokens": 250, "sampling": Sampling(temperature=0), **values}), Priority.CHAT)
    pieces: list[Piece] = []
    while not loaded.engine.idle:
        pieces += [news for _, news in loaded.engine.step() if isinstance(news, Piece)]
    calls: dict[int, tuple[str, str]] = {}
    for part in (part for piece in pieces for part in piece.calls):
        name, arguments = calls.get(part.index, ("", ""))
        calls[part.index] = name + part.name, arguments + part.arguments
    text, reasoning = "".join(piece.text for piece in pieces), "".join(piece.reasoning for piece in pieces)
    last = pieces[-1]
    return Answer(text, reasoning, list(calls.values()), last.finish_reason, last.usage.completion_tokens if last.usage else 0)


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))])
def test_a_required_call_of_a_very_small_model_parses_and_fits_its_schema(loaded: LoadedEngine, seed: int) -> None:
    sampling = Sampling(temperature=0.8, seed=seed)
    answer = ask(
        loaded, tools=(WEATHER, NOW), tool_choice="required", parallel_tool_calls=seed % 4 == 0, sampling=sampling, max_tokens=1200
    )
    assert answer.reason == "tool_calls"
    assert answer.text == ""
    assert answer.calls
    for name, arguments in answer.calls:
        jsonschema.validate(json.loads(arguments), SCHEMAS[name])


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(DIALECTS))
def test_a_named_function_is_called_in_every_familys_own_writing(asking: LoadedEngine, family: str) -> None:
    asking.prompter = Prompter(asking.prompter._vocabulary, ChatTemplate(asking.prompter.template._source))
    template = asking.prompter.template
    template.__dict__["learned"] = template.learned._replace(dialect=DIALECTS[family])
    answer = ask(asking, tools=(WEATHER, NOW), tool_choice="get_weather", sampling=Sampling(seed=7))
    assert (answer.reason, answer.text, len(answer.calls)) == ("tool_calls", "", 1)
    name, arguments = answer.calls[0]
    assert name == "get_weather"
    jsonschema.validate(json.loads(arguments), ORDER)


def test_where_a_call_is_free_to_come_a_text_stays_text(loaded: LoadedEngine) -> None:
    with_tools, without = ask(loaded, tools=(WEATHER,), max_tokens=20), ask(loaded, tools=(WEATHER,), tool_choice="none", max_tokens=20)
    assert with_tools.calls == without.calls == []
    assert with_tools.text
    assert without.text


def test_a_call_that_the_model_begins_by_itself_is_held_to_its_schema(asking: LoadedEngine) -> None:
    # It goes on as the examples do, and would copy their sixty days.
    example = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome", "days": 60}}\n</tool_call>\n'
    source = f"{{% raw %}}{''.join(f'Q: Rome, 60 days?{chr(10)}A: {example}' for _ in range(3))}{{% endraw %}}Q: Rome, 60 days?\nA:"
    asking.prompter = Prompter(asking.prompter._vocabulary, ChatTemplate(source))
    free, held = ask(asking, max_tokens=60), ask(asking, tools=(WEATHER,), parallel_tool_calls=False, max_tokens=60)
    assert '"days": 60' in free.text
    assert (held.reason, held.text.strip(), len(held.calls)) == ("tool_calls", "", 1)
    name, arguments = held.calls[0]
    assert name == "get_weather"
    jsonschema.validate(json.loads(arguments), ORDER)


@pytest.mark.parametrize("seed", range(2))
def test_an_answer_in_a_schema_fits_it(loaded: LoadedEngine, seed: int) -> None:
    answer = ask(loaded, format=Format("json_schema", ORDER), sampling=Sampling(seed=seed))
    assert answer.reason == "stop"
    jsonschema.validate(json.loads(answer.text), ORDER)


def test_an_answer_as_a_json_object_is_one(loaded: LoadedEngine) -> None:
    wanted = ("A person with a name and an age, as JSON.", "The colour of the sky as JSON with one key.", "An empty JSON object.")
    answers = [ask(loaded, format=Format("json_object"), messages=(Message("user", words),), max_tokens=200) for words in wanted]
    # So small a model can find no end.
    ended = [json.loads(answer.text) for answer in answers if answer.reason == "stop"]
    assert ended
    assert all(isinstance(one, dict) for one in ended)
    assert all(answer.text.lstrip().startswith("{") for answer in answers)


def test_a_grammar_is_kept_and_an_answer_ends_where_it_does(loaded: LoadedEngine) -> None:
    yes = Format("gbnf", grammar='root ::= "yes" | "no" | "한국"')
    assert ask(loaded, format=yes).text in ("yes", "no", "한국")
    ended = ask(loaded, format=yes, ignore_eos=True)
    assert (ended.text in ("yes", "no", "한국"), ended.reason) == (True, "stop")
    assert ask(loaded, format=yes, messages=(), prompt="Is water wet? Answer:").text in ("yes", "no", "한국")


def test_a_limit_may_cut_a_format(loaded: LoadedEngine) -> None:
    answer = ask(loaded, format=Format("json_schema", ORDER), max_tokens=3)
    assert (answer.reason, answer.tokens) == ("length", 3)


def test_words_that_are_forbidden_end_an_answer_that_needs_them(loaded: LoadedEngine) -> None:
    only = Format("gbnf", grammar='root ::= "a"')
    forbidden = dict.fromkeys((token for token in range(loaded.model.vocabulary_size) if loaded.model.piece(token) == b"a"), -float("inf"))
    answer = ask(loaded, format=only, logit_bias=forbidden)
    assert (answer.text, answer.reason) == ("", "stop")


def test_a_grammar_that_llama_cpp_refuses_is_a_bad_request_and_the_next_one_is_served(loaded: LoadedEngine) -> None:
    with pytest.raises(BadRequest, match="left recursion"):
        ask(loaded, format=Format("gbnf", grammar='root ::= root "a" | "a"'))
    with pytest.raises(BadRequest, match=r"#/properties/a: it is false|#/properties/a"):
        ask(loaded, format=Format("json_schema", {"type": "object", "properties": {"a": False}, "required": ["a"]}))
    assert ask(loaded, max_tokens=2).tokens == 2


def test_thoughts_come_before_a_format_and_are_free(asking: LoadedEngine) -> None:
    source = "{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n"
    asking.prompter = Prompter(asking.prompter._vocabulary, ChatTemplate(source))
    answer = ask(asking, format=Format("gbnf", grammar='root ::= "yes" | "no"'), thinking_tokens=12)
    assert answer.reasoning
    assert answer.text in ("yes", "no")
    called = ask(asking, tools=(NOW,), tool_choice="now", thinking_tokens=12)
    assert called.reasoning
    assert called.calls == [("now", "{}")] or json.loads(called.calls[0][1]) == {}


def test_thoughts_end_where_their_budget_does(asking: LoadedEngine) -> None:
    source = "{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n"
    asking.prompter = Prompter(asking.prompter._vocabulary, ChatTemplate(source))
    free = ask(asking, max_tokens=40, ignore_eos=True)
    bound = ask(asking, max_tokens=40, ignore_eos=True, thinking_tokens=5)
    assert free.text == ""
    assert bound.text
    assert free.reasoning.startswith(bound.reasoning)


def test_a_seed_gives_the_same_call_again(loaded: LoadedEngine) -> None:
    asked = {
        "tools": (WEATHER, NOW),
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "sampling": Sampling(temperature=1.0, seed=5),
    }
    assert ask(loaded, **asked).calls == ask(loaded, **asked).calls


@pytest.mark.parametrize(("family", "call"), GRAMMATICAL)
def test_a_familys_grammar_takes_what_its_models_write(loaded: LoadedEngine, family: str, call: str) -> None:
    rules = Rules()
    rules.define("root", DIALECTS[family].body(rules, TOOLS, parallel=True))
    taken, cut, changed = GrammarEngine(loaded.model).takes(
        rules.text, call, call[:-1], call.replace("now", "new").replace("get_w", "set_w")
    )
    assert (taken, cut, changed) == (True, False, False)
