from __future__ import annotations

import itertools

from models.engine.outlet import EVERY
from models.engine.pace import EXACT_ROWS, STEPS_LOST, Pace
from models.engine.scheduler import FIRST_CHUNK, SMALLEST_CHUNK


def test_before_anything_was_seen_a_prompt_begins_with_a_small_chunk() -> None:
    assert Pace().prompts(512) == (FIRST_CHUNK, FIRST_CHUNK)


def test_alone_a_prompt_gets_as_many_tokens_as_a_second_takes() -> None:
    pace = Pace()
    pace.passed(0.064, 32, 0)
    assert pace.prompts(2048)[0] == 256
    assert pace.prompts(128)[0] == 128


def test_a_prompt_alone_is_not_cut_smaller_and_smaller_where_small_batches_are_slow() -> None:
    pace = Pace()
    for _ in range(10):
        chunk = pace.prompts(512)[0]
        pace.passed(1.0 + chunk * 0.01, chunk, 0)
    assert pace.prompts(512)[0] >= 64
    slow = Pace()
    slow.passed(32.0, 32, 0)
    assert slow.prompts(512)[0] == 4


def read(pace: Pace, row: float, token: float, steps: int, *, deeper: float = 0.0) -> list[float]:
    """The seconds of so many steps with a prompt beside one row; each token that was read makes every later one slower by `deeper`."""
    pace.passed(row, 0, 1)
    found, done = [], 0
    for _ in range(steps):
        chunk = pace.prompts(512)[1]
        found.append(row + (token + done * deeper) * chunk + done * deeper)
        done += chunk
        pace.passed(found[-1], chunk, 1)
    return found


def test_beside_a_row_that_generates_prompts_cost_no_more_than_a_step_and_a_half() -> None:
    pace = Pace()
    steps = read(pace, 0.040, 0.004, 20)
    assert max(steps) <= 0.040 * (1 + STEPS_LOST)
    assert pace.prompts(512)[1] == 8


def test_a_row_that_is_quicker_than_text_goes_out_counts_as_one_that_is_as_quick() -> None:
    steps = read(Pace(), 0.005, 0.002, 20)
    assert max(steps) <= EVERY * (1 + STEPS_LOST)
    assert steps[-1] >= EVERY * 2


def test_a_step_stays_as_short_however_long_the_prompt_beside_it_has_become() -> None:
    steps = read(Pace(), 0.005, 0.002, 2000, deeper=2e-6)
    assert max(steps) <= 1.1 * EVERY * (1 + STEPS_LOST)
    assert steps[-1] >= EVERY * 1.5


def test_where_a_token_of_a_prompt_costs_more_than_that_it_still_gets_on() -> None:
    pace = Pace()
    read(pace, 0.010, 0.05, 5)
    assert pace.prompts(512)[1] == 1
    assert pace.prompts(512, 1, 2)[1] == SMALLEST_CHUNK


def test_where_prompts_cost_nothing_beside_a_row_their_share_doubles_with_each_step() -> None:
    pace = Pace()
    pace.passed(0.020, 0, 1)
    found = []
    for _ in range(8):
        found.append(pace.prompts(512)[1])
        pace.passed(0.020, found[-1], 1)
    assert found == sorted(found)
    assert all(later <= 2 * max(before, SMALLEST_CHUNK) for before, later in itertools.pairwise(found))
    assert found[-1] >= 64


def test_the_first_prompt_beside_rows_that_generate_is_taken_to_cost_what_they_do() -> None:
    pace = Pace()
    pace.passed(0.040, 0, 1)
    assert pace.prompts(512)[1] == 3


def test_where_many_wait_for_their_first_token_beside_one_that_writes_they_get_the_larger_part() -> None:
    pace = Pace()
    for _ in range(10):
        pace.passed(0.010, 0, 1)
    few = pace.prompts(512, 1, 1)[1]
    many = pace.prompts(512, 1, 15)[1]
    assert many >= 8 * few


def test_rows_that_came_to_write_meanwhile_are_not_taken_for_the_cost_of_prompts() -> None:
    pace = Pace()
    pace.passed(0.010, 0, 1)
    for rows in range(1, 16):
        chunk = pace.prompts(512, rows, 16 - rows)[1]
        pace.passed(0.006 + 0.002 * (rows + chunk), chunk, rows)
    # A step of 15 rows takes 36 ms here: one and a half of it are 27 tokens.
    assert pace.prompts(512, 15, 1)[1] == 24


def test_short_prompts_are_read_at_once_and_long_ones_are_not() -> None:
    pace = Pace()
    for _ in range(10):
        pace.passed(0.004 + 0.002 * 4, 0, 4)
        pace.passed(0.004 + 0.002 * 6, 2, 4)
    assert pace.prompts(512, 4, 2, 100)[1] == EXACT_ROWS - 4
    assert pace.prompts(512, 4, 2, 4000)[1] <= 8
