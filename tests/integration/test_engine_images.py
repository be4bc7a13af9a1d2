"""Pictures in the engine, on small models with a projector: what they see is noise, but always the same noise of the same picture.

That a real model describes a picture rightly can't be shown on random weights; that it is given what llama.cpp's own program would
give it can: `test_a_text_after_a_picture_is_the_one_that_llama_cpp_s_own_program_writes`.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny_ggufs
import tiny_projectors
from llama_cpp import llama_cpp as native
from llama_cpp import mtmd_cpp as mtmd
from near_ties import heard, tells_the_same
from tiny_pictures import asked, picture

from app.core.errors import BadRequest, ContextLengthExceeded, OndolError
from app.core.records import Generation, Message, Piece, Priority, Sampling, Usage
from models.engine import pixels
from models.engine.client import EngineSettings
from models.engine.engine import Engine
from models.engine.worker import LoadedEngine

# (text model, projector): attention that sees a picture whole, tiles, places in two dimensions, a window, a state.
PAIRS = {"square": ("llama", "gemma3"), "tiles": ("llama", "idefics3"), "places": ("qwen2vl", "qwen2vl"), "window": ("gemma3", "gemma3")}
PAIRS["state"] = ("lfm2", "idefics3")
RED, BLUE = picture(1), picture(2)
LINES = "All about trams and their drivers in the towns of the north, in order. "


def loaded(folder: Path, pair: str, **settings: Any) -> LoadedEngine:
    text, eyes = PAIRS[pair]
    model, projector = folder / f"{text}.gguf", folder / f"mmproj-{eyes}.gguf"
    if not model.exists():
        getattr(tiny_ggufs, text)(model)
    if not projector.exists():
        getattr(tiny_projectors, eyes)(projector)
    settings = {"cache_memory": 0, **settings}
    made = LoadedEngine(model, EngineSettings(context=2048, threads=1, projector=str(projector), **settings))
    # A clock that stands still: prompts are cut into the same small chunks in every run, and up to 63 rows are computed bit for bit alike.
    made.engine._clock = lambda: 0.0
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeing")


@pytest.fixture(params=list(PAIRS))
def engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[LoadedEngine]:
    made = loaded(folder, request.param)
    yield made
    close(made)


@pytest.fixture
def square(folder: Path) -> Iterator[LoadedEngine]:
    made = loaded(folder, "square")
    yield made
    close(made)


def close(made: LoadedEngine) -> None:
    assert made.eyes is not None
    made.eyes.close()


def ask(made: LoadedEngine, id: int, *messages: Message, tokens: int = 16, chat: str = "", priority: Priority = Priority.CHAT) -> None:
    greedy = Sampling(temperature=0)
    made.submit(id, Generation(messages=messages, sampling=greedy, max_tokens=tokens, ignore_eos=True), priority, chat)


Told = dict[int, tuple[str, Usage | OndolError | None]]


def run(engine: Engine, *, until: Callable[[], bool] = lambda: False) -> Told:
    """Step until idle: each request's text meanwhile, and its usage or error where it has ended."""
    told: Told = {}
    patience = time.monotonic() + 60
    while not engine.idle and not until():
        assert time.monotonic() < patience, "it came to an end"
        if engine.stalled:
            time.sleep(0.001)
        for id, news in engine.step():
            text, end = told.get(id, ("", None))
            if isinstance(news, Piece):
                told[id] = text + news.text, news.usage or end
            elif isinstance(news, OndolError):
                told[id] = text, news
    return told


def alone(made: LoadedEngine, *messages: Message, tokens: int = 16) -> str:
    """The text where the cache holds nothing, and nobody else runs."""
    made.engine._keeping.clear()
    ask(made, 99, *messages, tokens=tokens)
    return run(made.engine)[99][0]


def test_a_text_after_a_picture_is_the_one_that_llama_cpp_s_own_program_writes(engine: LoadedEngine) -> None:
    for shown in (RED, picture(3, width=30, height=90)):
        prompt = b"User: What is this?<__media__>\nAssistant:"
        found = alone(engine, asked("What is this?", shown))
        # Half a character at the end is told by one and not by the other.
        assert found.rstrip("\ufffd") == reference(engine, prompt, shown, 16).rstrip("\ufffd")


def reference(made: LoadedEngine, prompt: bytes, shown: bytes, tokens: int) -> str:
    """libmtmd's own helper reads the prompt, and the likeliest token is taken each time."""
    assert made.eyes is not None
    handle, model = made.eyes._projector._handle, made.model  # type: ignore[attr-defined]  # the real one
    decoder = model.decoder(cells=2048, sequences=1, batch=512, threads=1)
    context = decoder._handle
    seen = pixels.pixels(shown)
    bitmap = mtmd.mtmd_bitmap_init(seen.width, seen.height, (ctypes.c_uint8 * len(seen.data)).from_buffer_copy(seen.data))
    chunks, past = mtmd.mtmd_input_chunks_init(), native.llama_pos(0)
    text = mtmd.mtmd_input_text(prompt, len(prompt), True, True)
    assert mtmd.mtmd_tokenize(handle, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1) == 0
    known = _without_unknown_words(chunks)
    at = 0
    for tokens_of, chunk in known:
        if tokens_of is None:
            assert mtmd.mtmd_helper_eval_chunk_single(handle, context, chunk, at, 0, 32, False, ctypes.byref(past)) == 0
            at = past.value
        else:
            status, _ = decoder.decode([(0, at, tokens_of)])
            assert status == 0
            at += len(tokens_of)
    data = b""
    for _ in range(tokens):
        token = int(decoder.scores(-1).argmax())
        data += model.piece(token)
        status, _ = decoder.decode([(0, at, [token])])
        assert status == 0
        at += 1
    mtmd.mtmd_input_chunks_free(chunks)
    mtmd.mtmd_bitmap_free(bitmap)
    decoder.close()
    return data.decode("utf-8", "replace")


def _without_unknown_words(chunks: Any) -> Iterator[tuple[list[int] | None, Any]]:
    """Each chunk with its tokens, None for a picture; the small vocabulary lacks some of the marks between tiles, which are -1 then."""
    for index in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk, count = mtmd.mtmd_input_chunks_get(chunks, index), ctypes.c_size_t()
        if mtmd.mtmd_input_chunk_get_type(chunk) != mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            yield None, chunk
            continue
        tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
        if found := [tokens[at] for at in range(count.value) if tokens[at] >= 0]:
            yield found, chunk


def test_texts_about_pictures_beside_other_texts_are_those_of_each_alone(engine: LoadedEngine) -> None:
    chats = [
        [asked("What is this?", RED)],
        [Message("user", f"{LINES} Who drives?")],
        [asked("And this?", BLUE)],
        [asked("Which is larger?", RED, BLUE)],
    ]
    scores = [heard(engine, partial(alone, engine, *chat)) for chat in chats]
    engine.engine._keeping.clear()
    requests = []
    for id, chat in enumerate(chats):
        ask(engine, id, *chat)
        requests.append(engine.engine._roster.waiting[id])
    run(engine.engine)
    for request, ones in zip(requests, scores, strict=True):
        assert request.chosen == 16
        assert tells_the_same(request.tokens[request.prompt_tokens :], ones)


def test_another_picture_gives_another_text_and_two_in_one_message_count_both(engine: LoadedEngine) -> None:
    if engine.info.architecture == "lfm2":
        pytest.skip("this small model writes the same after any picture: the text that llama.cpp's own program writes, too")
    assert alone(engine, asked("What is this?", RED)) != alone(engine, asked("What is this?", BLUE))
    assert alone(engine, asked("Which?", RED, BLUE)) != alone(engine, asked("Which?", BLUE, RED))


def test_the_second_turn_looks_at_no_picture_again_and_reads_its_new_tokens_alone(engine: LoadedEngine) -> None:
    first = asked("What is this?", RED)
    engine.engine._keeping.clear()
    ask(engine, 1, first, chat="one")
    text, used = run(engine.engine)[1]
    assert isinstance(used, Usage)
    looked = engine.eyes.looked if engine.eyes else 0
    ask(engine, 2, first, Message("assistant", text), Message("user", "Why?"), chat="one")
    _, again = run(engine.engine)[2]
    assert isinstance(again, Usage)
    assert engine.eyes is not None
    assert engine.eyes.looked == looked
    assert again.cached_tokens >= used.prompt_tokens - 1
    assert alone(engine, first, Message("assistant", text), Message("user", "Why?")) == text_after(engine, first, text)


def text_after(made: LoadedEngine, first: Message, answer: str) -> str:
    ask(made, 3, first, Message("assistant", answer), Message("user", "Why?"))
    return run(made.engine)[3][0]


def test_what_one_picture_has_left_in_the_cache_is_never_another_s(engine: LoadedEngine) -> None:
    expected = alone(engine, asked("What is this?", BLUE))
    engine.engine._keeping.clear()
    for id, shown in enumerate((RED, BLUE)):
        ask(engine, id, asked("What is this?", shown))
        text, used = run(engine.engine)[id]
    assert isinstance(used, Usage)
    assert used.cached_tokens < used.prompt_tokens - tiny_projectors.SQUARE
    assert text == expected


def test_tokens_of_pictures_count_in_the_usage_and_in_what_is_too_long(square: LoadedEngine) -> None:
    square.engine._keeping.clear()
    ask(square, 1, asked("What?", RED))
    ask(square, 2, asked("What?"))
    used = {id: end for id, (_, end) in run(square.engine).items()}
    one, none = used[1], used[2]
    assert isinstance(one, Usage)
    assert isinstance(none, Usage)
    assert one.prompt_tokens >= none.prompt_tokens + tiny_projectors.SQUARE
    with pytest.raises(ContextLengthExceeded, match="2048"):
        ask(square, 3, asked("What?", *[RED, BLUE] * 16), asked("And these?", *[BLUE] * 0), asked(LINES * 20))


def test_texts_go_on_while_a_picture_is_looked_at(square: LoadedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert square.eyes is not None
    projector, hold = square.eyes._projector, Hold()
    monkeypatch.setattr(square.eyes, "_projector", Slow(projector, hold))
    ask(square, 1, asked("What is this?", picture(77)))
    ask(square, 2, Message("user", "Hi"), tokens=12)
    ended: list[int] = []
    for _ in range(400):
        ended += [id for id, news in square.engine.step() if isinstance(news, Piece) and news.finish_reason]
        if ended:
            break
    assert ended == [2]
    square.engine.step()
    assert square.engine.stalled
    hold.let_go()
    assert run(square.engine)[1][0]


class Hold:
    """Says when a slow look may end."""

    def __init__(self) -> None:
        self.held = True

    def let_go(self) -> None:
        self.held = False


class Slow:
    """A projector that takes as long as it is held."""

    def __init__(self, projector: Any, hold: Hold) -> None:
        self._projector, self._hold, self.looks = projector, hold, 0

    def see(self, seen: pixels.Pixels) -> Iterator[Any]:
        self.looks += 1
        while self._hold.held:
            time.sleep(0.001)
        yield from self._projector.see(seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._projector, name)


def test_who_gives_up_while_its_picture_is_looked_at_leaves_at_once_and_the_next_is_looked_at(
    square: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert square.eyes is not None
    hold = Hold()
    slow = Slow(square.eyes._projector, hold)
    monkeypatch.setattr(square.eyes, "_projector", slow)
    shown = [picture(seed) for seed in (81, 82, 83)]
    for id, one in enumerate(shown):
        ask(square, id, asked("What is this?", one))
    while not (square.eyes.busy and square.engine.stalled):
        square.engine.step()
    for id in (0, 1):
        square.engine.abandon(id)
        square.engine.cancel(id)
    assert square.engine.crowd == (1, 0)
    square.engine.step()
    hold.let_go()
    assert set(run(square.engine)) == {2}
    assert slow.looks == 2, "the one in the middle was never looked at"


def test_a_damaged_picture_ends_its_own_request_alone(square: LoadedEngine) -> None:
    whole = picture(5, width=300, height=200, form="JPEG")
    ask(square, 1, asked("What?", whole[: len(whole) // 2]))
    ask(square, 2, asked("What?", RED))
    found = run(square.engine)
    assert isinstance(found[1][1], BadRequest)
    assert "damaged" in str(found[1][1])
    assert isinstance(found[2][1], Usage)


def test_a_chat_with_a_picture_goes_on_from_the_shelf(folder: Path, tmp_path: Path) -> None:
    for pair in ("square", "places"):
        settings = {"cache_memory": 64 << 20, "cache_disk": 64 << 20, "cache_folder": str(tmp_path / pair)}
        made = loaded(folder, pair, **settings)
        said = asked(LINES * 2 + "What is this?", RED)
        expected = alone(made, said)
        ask(made, 1, said, chat="one")
        run(made.engine)
        made.engine._keeping.clear()
        while made.engine.save():
            pass
        close(made)
        again = loaded(folder, pair, **settings)
        ask(again, 2, said, chat="one")
        text, used = run(again.engine)[2]
        assert isinstance(used, Usage)
        assert (text, used.cached_tokens) == (expected, used.prompt_tokens - 1)
        assert again.eyes is not None
        assert again.eyes.looked == 0, "what the cache holds is not looked at again"
        close(again)


def test_rows_that_there_is_no_memory_for_are_made_again(folder: Path) -> None:
    made = loaded(folder, "square")
    assert made.eyes is not None
    made.eyes._memory = 1
    texts = []
    for id, shown in enumerate((RED, BLUE, RED)):
        made.engine._keeping.clear()
        ask(made, id, asked("What?", shown))
        texts.append(run(made.engine)[id][0])
    assert made.eyes.looked == 3
    assert texts[0] == texts[2]
    close(made)


def test_a_request_that_had_to_make_room_sees_its_picture_again(folder: Path) -> None:
    for pair in ("square", "places"):
        made = loaded(folder, pair, parallel=1)
        expected = alone(made, asked("What is this?", RED), tokens=40)
        made.engine._keeping.clear()
        ask(made, 1, asked("What is this?", RED), tokens=40, priority=Priority.BULK)
        begun = run(made.engine, until=lambda engine=made.engine: any(one.chosen > 5 for one in engine._roster.running.values()))
        ask(made, 2, asked("And this?", BLUE))
        made.engine.step()
        made.engine._keeping.clear()
        found = run(made.engine)
        assert made.engine.stats().evictions == 1
        assert begun[1][0] + found[1][0] == expected
        close(made)


def test_a_model_without_eyes_says_so(folder: Path) -> None:
    text = tiny_ggufs.llama(folder / "blind.gguf")
    made = LoadedEngine(text, EngineSettings(context=512, threads=1))
    with pytest.raises(BadRequest, match="reads text only"):
        ask(made, 1, asked("What?", RED))
    assert not made.info.vision


def test_a_projector_of_another_model_costs_the_sight_and_not_the_model(folder: Path, tmp_path: Path) -> None:
    text = tiny_ggufs.llama(folder / "other.gguf")
    wide = tiny_projectors.gemma3(tmp_path / "mmproj-wide.gguf", width=128)
    for projector, why in ((wide, "mmproj-wide"), (text, "is no projector"), (tmp_path / "gone.gguf", "gone.gguf")):
        made = LoadedEngine(text, EngineSettings(context=512, threads=1, projector=str(projector)))
        assert not made.info.vision
        ask(made, 1, Message("user", "Hi"))
        assert isinstance(run(made.engine)[1][1], Usage)
        with pytest.raises(BadRequest, match=why):
            ask(made, 2, asked("What?", RED))
