from __future__ import annotations

import ctypes
import threading

from hypothesis import given
from hypothesis import strategies as st

from models.engine.interrupt import Abandoned, Interrupt


def asked(interrupt: Interrupt) -> bool:
    """As native code asks: a C function that returns a bool of a pointer."""
    function = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(interrupt.function.value)
    return bool(function(interrupt.data))


def test_native_code_is_told_to_go_on_until_the_flag_is_set_and_again_when_it_is_cleared() -> None:
    interrupt = Interrupt()
    answers = [asked(interrupt)]
    interrupt.set()
    answers += [asked(interrupt), interrupt.is_set]
    interrupt.clear()
    assert [*answers, asked(interrupt), interrupt.is_set] == [False, True, True, False, False]


def test_what_native_code_gets_is_exactly_zero_or_one_in_a_whole_register() -> None:
    interrupt = Interrupt()
    function = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(interrupt.function.value)
    assert function(interrupt.data) == 0
    interrupt.set()
    assert function(interrupt.data) == 1


def test_a_flag_set_by_one_thread_ends_what_another_computes() -> None:
    interrupt = Interrupt()
    threading.Timer(0.02, interrupt.set).start()
    while not asked(interrupt):
        pass
    assert interrupt.is_set


class Switch:
    is_set = False

    def set(self) -> None:
        self.is_set = True

    def clear(self) -> None:
        self.is_set = False


def test_a_request_that_is_given_up_ends_the_batch_that_it_is_in() -> None:
    switch = Switch()
    abandoned = Abandoned(switch)
    assert abandoned.begin({1, 2}, may_end=True)
    abandoned.add(3)
    assert not switch.is_set, "it is in another batch, or none"
    abandoned.add(2)
    assert switch.is_set


def test_a_batch_is_never_ended_for_a_request_of_the_one_before() -> None:
    switch = Switch()
    abandoned = Abandoned(switch)
    assert abandoned.begin({1}, may_end=True)
    abandoned.end()
    abandoned.add(1)
    assert not switch.is_set
    abandoned.discard(1)
    assert abandoned.begin({2}, may_end=True)
    assert not switch.is_set


def test_no_batch_begins_with_a_request_that_is_given_up_until_it_has_left() -> None:
    abandoned = Abandoned(Switch())
    abandoned.add(1)
    assert not abandoned.begin({1, 2}, may_end=True)
    assert abandoned.begin({2}, may_end=True)
    abandoned.end()
    abandoned.discard(1)
    assert abandoned.begin({1, 2}, may_end=True)


def test_a_batch_that_has_to_go_through_is_not_ended() -> None:
    switch = Switch()
    abandoned = Abandoned(switch)
    assert abandoned.begin({1, 2}, may_end=False)
    abandoned.add(1)
    assert not switch.is_set


moves = st.one_of(
    st.tuples(st.sampled_from(["add", "discard"]), st.integers(0, 3)),
    st.tuples(st.just("begin"), st.frozensets(st.integers(0, 3), min_size=1)),
    st.tuples(st.just("end"), st.none()),
)


@given(st.lists(moves))
def test_the_flag_is_set_only_while_a_batch_with_an_abandoned_request_is_computed(history: list[tuple[str, object]]) -> None:
    switch = Switch()
    abandoned, given_up, computed = Abandoned(switch), set[object](), frozenset[object]()
    for move, value in history:
        if move == "add":
            abandoned.add(value)  # type: ignore[arg-type]
            given_up.add(value)
        elif move == "discard" and not computed:  # the engine lets a request go between two steps
            abandoned.discard(value)  # type: ignore[arg-type]
            given_up.discard(value)
        elif move == "begin" and not computed:
            began = abandoned.begin(value, may_end=True)  # type: ignore[arg-type]
            assert began == (not given_up & value)  # type: ignore[operator]
            computed = value if began else computed  # type: ignore[assignment]
        elif move == "end" and computed:
            abandoned.end()
            computed = frozenset()
        assert switch.is_set == bool(given_up & computed)
