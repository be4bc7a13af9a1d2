from __future__ import annotations

import random

from models.engine.trials import FEWEST, Trials


def test_without_doubt_all_of_a_step_is_computed() -> None:
    trials = Trials()
    assert trials.narrow([(1, 1), (2, 64)]) == [(1, 1), (2, 64)]
    trials.passed()
    assert trials.narrow([(1, 1)]) == [(1, 1)]


def test_a_failed_batch_is_split_and_only_the_row_that_fails_alone_is_given_up() -> None:
    for bad in range(7):
        trials, tried, given_up = Trials(), 0, None
        rows = [(id, 1) for id in range(7)]
        while given_up is None:
            work = trials.narrow(rows)
            tried += 1
            if bad in dict(work):
                given_up = trials.failed(work)
            else:
                trials.passed()
        assert given_up == bad
        assert tried <= 7
        rest = [row for row in rows if row[0] != bad]
        computed: set[int] = set()
        while computed != dict(rest).keys():
            computed |= dict(trials.narrow(rest)).keys()
            trials.passed()


def test_a_long_part_of_one_prompt_is_tried_in_few_tokens_before_it_is_given_up() -> None:
    trials = Trials()
    assert trials.failed(trials.narrow([(1, 512)])) is None
    assert trials.narrow([(1, 512)]) == [(1, FEWEST)]
    trials.passed()
    assert trials.narrow([(1, 496)]) == [(1, 496)]
    assert trials.failed([(1, 496)]) is None
    assert trials.failed(trials.narrow([(1, 496)])) == 1


def test_who_leaves_while_in_doubt_holds_up_nobody() -> None:
    trials = Trials()
    trials.failed([(1, 1), (2, 1)])
    assert trials.narrow([(2, 1), (3, 1)]) == [(2, 1)]
    trials.passed()
    assert trials.narrow([(3, 1)]) == [(3, 1)]


def test_whoever_fails_everybody_else_gets_on() -> None:
    chance = random.Random(5)
    for _ in range(50):
        bad = set(chance.sample(range(12), chance.randrange(4)))
        rows, trials = {id: chance.choice([1, 1, 40]) for id in range(12)}, Trials()
        for _ in range(200):
            work = trials.narrow(sorted(rows.items()))
            if not work:
                break
            if bad & dict(work).keys():
                given_up = trials.failed(work)
                if given_up is not None:
                    assert given_up in bad
                    del rows[given_up]
            else:
                trials.passed()
        assert rows.keys() == set(range(12)) - bad
