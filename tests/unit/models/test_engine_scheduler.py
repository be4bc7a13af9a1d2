from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.engine.scheduler import FIRST_CHUNK, SLACK, SMALLEST_CHUNK, Limits, Plan, Row, chunk, schedule

LIMITS = Limits(slots=4, cells=4096, batch=512, chunk=64)
CHAT, TASK, BULK = 0, 1, 2


def generating(id: int, *, rank: int = CHAT, cells: int = 100) -> Row:
    return Row(id, rank, id, cells, 1)


def prompt(id: int, *, rank: int = CHAT, tokens: int = 1000, cells: int = 0) -> Row:
    return Row(id, rank, id, cells, tokens)


def test_every_row_that_generates_gets_its_token_before_any_prompt() -> None:
    plan = schedule([prompt(1), generating(2), generating(3)], [], LIMITS)
    assert plan == Plan((), (), ((2, 1), (3, 1), (1, 64)))


def test_a_prompt_alone_may_fill_the_whole_batch() -> None:
    assert schedule([prompt(1)], [], LIMITS).work == ((1, 512),)


def test_prompts_share_what_is_left_of_a_step_in_their_order() -> None:
    plan = schedule([prompt(1, tokens=500), prompt(2, tokens=500), prompt(3, rank=BULK)], [], LIMITS)
    assert plan.work == ((1, 500), (2, 12))


def test_a_short_question_does_not_wait_until_a_long_prompt_is_read() -> None:
    long, short, middle = prompt(1, tokens=3000), prompt(2, tokens=10), prompt(3, tokens=300)
    assert schedule([long, short], [], LIMITS).work == ((1, 502), (2, 10))
    assert schedule([long, middle, short], [], LIMITS).work == ((1, 256), (2, 10), (3, 246))
    assert schedule([generating(0), long, short], [], LIMITS).work == ((0, 1), (1, 54), (2, 10))


def test_the_oldest_prompt_gets_half_of_a_step_however_many_short_ones_come() -> None:
    short = [prompt(id, tokens=200) for id in range(2, 5)]
    assert schedule([prompt(1, tokens=3000), *short], [], LIMITS).work == ((1, 256), (2, 200), (3, 56))


def test_a_prompt_of_lower_rank_gets_only_what_the_ranks_above_leave() -> None:
    plan = schedule([prompt(1, tokens=400), prompt(2, rank=TASK, tokens=5), prompt(3, rank=TASK, tokens=500)], [], LIMITS)
    assert plan.work == ((1, 400), (2, 5), (3, 107))


def test_a_chat_is_let_in_before_a_task_and_a_task_before_bulk_work_then_the_older_first() -> None:
    waiting = [prompt(1, rank=BULK, tokens=5), prompt(2, rank=TASK, tokens=5), prompt(3, tokens=5), prompt(4, tokens=5)]
    assert schedule([], waiting, LIMITS).admit == (3, 4, 2, 1)


def test_nobody_overtakes_a_long_prompt_that_waits_for_room() -> None:
    plan = schedule([generating(1, cells=3000)], [prompt(2, tokens=2000), prompt(3, tokens=5)], LIMITS)
    assert plan.admit == ()


def test_a_request_is_let_in_beside_others_only_with_some_cells_to_spare() -> None:
    free = LIMITS.cells - 101
    assert schedule([generating(1)], [prompt(2, tokens=free - SLACK)], LIMITS).admit == (2,)
    assert schedule([generating(1)], [prompt(2, tokens=free - SLACK + 1)], LIMITS).admit == ()


def test_the_last_in_the_order_makes_room_when_the_cache_is_full_and_nobody_comes_in() -> None:
    full = [generating(1, cells=2000), generating(2, rank=BULK, cells=2095), generating(3, cells=0)]
    plan = schedule(full, [prompt(4, tokens=5)], LIMITS)
    assert plan.evict == (2,)
    assert plan.admit == ()
    assert plan.work == ((1, 1), (3, 1))


def test_rows_of_different_groups_never_share_a_step_and_take_turns() -> None:
    rows = [row._replace(group=group) for row, group in ((generating(1), "a"), (prompt(2), "b"), (generating(3), "a"))]
    steps = [schedule(rows, [], LIMITS._replace(turn=turn)).work for turn in range(4)]
    assert steps == [((1, 1), (3, 1)), ((2, 512),)] * 2


def test_the_only_row_is_never_sent_out() -> None:
    assert schedule([generating(1, cells=9999)], [], LIMITS).evict == ()


def test_a_chat_takes_the_slot_of_the_youngest_bulk_row_when_all_are_taken() -> None:
    running = [generating(1), generating(2, rank=BULK), generating(3, rank=BULK), generating(4, rank=TASK)]
    plan = schedule(running, [prompt(9, tokens=20)], LIMITS)
    assert plan.evict == (3,)
    assert plan.admit == (9,)


def test_a_request_never_sends_out_one_of_its_own_rank() -> None:
    plan = schedule([generating(id) for id in (1, 2, 3, 4)], [prompt(9, tokens=20)], LIMITS)
    assert plan.evict == plan.admit == ()


def test_nobody_is_sent_out_when_it_would_not_be_enough() -> None:
    plan = schedule([generating(1, cells=3500), generating(2, rank=BULK, cells=100)], [prompt(9, tokens=1000)], LIMITS)
    assert plan.evict == plan.admit == ()


rows = st.builds(lambda rank, cells, pending: (rank, cells, pending), st.integers(0, 2), st.integers(0, 900), st.integers(1, 900))


@given(st.lists(rows, max_size=4), st.lists(rows, max_size=6), st.integers(1000, 4096))
def test_a_plan_never_uses_more_than_there_is_and_always_gets_on(
    running: list[tuple[int, int, int]], waiting: list[tuple[int, int, int]], cells: int
) -> None:
    active = {id: Row(id, rank, id, held, pending) for id, (rank, held, pending) in enumerate(running)}
    queue = {id: Row(id, rank, id, 0, pending) for id, (rank, _, pending) in enumerate(waiting, start=100)}
    limits = LIMITS._replace(cells=cells)
    plan = schedule(list(active.values()), list(queue.values()), limits)
    after = [row for id, row in active.items() if id not in plan.evict] + [queue[id] for id in plan.admit]
    assert len(after) <= limits.slots
    assert len(after) <= 1 or sum(row.cells + row.pending for row in after) <= cells
    assert sum(count for _, count in plan.work) <= limits.batch
    assert {id for id, _ in plan.work} <= {row.id for row in after}
    assert all(1 <= count <= {row.id: row.pending for row in after}[id] for id, count in plan.work)
    assert bool(plan.work) == bool(active or queue)


def test_the_chunk_is_a_power_of_two_or_three_halves_of_one_that_fits_the_time_within_its_bounds() -> None:
    assert chunk(0.001, 0.1, 512) == 64
    assert [chunk(0.001, tokens / 1000 + 1e-6, 512) for tokens in (2, 3, 5, 6, 11, 12, 23, 24, 48)] == [2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert chunk(0.0001, 0.1, 512) == 512
    assert chunk(1.0, 0.1, 512) == SMALLEST_CHUNK
    assert chunk(1.0, 0.1, 512, smallest=1) == 1
    assert chunk(0.0, 0.1, 512) == FIRST_CHUNK
    assert chunk(0.0, 0.1, 32) == 32
