"""The measurement over a context whose times are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from app.core.errors import NotReady
from models.engine.decoding import DONE, INTERRUPTED
from models.engine.tuning.idle import IdleTuning
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.measure import Clocks, Context, Measurement, Question


class Machine:
    """Time passes as `seconds` says, of which the processor works `share`."""

    def __init__(self, seconds: Callable[[Layout, int], float], share: float = 1.0) -> None:
        self.seconds, self.share = seconds, share
        self.now = self.used = 0.0
        self.open = self.decoded = 0
        self.status = DONE

    def context(self, layout: Layout) -> Context:
        self.open += 1
        return cast(Context, MadeUp(self, layout))


class MadeUp:
    truncates = True

    def __init__(self, machine: Machine, layout: Layout) -> None:
        self.machine, self.layout = machine, layout
        self.held: dict[int, int] = {}

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]]) -> tuple[int, list[int]]:
        machine = self.machine
        status, machine.status = machine.status, DONE
        for sequence, position, tokens in parts:
            assert self.held.get(sequence, 0) == position, "positions follow each other"
            self.held[sequence] = position + len(tokens)
        took = machine.seconds(self.layout, sum(len(tokens) for _, _, tokens in parts))
        machine.now += took
        machine.used += took * machine.share * self.layout.threads
        machine.decoded += 1
        return status, []

    def truncate(self, sequence: int, length: int) -> bool:
        self.held[sequence] = length
        return True

    def forget(self, sequence: int) -> None:
        self.held.pop(sequence, None)

    def close(self) -> None:
        self.machine.open -= 1


def question(machine: Machine, *, threads: int = 4, usable: int = 4, **values: Any) -> Question:
    clocks = Clocks(lambda: machine.now, lambda: machine.used)
    return Question(machine.context, Layout(threads), usable, clocks=clocks, **values)


def found(asked: Question) -> Tuned:
    steps = Measurement(asked).steps()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast(Tuned, end.value)


def crowded(layout: Layout, tokens: int) -> float:
    """A machine on which two threads are the fast way."""
    return (0.001 if layout.threads == 2 else 0.002) * (1 + tokens / 4)


def test_the_number_of_threads_that_is_fast_here_is_found_and_all_contexts_are_closed() -> None:
    machine = Machine(crowded)
    tuned = found(question(machine))
    assert tuned.layout.threads == 2
    assert {trial.layout.threads for trial in tuned.trials} == {2, 3, 4}
    assert machine.open == 0


def test_threads_that_the_user_chose_are_kept() -> None:
    assert found(question(Machine(crowded), settled=True)).layout.threads == 4


def test_where_nothing_is_faster_the_default_stays() -> None:
    assert found(question(Machine(lambda _, tokens: 0.001 * tokens))).layout == Layout(4)


def test_the_curve_is_that_of_the_machine() -> None:
    curve = dict(found(question(Machine(lambda _, tokens: 0.01 + 0.001 * tokens))).curve)
    assert curve[1] == 1
    assert curve[12] == pytest.approx(22 / 11)


def test_a_slow_model_is_measured_in_a_bounded_time() -> None:
    machine = Machine(lambda _, tokens: 0.3 * tokens)
    found(question(machine, budget=5))
    assert machine.now < 5 + 50, "a first look, and one round of what was under way"


def test_flash_attention_is_given_up_where_it_is_slow_over_a_long_text() -> None:
    tuned = found(question(Machine(lambda layout, tokens: (0.0004 if layout.flash else 0.0002) * tokens), budget=30))
    assert not tuned.layout.flash


def test_a_busy_machine_is_told_of_and_measures_nothing() -> None:
    machine = Machine(crowded, share=0.5)
    with pytest.raises(NotReady, match="too busy"):
        found(question(machine))
    assert machine.open == 0


def test_a_batch_that_was_interrupted_is_computed_again_from_where_it_began() -> None:
    machine = Machine(crowded)
    steps = Measurement(question(machine)).steps()
    for _ in range(3):
        next(steps)
    machine.status = INTERRUPTED
    next(steps)
    assert machine.decoded == 3
    for _ in range(20):
        next(steps)
    assert machine.status == DONE


class Switch:
    def __init__(self) -> None:
        self.on = False

    def set(self) -> None:
        self.on = True

    def clear(self) -> None:
        self.on = False


def test_what_was_found_when_idle_is_handed_on_once() -> None:
    kept: list[Tuned] = []
    idle = IdleTuning(Measurement(question(Machine(crowded))).steps(), Switch(), kept.append)
    assert idle.patience > 0
    while not idle.over:
        idle.step()
        assert idle.over or idle.patience == 0
    assert [tuned.layout.threads for tuned in kept] == [2]


def test_while_somebody_asks_for_something_nothing_is_measured_and_later_it_goes_on() -> None:
    machine = Machine(crowded)
    idle = IdleTuning(Measurement(question(machine)).steps(), Switch(), lambda _: None)
    for _ in range(3):
        idle.step()
    idle.disturb()
    before = machine.decoded
    idle.step()
    assert machine.decoded == before
    idle.pause()
    assert idle.patience > 0
    idle.step()
    assert machine.decoded == before + 1


def test_a_request_ends_the_batch_that_is_measured() -> None:
    switch, idle = Switch(), cast(IdleTuning, None)

    def seconds(_: Layout, tokens: int) -> float:
        idle.disturb()
        seen.append(switch.on)
        return 0.001 * tokens

    seen: list[bool] = []
    idle = IdleTuning(Measurement(question(Machine(seconds))).steps(), switch, lambda _: None)
    idle.step()
    idle.step()
    assert seen == [True]
    assert not switch.on, "and no other"


def test_a_disk_that_takes_nothing_ends_the_measurement_and_nothing_else() -> None:
    def full(_: Tuned) -> None:
        raise OSError(28, "No space left on device")

    idle = IdleTuning(Measurement(question(Machine(crowded))).steps(), Switch(), full)
    while not idle.over:
        idle.step()
