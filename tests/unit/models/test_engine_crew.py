from __future__ import annotations

import itertools

from models.engine.crew import FIRST_PAUSE, LONGEST_PAUSE, WINDOW, Crew


class _Machine:
    """Cores of which others take some; time passes as the crew computes."""

    def __init__(self, cores: int) -> None:
        self.now, self.free = 0.0, float(cores)
        self.crew = Crew(cores, clock=lambda: self.now)

    def compute(self, seconds: float = WINDOW) -> int:
        """Computes in batches of 10 ms; how many threads it was done with at the end."""
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.crew.worked(0.01, 0.01 * min(self.free, self.crew.threads))
        return self.crew.threads


def test_a_quiet_machine_is_used_with_all_threads() -> None:
    machine = _Machine(8)
    assert {machine.compute() for _ in range(50)} == {8}


def test_a_thread_that_gets_no_core_is_sent_home() -> None:
    machine = _Machine(2)
    machine.free = 1.1
    machine.compute(2 * WINDOW)
    assert machine.crew.threads == 1


def test_as_many_threads_are_left_as_there_are_free_cores() -> None:
    machine = _Machine(8)
    machine.free = 5.0
    machine.compute(3 * WINDOW)
    assert machine.crew.threads == 5


def test_a_little_work_of_others_changes_nothing() -> None:
    machine = _Machine(4)
    machine.free = 3.8
    assert {machine.compute() for _ in range(20)} == {4}


def test_one_thread_is_always_left() -> None:
    machine = _Machine(2)
    machine.free = 0.2
    assert min(machine.compute() for _ in range(30)) == 1


def test_all_threads_come_back_when_the_others_have_gone() -> None:
    machine = _Machine(2)
    machine.free = 1.0
    machine.compute(0.5)
    machine.free = 2.0
    machine.compute(FIRST_PAUSE + 2 * WINDOW)
    assert machine.crew.threads == 2


def test_a_machine_that_stays_busy_is_tried_ever_more_rarely() -> None:
    machine = _Machine(2)
    machine.free = 1.0
    tries, alone = [], True
    while machine.now < 200:
        machine.compute(0.1)
        if (machine.crew.threads == 2) and alone:
            tries.append(machine.now)
        alone = machine.crew.threads == 1
    pauses = [later - sooner for sooner, later in itertools.pairwise(tries)]
    assert pauses[0] < 4 * FIRST_PAUSE
    assert all(pause <= LONGEST_PAUSE + 1 for pause in pauses)
    assert pauses[-1] > LONGEST_PAUSE - 1


def test_a_try_that_goes_well_makes_the_next_wait_short_again() -> None:
    machine = _Machine(2)
    machine.free = 1.0
    machine.compute(60)
    machine.free = 2.0
    machine.compute(LONGEST_PAUSE + 1)
    assert machine.crew.threads == 2
    machine.free = 1.0
    machine.compute(2 * WINDOW)
    machine.free = 2.0
    machine.compute(FIRST_PAUSE + 2 * WINDOW)
    assert machine.crew.threads == 2
