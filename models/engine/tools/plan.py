"""A request becomes what binds its answer, and what reads it: the grammar, the thoughts, the calls. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.core.errors import BadRequest
from app.core.records import Format, Generation
from models.engine.grammar import gbnf, schema
from models.engine.grammar.rule import Gate, Rule
from models.engine.grammar.rules import Rules
from models.engine.reasoning import PAIRS, Thoughts
from models.engine.speech import Listener
from models.engine.tools.dialect import Dialect, HarmonyDialect
from models.engine.tools.families import GENERIC
from models.engine.tools.known import callable_tools
from models.engine.tools.parts import Tool

_NEVER = re.compile(rb"(?!)()")


class Plan(NamedTuple):
    """`rule` None: nothing binds the answer; `thoughts`, `listener` None: all of it is text."""

    rule: Rule | None
    thoughts: Thoughts | None
    listener: Listener | None


def plan(request: Generation, dialect: Dialect, opened: str = "") -> Plan:
    """Of one request; `opened` is the tag of reasoning that its prompt leaves open. BadRequest for tools and formats that can't be kept."""
    if request.prompt is not None:
        return Plan(_format(request, (), "") if request.format else None, None, None)
    tools = callable_tools(request)
    harmony = isinstance(dialect, HarmonyDialect)
    listener = dialect.listener(tools) if tools or harmony else None
    close = PAIRS.get(opened, "")
    rule: Rule | None = None
    if tools:
        rule = _calls(request, dialect, tools, close)
    elif request.format:
        rule = _format(request, dialect.around, close)
    elif request.thinking_tokens is not None:
        rule = Rule("root ::= .*\n", Gate(dialect.pairs, opened=close, trigger=_NEVER, budget=request.thinking_tokens))
    return Plan(rule, None if harmony else Thoughts(opened), listener)


def check(request: Generation) -> None:
    """The same errors as `plan` raises, before a model is at hand."""
    plan(request, GENERIC)


def _calls(request: Generation, dialect: Dialect, tools: tuple[Tool, ...], close: str) -> Rule:
    rules = Rules()
    # Who names a function wants one call of it.
    several = request.parallel_tool_calls and request.tool_choice in ("auto", "required")
    body = dialect.body(rules, tools, parallel=several)
    lazy = request.tool_choice == "auto"
    if lazy and request.format:
        if request.format.kind == "gbnf":
            raise BadRequest("A grammar and tools can't both hold.", hint='Send one of them, or `tool_choice: "none"`.', param="grammar")
        body, lazy = f"{body} | {dialect.framed(_json(rules, request.format))}", False
    rules.define("root", body)
    gate = Gate(dialect.pairs, opened=close, trigger=dialect.trigger if lazy else None, budget=request.thinking_tokens)
    return Rule(rules.text, gate)


def _format(request: Generation, pairs: tuple[tuple[str, str], ...], close: str) -> Rule:
    wanted = request.format
    assert wanted is not None
    gate = Gate(pairs, opened=close, budget=request.thinking_tokens)
    if wanted.kind == "gbnf":
        gbnf.check(wanted.grammar)
        return Rule(wanted.grammar, gate)
    rules = Rules()
    rules.define("root", _json(rules, wanted))
    return Rule(rules.text, gate)


def _json(rules: Rules, wanted: Format) -> str:
    return rules.shared("object") if wanted.kind == "json_object" else schema.add(rules, wanted.schema, strict=wanted.strict)
