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
from models.engine.tuning.plan import WHEN_IDLE, Time


class Machine:
    """Time passes as `seconds` says, of which the processor works `share`."""

    def __init__(self, seconds: Callable[[Layout, int], float], share: float = 1.0) -> None:
        self.seconds, self.share = seconds, share
        self.now = self.used = 0.0
        self.open = self.decoded = 0
        self.most = 2
        self.status = DONE

    def context(self, layout: Layout) -> Context:
        if self.open == self.most:
            raise NotReady("There is no memory for a context.")
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


def laptop(billions: float) -> Callable[[Layout, int], float]:
    """A model of so many parameters on a slow machine, on which two threads are the fast way: 4 billion take 0.14 s a token."""
    return lambda layout, tokens: billions * (0.05 + 0.02 * tokens) / (2 if layout.threads == 2 else 1)


@pytest.mark.parametrize(("billions", "within"), [(0.135, 6), (1.7, 14), (4, 30), (8, 60), (14, 105)])
def test_models_of_all_sizes_find_the_fast_way_and_a_curve_in_a_time_that_grows_with_their_steps(billions: float, within: float) -> None:
    machine = Machine(laptop(billions))
    tuned = found(question(machine))
    assert (tuned.layout.threads, tuned.complete) == (2, True)
    assert {trial.layout.threads: trial.decided for trial in tuned.trials} == {2: True, 3: True, 4: True}
    assert dict(tuned.curve)[8] == pytest.approx(0.21 / 0.07)
    assert machine.now < within


def test_a_slow_model_whose_default_is_the_fast_way_takes_one_round_for_each_of_the_others() -> None:
    machine = Machine(lambda layout, tokens: 4 * (0.05 + 0.02 * tokens) / (2 if layout.threads == 4 else 1))
    tuned = found(question(machine))
    assert (tuned.layout.threads, tuned.complete) == (4, True)
    assert [(trial.layout.threads, trial.rounds) for trial in tuned.trials] == [(4, 2), (2, 1), (3, 1)]


def test_what_takes_longer_than_anybody_would_wait_ends_and_is_not_called_complete() -> None:
    machine = Machine(laptop(70))
    tuned = found(question(machine))
    assert not tuned.complete
    assert (tuned.layout.threads, tuned.curve) == (4, ())
    assert [trial.decided for trial in tuned.trials] == [False] * len(tuned.trials)
    one_round = 70 * (0.37 + 2 * 0.07 + 0.21) * 1.5
    assert machine.now < WHEN_IDLE.most + 3 * one_round, "a first look, a round that was under way, and one of the curve"


def test_where_a_person_says_how_long_it_ends_then_and_says_what_is_not_decided() -> None:
    machine = Machine(laptop(4))
    tuned = found(question(machine, time=Time(3, 3)))
    assert not tuned.complete
    assert tuned.layout == Layout(4), "what looks twice as fast has had too few rounds"
    assert [(trial.layout.threads, trial.rounds, trial.decided) for trial in tuned.trials][:2] == [(4, 1, False), (2, 1, False)]
    assert machine.now < 3 + 15


def test_a_model_that_cannot_take_anything_back_is_complete_without_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MadeUp, "truncates", False)
    tuned = found(question(Machine(laptop(1.7))))
    assert (tuned.curve, tuned.complete) == ((), True)


def test_flash_attention_is_given_up_where_it_is_slow_over_a_long_text() -> None:
    tuned = found(question(Machine(lambda layout, tokens: (0.0004 if layout.flash else 0.0002) * tokens), time=Time(30, 30)))
    assert not tuned.layout.flash
    assert {(trial.layout.flash, trial.depth) for trial in tuned.trials if trial.layout.threads == 4} == {
        (True, 0),
        (True, 1024),
        (False, 1024),
    }


def test_a_busy_machine_is_told_of_and_measures_nothing() -> None:
    machine = Machine(crowded, share=0.5)
    with pytest.raises(NotReady, match="too busy"):
        found(question(machine))
    assert machine.open == 0


def test_where_there_is_no_memory_for_a_second_context_the_first_is_closed() -> None:
    machine = Machine(crowded)
    machine.most = 1
    with pytest.raises(NotReady, match="no memory"):
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
    """What ends a batch."""

    def __init__(self) -> None:
        self.on = False

    def set(self) -> None:
        self.on = True

    def clear(self) -> None:
        self.on = False


class Idle:
    """A measurement in pauses, on a clock of its own; `again`: what whoever keeps it says of the next one."""

    def __init__(self, machine: Machine, again: float | None = None, wait: float = 0.0) -> None:
        self.now, self.switch, self.again = 0.0, Switch(), again
        self.kept: list[Tuned | None] = []
        asked = question(machine)
        self.tuning = IdleTuning(
            lambda: Measurement(asked).steps(), self.switch, self.keep, wait=wait, idle_seconds=20, clock=lambda: self.now
        )

    def keep(self, tuned: Tuned | None) -> float | None:
        self.kept.append(tuned)
        return self.again

    def through(self) -> int:
        self.now += 20
        for count in range(10_000):
            if self.tuning.rest() != 0:
                return count
        raise AssertionError("it never ends")


def test_a_model_is_measured_after_a_while_of_quiet_and_what_was_found_is_handed_on_once() -> None:
    idle = Idle(Machine(crowded))
    idle.now = 5
    assert idle.tuning.rest() == 15
    assert idle.through() > 20
    assert [tuned.layout.threads for tuned in idle.kept if tuned] == [2]
    assert idle.tuning.rest() is None


def test_while_somebody_asks_for_something_nothing_is_measured_and_it_goes_on_after_the_next_quiet_while() -> None:
    machine = Machine(crowded)
    idle = Idle(machine)
    idle.now = 20
    for _ in range(3):
        assert idle.tuning.rest() == 0
    idle.tuning.disturb()
    before = machine.decoded
    assert idle.tuning.rest() == 0, "the one who asks is there already"
    assert machine.decoded == before
    idle.tuning.pause()
    assert idle.tuning.rest() == 20
    idle.now = 40
    assert idle.tuning.rest() == 0
    assert machine.decoded == before + 1


def test_a_request_ends_the_batch_that_is_measured() -> None:
    seen: list[bool] = []

    def seconds(_: Layout, tokens: int) -> float:
        idle.tuning.disturb()
        seen.append(idle.switch.on)
        return 0.001 * tokens

    idle = Idle(Machine(seconds))
    idle.now = 20
    idle.tuning.rest()
    idle.tuning.rest()
    assert seen == [True]
    assert not idle.switch.on, "and no other"


def test_a_disk_that_takes_nothing_ends_the_measurement_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Idle, "keep", full)
    idle = Idle(Machine(crowded))
    assert idle.through() > 20
    assert idle.tuning.rest() is None


def test_a_machine_that_is_too_busy_ends_the_measurement_without_a_word_and_it_is_made_anew_when_it_is_time() -> None:
    machine = Machine(crowded, share=0.4)
    idle = Idle(machine, again=3600)
    idle.through()
    assert idle.kept == [None]
    assert idle.tuning.rest() == 3600
    assert machine.open == 0
    machine.share, idle.again = 1.0, None
    idle.now += 3600
    idle.through()
    assert [tuned.layout.threads for tuned in idle.kept[1:] if tuned] == [2]
    assert idle.tuning.rest() is None


def test_a_measurement_that_was_put_off_waits_for_its_time_also_when_nobody_asks() -> None:
    idle = Idle(Machine(crowded), wait=300)
    idle.now = 100
    assert idle.tuning.rest() == 200
    idle.tuning.disturb()
    idle.tuning.pause()
    idle.now = 300
    assert idle.tuning.rest() == 0
