from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import BadRequest, Busy, ContextLengthExceeded, NotReady, OndolError
from app.core.records import Adapter, CallPart, Chance, Format, Generation, Message, Piece, Priority, Sampling, Usage
from models.engine.llama_server import program, wire
from models.engine.llama_server.program import Program, Share
from models.engine.llama_server.turns import Turns

CHAT = Generation(messages=(Message("user", "hi"),))
TOOLS = tuple({"type": "function", "function": {"name": name, "parameters": {}}} for name in ("add", "multiply"))


def test_messages_go_to_chat_completions_and_a_raw_prompt_to_completion() -> None:
    path, body = wire.asked(Generation(messages=(Message("user", "hi"),), max_tokens=5, stop=("x",), sampling=Sampling(seed=3)))
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert (body["max_tokens"], body["stop"], body["seed"], body["stream_options"]) == (5, ["x"], 3, {"include_usage": True})
    path, body = wire.asked(Generation(prompt="hi", logprobs=0, logit_bias={7: -1.5}))
    assert path == "/completion"
    assert (body["prompt"], body["n_predict"], body["n_probs"], body["logit_bias"]) == ("hi", -1, 1, [[7, -1.5]])
    assert wire.asked(Generation(prompt="a", suffix="b"))[0] == "/infill"


def test_a_tool_chosen_by_name_is_the_one_tool_that_must_be_called() -> None:
    _, body = wire.asked(Generation(messages=CHAT.messages, tools=TOOLS, tool_choice="add"))
    assert body["tools"] == [TOOLS[0]]
    assert body["tool_choice"] == "required"
    with pytest.raises(BadRequest, match="divide"):
        wire.asked(Generation(messages=CHAT.messages, tools=TOOLS, tool_choice="divide"))


def test_a_format_becomes_a_grammar_a_schema_or_any_object() -> None:
    schema = {"type": "integer"}
    _, body = wire.asked(Generation(messages=CHAT.messages, format=Format("json_schema", schema=schema)))
    assert body["response_format"]["json_schema"]["schema"] == schema
    _, body = wire.asked(Generation(prompt="x", format=Format("json_object")))
    assert body["json_schema"] == {"type": "object"}
    _, body = wire.asked(Generation(prompt="x", format=Format("gbnf", grammar='root ::= "a"')))
    assert body["grammar"] == 'root ::= "a"'


@pytest.mark.parametrize("request_", [Generation(), Generation(prompt=""), Generation(prompt="x", max_tokens=-1)])
def test_what_makes_no_sense_is_refused_before_it_is_asked(request_: Generation) -> None:
    with pytest.raises(BadRequest):
        wire.asked(request_)


def test_the_events_of_a_chat_become_text_thoughts_calls_and_a_last_piece_with_usage() -> None:
    answer = wire.Answer()
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
    events = [
        {"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]},
        {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]},
        {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": None}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}},
    ]
    pieces = [piece for event in events if (piece := answer.take(event)) is not None]
    assert pieces == [
        Piece(reasoning="hm"),
        Piece("Hi"),
        Piece(calls=(CallPart(0, "c1", "add"),)),
        Piece(calls=(CallPart(0, arguments='{"a'),)),
    ]
    assert answer.end() == Piece(finish_reason="tool_calls", usage=Usage(9, 4, 8))


def test_chances_come_as_many_as_were_asked_for() -> None:
    told = {"id": 5, "token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [{"id": 5, "bytes": [97], "logprob": -0.5}]}
    event = {"content": "a", "stop": False, "completion_probabilities": [told]}
    assert wire.Answer(1).take(event) == Piece("a", chances=(Chance(5, b"a", -0.5, (Chance(5, b"a", -0.5),)),))
    assert wire.Answer(0).take(event) == Piece("a", chances=(Chance(5, b"a", -0.5),))
    assert wire.Answer(None).take(event) == Piece("a")


def test_an_answer_without_its_end_is_an_error_and_so_is_an_error_among_its_events() -> None:
    answer = wire.Answer()
    answer.take({"content": "a", "stop": False})
    with pytest.raises(OndolError, match="broke off"):
        answer.end()
    with pytest.raises(BadRequest, match="no such grammar"):
        answer.take({"error": {"code": 400, "message": "no such grammar", "type": "invalid_request_error"}})


def test_a_refusal_becomes_the_error_that_its_receiver_can_act_on() -> None:
    told = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_prompt_tokens": 600, "n_ctx": 512}}
    error = wire.error(400, told)
    assert isinstance(error, ContextLengthExceeded)
    assert (error.prompt_tokens, error.context) == (600, 512)
    assert type(wire.error(503, {"error": {"message": "Loading model"}})) is NotReady
    assert type(wire.error(501, {"error": {"message": "no"}})) is BadRequest
    assert type(wire.error(500, "<html>")) is OndolError


def test_the_line_has_the_options_that_this_program_knows_and_no_key() -> None:
    found = Program(Path("/opt/llama-server"), "", frozenset({"--offline", "--no-webui"}))
    line = program.line(found, Path("모델.gguf"), Share(4096, 4, 2, -1), 8123)
    assert line[-2:] == ["--offline", "--no-webui"]
    assert "--gpu-layers" not in line
    assert "--api-key" not in line
    assert program.line(found, Path("m.gguf"), Share(4096, 4, 2, 0), 8123)[-4:-2] == ["--gpu-layers", "0"]


def test_adapters_are_as_strong_as_the_request_says_else_as_the_settings_say() -> None:
    usual = (1.0, 0.5)
    assert wire.asked(Generation(prompt="x"), usual)[1]["lora"] == [{"id": 0, "scale": 1.0}, {"id": 1, "scale": 0.5}]
    one = Generation(prompt="x", adapters=(Adapter(1, 2.0),))
    assert wire.asked(one, usual)[1]["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 2.0}]
    assert "lora" not in wire.asked(Generation(prompt="x"))[1]
    found = Program(Path("/opt/llama-server"), "", frozenset())
    assert program.line(found, Path("m.gguf"), Share(512, 1, 1, 0, ("어댑터.gguf",)), 1)[-3:] == [
        "--lora",
        "어댑터.gguf",
        "--lora-init-without-apply",
    ]


def test_a_model_that_sees_gets_its_projector_and_pictures_as_they_came() -> None:
    found = Program(Path("/opt/llama-server"), "", frozenset())
    assert program.line(found, Path("m.gguf"), Share(512, 1, 1, 0, (), "mmproj.gguf"), 1)[-2:] == ["--mmproj", "mmproj.gguf"]
    parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert wire.asked(Generation(messages=(Message("user", parts),)))[1]["messages"] == [{"role": "user", "content": parts}]


def test_turns_go_by_priority_then_age_and_a_full_queue_refuses() -> None:
    turns = Turns(slots=1, room=3)
    for id, priority in enumerate((Priority.BULK, Priority.BULK, Priority.TASK, Priority.CHAT)):
        turns.join(id, priority)
    assert turns.runs(0)
    assert [turns.place(id) for id in range(4)] == [0, 3, 2, 1]
    with pytest.raises(Busy):
        turns.join(9, Priority.CHAT)
    turns.leave(2)
    turns.leave(0)
    assert turns.runs(3)
    turns.leave(9)
    assert turns.crowd == (1, 1)
