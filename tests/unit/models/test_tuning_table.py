"""What `ondol models tune` prints."""

from __future__ import annotations

from app.cli.tuning import table
from models.engine.tuning.layout import Layout, Trial, Tuned

TWO, ONE = Layout(2), Layout(1)
CURVE = ((1, 1.0), (2, 1.2), (4, 1.5))


def test_the_layout_that_is_used_is_starred_with_its_speeds_and_rounds() -> None:
    tuned = Tuned(TWO, (Trial(TWO, 0.01, 0.004, 0.002, 5), Trial(ONE, 0.02, 0.008, 0.004, 1)), CURVE, complete=True)
    assert table(tuned, TWO) == [
        "  threads  part  flash  behind  rounds  one stream  8 streams  prompt   tokens per second",
        "*       2   512     on       0       5       100.0      250.0   500.0",
        "        1   512     on       0       1        50.0      125.0   250.0",
        "A step of 2 rows: x1.20, 4 rows: x1.50",
        "Guessing ahead pays where at least 27 of 100 guesses are right.",
        "* Its next load takes 2 threads, parts of 512 tokens, flash attention on.",
    ]


def test_nothing_is_starred_on_too_few_rounds_however_much_faster_another_looks_and_the_table_says_why() -> None:
    trials = (Trial(TWO, 0.096, 0.05, 0.02, 1, decided=False), Trial(ONE, 1 / 150, 0.004, 0.002, 1, decided=False))
    lines = table(Tuned(TWO, trials), TWO)
    assert [line[0] for line in lines[1:3]] == [" ", " "]
    assert [line.endswith("   too few rounds") for line in lines[1:3]] == [True, True]
    assert lines[3:] == [
        "What a step of several rows costs was not measured: there were too few rounds.",
        "Its next load takes 2 threads, parts of 512 tokens, flash attention on.",
        "Not all could be compared. Give it more time (`--seconds`), or try again when other programs have ended.",
    ]


def test_where_an_earlier_measurement_stays_that_layout_is_named_and_not_this_ones() -> None:
    lines = table(Tuned(TWO, (Trial(TWO, 0.01, 0.004, 0.002, 3),)), ONE)
    assert not lines[1].startswith("*")
    assert "takes 1 thread," in lines[-2]


def test_figures_behind_a_long_text_stand_beside_their_like_and_say_so() -> None:
    off = Layout(2, flash=False)
    trials = (Trial(TWO, 0.01, 0.004, 0.002, 5), Trial(TWO, 0.03, 0.01, 0.005, 3, 1024), Trial(off, 0.02, 0.006, 0.004, 3, 1024))
    lines = table(Tuned(off, trials, CURVE, complete=True), off)
    assert [(line[0], line.split()[-5:-3]) for line in lines[1:4]] == [(" ", ["0", "5"]), (" ", ["1024", "3"]), ("*", ["1024", "3"])]


def test_a_model_that_cannot_take_anything_back_is_said_to_guess_nothing() -> None:
    lines = table(Tuned(TWO, (Trial(TWO, 0.01, 0.004, 0.002, 5),), complete=True), TWO)
    assert lines[2] == "This model can't take back what it has computed, so nothing is guessed ahead."
