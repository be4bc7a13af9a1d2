"""The engine over real models: chances of tokens, biases, gaps that are filled in, and adapters over the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_adapters
import tiny_ggufs
from engine_bench import GREEDY, Bench, alone, run, story, submit

from app.core.errors import BadRequest, BadSetting
from app.core.records import Adapter, Chance, Generation, Message, Piece, Sampling
from models.engine.adapters import AdapterFile
from models.engine.engine import Engine
from models.engine.llama.model import Model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))
    yield bench
    bench.close()


def pieces(engine: Engine, id: int = 1) -> list[Piece]:
    """The request's pieces until all is done."""
    found: list[Piece] = []
    while not engine.idle:
        found += [news for one, news in engine.step() if one == id and isinstance(news, Piece)]
    return found


def chances(bench: Bench, request: Generation) -> list[Chance]:
    engine = bench.engine()
    submit(bench, engine, 1, request)
    return [one for piece in pieces(engine) for one in piece.chances]


def test_the_chances_of_a_whole_vocabulary_add_up_to_one_at_every_token(tiny: Bench) -> None:
    found = chances(tiny, story("a fox", tokens=8, logprobs=tiny.model.vocabulary_size))
    assert len(found) == 8
    for one in found:
        assert len({other.token for other in one.top}) == tiny.model.vocabulary_size
        assert sum(math.exp(other.logprob) for other in one.top) == pytest.approx(1, abs=1e-6)


def test_a_greedy_token_is_the_likeliest_one(bench: Bench) -> None:
    found = chances(bench, story("a fox", tokens=12, logprobs=3))
    assert len(found) == 12
    assert all(one.top[0].token == one.token and one.top[0].logprob == one.logprob for one in found)
    assert all(one.logprob < 0 for one in found)


def test_the_chances_of_a_stream_are_those_of_its_text_piece_by_piece(bench: Bench) -> None:
    engine = bench.engine()
    submit(bench, engine, 1, story("a fox", tokens=20, logprobs=0, stop=("zzz",)))
    for piece in pieces(engine):
        assert b"".join(one.data for one in piece.chances).decode() == piece.text
        assert all(one.top == () for one in piece.chances)


def test_a_chance_is_of_the_models_own_distribution_whatever_is_sampled_from(bench: Bench) -> None:
    greedy = chances(bench, story("a fox", tokens=1, logprobs=20))[0]
    hot = Sampling(temperature=1.5, top_k=3, seed=4, repeat_penalty=1.5)
    other = chances(bench, story("a fox", tokens=1, logprobs=20, sampling=hot, logit_bias={5: 50.0}))[0]
    assert [one.token for one in other.top] == [one.token for one in greedy.top]
    assert other.token == 5


def test_what_a_request_asks_of_chances_changes_no_text(bench: Bench) -> None:
    assert alone(bench, story("a fox", logprobs=5)) == alone(bench, story("a fox"))


def test_a_stop_string_has_no_chances_and_the_end_of_a_chat_neither(bench: Bench) -> None:
    whole = alone(bench, story("a fox"))
    cut = whole[: whole.index(".")]
    found = chances(bench, story("a fox", stop=(".",), logprobs=0))
    assert b"".join(one.data for one in found).decode() == cut
    said = chances(bench, Generation(messages=(Message("user", "Hello! Who are you?"),), sampling=GREEDY, max_tokens=120, logprobs=0))
    assert b"<|im_end|>" not in [one.data for one in said]


def test_a_bias_of_a_hundred_forces_a_token_and_of_minus_a_hundred_forbids_it(bench: Bench) -> None:
    first = chances(bench, story("a fox", tokens=1, logprobs=1))[0].token
    assert chances(bench, story("a fox", tokens=1, logprobs=1, logit_bias={first: -100.0}))[0].token != first
    forced = chances(bench, story("a fox", tokens=3, logprobs=1, logit_bias={321: 100.0}))
    assert [one.token for one in forced] == [321] * 3


def test_a_bias_for_a_token_that_there_is_not_is_refused(bench: Bench) -> None:
    engine = bench.engine()
    for token in (-1, bench.model.vocabulary_size):
        with pytest.raises(BadRequest, match=f"There is no token {token}"):
            engine.submit(1, [1], story("a fox", logit_bias={token: 1.0}))
    assert engine.idle


def test_a_gap_is_filled_in_with_the_models_own_tokens_around_it(tmp_path: Path) -> None:
    bench = Bench(tiny_adapters.infilling(tmp_path / "infill.gguf"))
    before, after = bench.model.tokenize("def ", special=False), bench.model.tokenize("end", special=False)
    prefix, suffix, middle = range(tiny_ggufs.FIRST_WORD, tiny_ggufs.FIRST_WORD + 3)
    tokens = bench.prompter.tokens(Generation(prompt="def ", suffix="end"))
    assert [token for token in tokens if token != bench.model.bos] == [prefix, *before, suffix, *after, middle]
    assert alone(bench, Generation(prompt="def ", suffix="end", sampling=GREEDY, max_tokens=4, ignore_eos=True))
    bench.close()


def test_a_model_that_was_not_taught_to_fill_in_says_so(bench: Bench) -> None:
    with pytest.raises(BadRequest, match="can't fill in"):
        bench.prompter.tokens(Generation(prompt="def ", suffix="end"))


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapted]:
    adapted = Adapted(tmp_path_factory.mktemp("lora"))
    yield adapted
    adapted.close()


class Adapted:
    """The tiny model with two adapters, and beside it models into whose weights these were added."""

    def __init__(self, folder: Path) -> None:
        base = tiny_ggufs.llama(folder / "base.gguf")
        files = [tiny_adapters.lora(folder / f"lora{seed}.gguf", seed=seed) for seed in (1, 2)]
        self.plain = Bench(base)
        self.merged = {(seed, 1.0): Bench(tiny_adapters.merged(base, files[seed], folder / f"merged{seed}.gguf")) for seed in (0, 1)}
        self.merged[0, 0.5] = Bench(tiny_adapters.merged(base, files[0], folder / "half.gguf", scale=0.5))
        self.model = Model(base, adapters=[AdapterFile(file.stem, str(file)) for file in files])
        self.decoder = self.model.decoder(cells=2048, sequences=4, batch=256, threads=1)

    def engine(self, usual: tuple[float, ...] = (0.0, 0.0)) -> Engine:
        for sequence in range(4):
            self.decoder.forget(sequence)
        return Engine(self.model, self.decoder, context=512, adapters=usual, clock=lambda: 0.0)

    def submit(self, engine: Engine, id: int, request: Generation) -> None:
        engine.submit(id, self.plain.prompter.tokens(request), request)

    def text(self, request: Generation, usual: tuple[float, ...] = (0.0, 0.0)) -> str:
        engine = self.engine(usual)
        self.submit(engine, 1, request)
        return run(engine)[1][0]

    def close(self) -> None:
        self.decoder.close()
        self.model.close()
        for bench in (self.plain, *self.merged.values()):
            bench.close()


def test_an_adapter_writes_what_the_model_with_it_in_its_weights_writes(adapted: Adapted) -> None:
    plain = alone(adapted.plain, story("a fox"))
    assert adapted.text(story("a fox", adapters=())) == plain
    for (id, scale), bench in adapted.merged.items():
        assert adapted.text(story("a fox", adapters=(Adapter(id, scale),))) == alone(bench, story("a fox")) != plain


def test_requests_with_different_adapters_run_side_by_side_each_with_its_own(adapted: Adapted) -> None:
    engine = adapted.engine()
    wanted = {1: (), 2: (Adapter(0),), 3: (Adapter(1),), 4: (Adapter(0, 0.5),), 5: (Adapter(0),), 6: ()}
    for id, chosen in wanted.items():
        adapted.submit(engine, id, story("a fox", adapters=chosen))
    found = run(engine)
    benches = {1: adapted.plain, 2: adapted.merged[0, 1.0], 3: adapted.merged[1, 1.0], 4: adapted.merged[0, 0.5]}
    texts = {id: alone(bench, story("a fox")) for id, bench in benches.items()}
    assert {id: text for id, (text, _) in found.items()} == {**texts, 5: texts[2], 6: texts[1]}


def test_what_the_cache_holds_of_one_adapter_is_not_gone_on_from_with_another(adapted: Adapted) -> None:
    engine, texts = adapted.engine(), []
    for id, chosen in enumerate([(), (Adapter(0),), (), (Adapter(0),), (Adapter(1),)]):
        adapted.submit(engine, id, story("a fox", adapters=chosen))
        texts.append(run(engine)[id][0])
    plain, first, second = (alone(bench, story("a fox")) for bench in (adapted.plain, adapted.merged[0, 1.0], adapted.merged[1, 1.0]))
    assert texts == [plain, first, plain, first, second]
    assert engine.stats().cached_tokens > 0, "with the same adapters it is"


def test_where_a_request_says_nothing_the_adapters_are_as_strong_as_the_settings_say(adapted: Adapted) -> None:
    on = adapted.text(story("a fox"), usual=(1.0, 0.0))
    assert on == alone(adapted.merged[0, 1.0], story("a fox"))
    assert adapted.text(story("a fox", adapters=()), usual=(1.0, 0.0)) == alone(adapted.plain, story("a fox"))


def test_an_adapter_that_there_is_not_is_refused(adapted: Adapted) -> None:
    with pytest.raises(BadRequest, match="There is no adapter 2"):
        adapted.submit(adapted.engine(), 1, story("a fox", adapters=(Adapter(2),)))


def test_an_adapter_for_another_model_is_refused_with_its_name(tmp_path: Path) -> None:
    base = tiny_ggufs.llama(tmp_path / "base.gguf")
    wrong = tiny_adapters.lora(tmp_path / "wrong.gguf", width=128)
    with pytest.raises(BadSetting, match="The adapter 'polite' can't be used"):
        Model(base, adapters=[AdapterFile("polite", str(wrong))])
    with pytest.raises(BadSetting, match="The adapter 'gone' can't be used"):
        Model(base, adapters=[AdapterFile("gone", str(tmp_path / "none.gguf"))])
