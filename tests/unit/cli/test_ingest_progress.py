"""The bar of an ingest run: what it shows of a source that is slow, and of one that is compared before it is read."""

from __future__ import annotations

import io

import pytest
import rich.console

from app.cli.output import Output
from app.cli.progress import Shown
from ingest.report import Committed, Compared, Event, Started


class Screen:
    """A terminal of its own, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self._console = rich.console.Console(file=self._file, force_terminal=True, color_system=None, width=120)
        self.seconds = 0.0

    def after(self, *events: tuple[float, Event]) -> str:
        """The bar's last look, when each event came so many seconds after the one before."""
        with Shown(Output(json=False), self._console, lambda: self.seconds) as shown:
            for later, event in events:
                self.seconds += later
                shown.event(event)
        return self._file.getvalue().rsplit("\r", 2)[1]


def committed(items: int) -> Committed:
    return Committed("shop", "tickets", items, items, items, items)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_source_whose_batches_take_a_minute_each_has_a_rate_and_a_time_left(screen):
    shown = screen.after((0, Started("shop", "tickets", 4500)), (60, committed(256)), (64, committed(512)), (64, committed(768)))
    assert "768/4500" in shown
    assert "4.0/s" in shown
    assert "0:15:33" in shown


def test_rows_that_were_there_before_are_no_part_of_the_rate(screen):
    shown = screen.after((0, Started("shop", "tickets", 5000)), (0, committed(4000)), (10, committed(4100)), (10, committed(4200)))
    assert "10/s" in shown
    assert "0:01:20" in shown


def test_rows_are_counted_while_they_are_compared_and_the_bar_begins_anew_with_what_is_to_be_read(screen):
    compared = ((0, Compared("shop", "tickets", 10_000)), (1, Compared("shop", "tickets", 20_000)))
    shown = screen.after(*compared)
    assert "20000/?" in shown
    assert "10,000/s" in shown
    shown = screen.after(*compared, (1, Started("shop", "tickets", 500)), (5, committed(100)), (5, committed(200)))
    assert "200/500" in shown
    assert "20/s" in shown
    assert shown.count("tickets") == 1
