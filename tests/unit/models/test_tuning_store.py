from __future__ import annotations

from pathlib import Path

from models.engine.tuning import store
from models.engine.tuning.layout import Layout, Trial
from models.engine.tuning.store import Kept, Store

KEPT = Kept(Layout(2, 256, False), (Trial(Layout(2), 0.01, 0.004, 0.002, 5),), ((1, 1.0), (2, 1.8)), True)


def named(model: Path, **values: object) -> str:
    about = {"library": "0.3.36", "cores": (2, 2), "gpus": (), "settings": (8, -1, 0), **values}
    return store.key(model, **about)  # type: ignore[arg-type]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    kept = Store(tmp_path / "tuning")
    assert kept.read("one") is None
    kept.write("one", KEPT)
    assert kept.read("one") == KEPT
    assert [path.name for path in (tmp_path / "tuning").iterdir()] == ["one.json"]


def test_a_file_that_is_half_or_strange_counts_as_none(tmp_path: Path) -> None:
    for text in ('{"layout": {"threads": 2', '{"layout": 7}', ""):
        (tmp_path / "one.json").write_text(text, encoding="utf-8")
        assert Store(tmp_path).read("one") is None


def test_a_file_of_before_is_used_and_counts_as_not_complete(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"layout": {"threads": 2}, "trials": [], "curve": [[1, 1.0]]}', encoding="utf-8")
    assert Store(tmp_path).read("one") == Kept(Layout(2), (), ((1, 1.0),), False, 0)


def test_another_model_library_machine_or_setting_has_another_name(tmp_path: Path) -> None:
    model, other = tmp_path / "모델.gguf", tmp_path / "other.gguf"
    model.write_bytes(b"GGUF one")
    other.write_bytes(b"GGUF two")
    names = [
        named(model),
        named(other),
        named(model, library="0.3.37"),
        named(model, cores=(2, 4)),
        named(model, gpus=("H100",)),
        named(model, settings=(8, -1, 2)),
    ]
    assert len(set(names)) == len(names)
    moved = model.rename(tmp_path / "moved.gguf")
    assert named(moved) == names[0]
