from __future__ import annotations

import pytest

from app.cli.watching import adopted
from ingest.keeping.kept import Kept, Key
from ingest.keeping.schedule import Past, Schedule


def kept(kind: str, schedule: Schedule | None) -> Kept:
    return Kept(Key("notes", "a"), kind, "", schedule, Past(), alive=False)


@pytest.mark.parametrize(
    ("kind", "chosen", "words"),
    [
        ("files", None, "on change and every 5 minutes"),
        ("files", Schedule(every=900.0), "on change and every 15 minutes"),
        ("files", Schedule(cron="0 3 * * *"), "on change and at 0 3 * * * (cron)"),
        ("files", Schedule(on_change=True), "on change"),
        ("postgres", None, "every 5 minutes"),
        ("postgres", Schedule(every=900.0), "every 15 minutes"),
        ("bucket", None, "every 5 minutes"),
    ],
)
def test_who_watches_in_the_foreground_gets_events_of_folders_beside_every_schedule(kind: str, chosen: Schedule | None, words: str) -> None:
    schedule = adopted(kept(kind, chosen), 300.0).schedule
    assert schedule is not None
    assert schedule.words == words
