"""What is kept of measurements that got through, and of those that did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from models.engine.client import EngineSettings
from models.engine.fit import Fit, Machine
from models.engine.tuning.idle import IdleTuning
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.plan import HOUR
from models.engine.tuning.remembered import Remembered

CURVE = ((1, 1.0), (2, 1.5))
DEFAULT, PART, ALL = Tuned(Layout(4)), Tuned(Layout(2)), Tuned(Layout(2), (), CURVE, complete=True)
Load = Callable[[], Remembered]


class Years:
    """A calendar, in seconds."""

    now = 1_700_000_000.0


@pytest.fixture
def years() -> Years:
    return Years()


@pytest.fixture
def load(tmp_path: Path, years: Years) -> Load:
    """What a load of the model finds."""
    model = tmp_path / "모델.gguf"
    model.write_bytes(b"GGUF")
    settings = EngineSettings(tuning_folder=str(tmp_path / "tuning"), tune_after=0.01)
    fit, here = Fit(1024, 1024, threads=4, gpu_layers=0), Machine(4, 4, 1 << 30)
    return lambda: Remembered(model, settings, fit, here, library="1", now=lambda: years.now)


def idle(loaded: Remembered) -> IdleTuning | None:
    return loaded.when_idle(cast(Any, None), cast(Any, None), truncates=True)


def test_what_got_through_is_used_and_never_measured_again(load: Load) -> None:
    assert load().keep_try(ALL) is None
    later = load()
    assert (later.layout, later.curve, later.found, idle(later)) == (Layout(2), CURVE, True, None)


def test_what_did_not_get_through_is_used_as_far_as_it_goes_and_measured_again_ever_more_rarely(load: Load, years: Years) -> None:
    assert [load().keep_try(PART), load().keep_try(None), load().keep_try(DEFAULT)] == [HOUR, 2 * HOUR, 4 * HOUR]
    later = load()
    assert (later.layout, later.found) == (Layout(2), False), "what was clearly faster stays"
    years.now += 3 * HOUR
    put_off = idle(load())
    assert put_off is not None
    rest = put_off.rest()
    assert rest is not None
    assert HOUR - 5 < rest <= HOUR


def test_a_clock_that_was_set_back_makes_no_wait_longer(load: Load, years: Years) -> None:
    load().keep_try(None)
    years.now -= 100 * 365 * 24 * HOUR
    put_off = idle(load())
    assert put_off is not None
    assert (put_off.rest() or 0) <= HOUR


def test_what_got_through_at_last_forgets_the_tries(load: Load) -> None:
    load().keep_try(None)
    assert load().keep_try(ALL) is None
    assert load().found


def test_a_persons_own_short_measurement_takes_nothing_away(load: Load) -> None:
    load().keep(ALL)
    assert load().keep(DEFAULT).layout == Layout(2)
    assert (load().layout, load().curve, load().found) == (Layout(2), CURVE, True)


def test_a_persons_own_short_measurement_does_not_put_off_the_next_one(load: Load, years: Years) -> None:
    load().keep(DEFAULT)
    assert load().keep_try(None) == HOUR
    years.now += HOUR
    load().keep(DEFAULT)
    assert load().keep_try(None) == 2 * HOUR


def test_a_full_measurement_that_found_the_default_best_goes_before_an_older_one(load: Load) -> None:
    load().keep(ALL)
    assert load().keep(msgspec.structs.replace(DEFAULT, complete=True)).layout == Layout(4)
