"""The starts of a server under the keeper: those that fail, are slow, say nothing, or must not be tried again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kept_server import QUICK, Keep

from tray.keeping.events import Limits
from tray.records import State


def test_a_server_that_crashes_at_every_start_fails_with_its_last_line_and_can_be_tried_again(keep: Keep) -> None:
    broken = {"exit": 1, "print": "Traceback\nImportError: libcudart.so.12"}
    kept = keep(*[broken] * 6, {})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert (problem.code, problem.values["detail"]) == ("crash_loop", "ImportError: libcudart.so.12")
    assert kept.starts() == 6
    kept.keeper.start()
    kept.until(State.READY)


def test_wrong_settings_are_not_tried_again(keep: Keep) -> None:
    kept = keep({"exit": 78, "error": {"message": "config.yaml:1: unknown key 'sever'", "code": "bad_setting"}})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert (problem.code, problem.values) == ("settings", {"detail": "config.yaml:1: unknown key 'sever'"})
    time.sleep(1)
    assert kept.starts() == 1


def test_a_server_that_answers_slowly_is_ready_all_the_same(keep: Keep) -> None:
    kept = keep({"slow": 0.4})
    kept.keeper.start()
    kept.until(State.READY)
    time.sleep(1.5)  # two probes
    assert State.SUSPECT not in kept.seen()


def test_one_that_lives_but_does_not_serve_stays_a_start_that_goes_on(keep: Keep) -> None:
    kept = keep({"unready": True}, limits=Limits(doubt=0.1, start=1))
    kept.keeper.start()
    time.sleep(2)
    assert kept.keeper.server.state is State.STARTING
    assert kept.starts() == 1


def test_an_answer_that_drips_for_ever_is_no_answer(keep: Keep) -> None:
    kept = keep({"drip": True, "ignore_term": True}, {})
    kept.keeper.start()
    kept.until(State.BACKOFF)
    kept.until(State.READY)
    assert kept.problems()[0] == "slow_start"


def test_a_migration_that_reports_is_waited_for_and_shown(keep: Keep) -> None:
    kept = keep({"progress": 12}, limits=Limits(start=1.2, doubt=0.2))
    kept.keeper.start()
    kept.until(State.READY)
    assert {"migrating 0", "migrating 11"} <= {server.progress for server in kept.told}
    assert kept.starts() == 1


def test_a_start_that_says_nothing_and_does_nothing_is_ended_and_tried_again(keep: Keep) -> None:
    kept = keep(
        {"never_listens": True}, {}, limits=Limits(**{name: getattr(QUICK, name) for name in ("doubt", "backoff", "kill")}, start=1)
    )
    kept.keeper.start()
    kept.until(State.READY)
    assert kept.problems() == ["slow_start", "slow_start"]
    assert kept.starts() == 2


def test_a_full_disk_is_waited_out(keep: Keep) -> None:
    kept = keep(*[{"exit": 1, "print": "OSError: [Errno 28] No space left on device"}] * 8, {})
    kept.keeper.start()
    kept.until(State.READY)
    assert set(kept.problems()) == {"disk_full"}


def test_a_program_that_has_moved_fails_with_its_name(keep: Keep, tmp_path: Path) -> None:
    kept = keep(line=[str(tmp_path / "moved" / "python"), "x"])
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert problem.code == "cannot_start"
    assert "moved" in problem.values["detail"]


def test_data_of_a_newer_ondol_are_said_to_be_so_and_not_tried_again(keep: Keep) -> None:
    kept = keep({"exit": 75, "error": {"message": "state.db was written by a newer Ondol.", "code": "newer_data"}})
    kept.keeper.start()
    problem = kept.until(State.FAILED).problem
    assert problem is not None
    assert problem.code == "newer_data"
    assert kept.starts() == 1


def test_proxies_of_the_environment_are_not_asked(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    kept = keep()
    kept.keeper.start()
    kept.until(State.READY)
