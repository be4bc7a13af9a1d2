from __future__ import annotations

import pytest

from app.api.llama_shapes import by_id, changes, model_list
from app.api.parts import ManagedModel
from app.core.errors import NotFound

HERE = ManagedModel("tiny", state="unloaded", size_bytes=95_000_000, context=2048, parameters=134_000_000)
COMING = ManagedModel("o/n:Q4_K_M", state="downloading", run=1, stage="downloading", file="n.gguf", done=40, total=100)
FAILED = ManagedModel("o/n:Q4_K_M", state="failed", run=1, error=NotFound("o/n has no Q4_K_M.", hint="It has: Q8_0."))


def told(before: list[ManagedModel], after: list[ManagedModel]) -> list[dict[str, object]]:
    return list(changes(by_id(before), by_id(after)))


def entry(model: ManagedModel) -> dict[str, object]:
    [only] = model_list([model], 0)["data"]
    return only


def test_a_model_shows_its_state_and_measures_and_no_path() -> None:
    shown = entry(HERE)
    assert (shown["id"], shown["status"]) == ("tiny", {"value": "unloaded"})
    assert shown["meta"] == {"size": 95_000_000, "n_params": 134_000_000, "n_ctx_train": 2048}
    assert "display_name" not in shown
    assert "path" not in shown
    assert entry(ManagedModel("tiny", name="Tiny"))["display_name"] == "Tiny"


def test_a_load_that_failed_is_unloaded_and_failed() -> None:
    assert entry(ManagedModel("tiny", state="failed"))["status"] == {"value": "unloaded", "failed": True}


def test_a_download_shows_how_far_it_is_to_programs_and_to_people() -> None:
    shown = entry(COMING)
    assert shown["status"] == {"value": "downloading", "progress": {"n.gguf": {"done": 40, "total": 100}}}
    assert str(shown["display_name"]).startswith("40 % of ")


def test_a_failed_download_says_why_where_people_look() -> None:
    shown = entry(FAILED)
    assert shown["display_name"] == "o/n has no Q4_K_M. It has: Q8_0."
    assert shown["status"]["value"] == "failed"  # type: ignore[index]
    assert shown["status"]["error"]["code"] == "not_found"  # type: ignore[index]


def test_a_finished_download_is_the_model_that_it_became() -> None:
    assert model_list([HERE, ManagedModel("o/n", state="finished", run=1, becomes="tiny")], 0)["data"] == [entry(HERE)]


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        ([HERE], [HERE], []),
        ([HERE], [ManagedModel("tiny", state="loading")], [{"model": "tiny", "event": "status_change", "data": {"status": "loading"}}]),
        (
            [HERE],
            [ManagedModel("tiny", state="failed")],
            [{"model": "tiny", "event": "status_change", "data": {"status": "unloaded", "failed": True}}],
        ),
        ([HERE], [], [{"model": "tiny", "event": "model_remove"}]),
        ([], [HERE], [{"model": "tiny", "event": "status_change", "data": {"status": "unloaded"}}]),
    ],
)
def test_what_changes_of_a_model_is_told(before: list[ManagedModel], after: list[ManagedModel], events: list[object]) -> None:
    assert told(before, after) == events


def test_a_download_is_told_from_its_start_to_its_model() -> None:
    begun = ManagedModel(COMING.id, state="downloading", run=1, stage="finding", file="o/n")
    assert told([], [begun]) == [{"model": COMING.id, "event": "status_change", "data": {"status": "downloading"}}]
    assert told([begun], [begun]) == []
    finished = ManagedModel(COMING.id, state="finished", run=1, becomes="tiny")
    [progress] = told([], [COMING])
    assert progress == {"model": COMING.id, "event": "download_progress", "data": {"progress": {"n.gguf": {"done": 40, "total": 100}}}}
    assert told([COMING], [HERE, finished]) == [
        {"model": COMING.id, "event": "download_finished", "data": {"id": "tiny"}},
        {"model": "tiny", "event": "status_change", "data": {"status": "unloaded"}},
    ]
    assert told([finished], [finished]) == told([finished], []) == []


def test_a_download_that_fails_twice_between_looks_is_told_for_each_start() -> None:
    [first] = told([COMING], [FAILED])
    assert (first["event"], first["data"]["error"]["code"]) == ("download_failed", "not_found")  # type: ignore[index]
    again = ManagedModel(FAILED.id, state="failed", run=2, error=FAILED.error)
    assert [event["event"] for event in told([FAILED], [again])] == ["download_failed"]
    assert told([again], [again]) == []


def test_a_stopped_download_says_how_it_goes_on() -> None:
    stopped = ManagedModel(COMING.id, state="stopped", run=1, stage="downloading", done=40, total=100)
    assert entry(stopped)["status"] == {"value": "stopped"}
    assert "load it to go on" in str(entry(stopped)["display_name"])
    assert told([COMING], [stopped]) == [{"model": COMING.id, "event": "download_failed", "data": {}}]


def test_a_cancelled_download_is_removed() -> None:
    assert told([COMING], []) == [{"model": COMING.id, "event": "model_remove"}]
