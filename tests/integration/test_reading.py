from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import misbehaving_readers
import psutil
import pytest

from ingest.documents import Document, Failed
from ingest.readers.contract import Limits
from ingest.reading.client import Reading, Told
from ingest.reading.wire import Outcome, Wanted

LIMITS = Limits(seconds=20.0, memory_bytes=400_000_000, documents=3000)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plug_in, made = tmp_path / "plug-in", tmp_path / "자료"
    plug_in.mkdir()
    made.mkdir()
    misbehaving_readers.install(plug_in, monkeypatch)
    return made


def reading(tmp_path: Path, **limits: float) -> Reading:
    import msgspec

    return Reading(tmp_path / "logs", msgspec.structs.replace(LIMITS, **limits))


def wanted(folder: Path, *names: str) -> Iterator[Wanted]:
    for name in names:
        path = folder / name
        if not path.exists():
            path.write_text(f"This is {name}.")
            os.utime(path, (1_700_000_000, 1_700_000_000))
        status = path.stat()
        yield Wanted(name, str(path), (status.st_size, status.st_mtime_ns))


def told(one: Reading, folder: Path, *names: str) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for which, item in one.read(wanted(folder, *names)):
        found.setdefault(which.id, []).append(item)
    assert list(found) == list(names)
    for items in found.values():
        assert [isinstance(item, Outcome) for item in items] == [False] * (len(items) - 1) + [True]
    return found


def reasons(items: list[Told]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Failed)]


def documents(items: list[Told]) -> list[str]:
    return [item.id for item in items if isinstance(item, Document)]


def test_files_are_read_in_order_by_one_process_that_ends_with_the_block(folder, tmp_path):
    with reading(tmp_path) as one:
        found = told(one, folder, *(f"{number}.txt" for number in range(100)))
        assert one.pid is not None
        process = psutil.Process(one.pid)
        told(one, folder, "again.txt")
        assert one.pid == process.pid
    assert not process.is_running()
    assert found["7.txt"][0].blocks[0].text == "This is 7.txt."
    assert found["7.txt"][1].settled


def test_without_a_file_no_process_is_started(folder, tmp_path):
    with reading(tmp_path) as one:
        assert told(one, folder) == {}
        assert one.pid is None


def test_content_that_is_known_is_not_read_again(folder, tmp_path):
    with reading(tmp_path) as one:
        (question,) = wanted(folder, "a.txt")
        *_, (_, first) = one.read([question])
        ((_, second),) = one.read([Wanted(question.id, question.path, question.stamp, known=first.sha256)])
    assert (first.same, second.same, second.sha256) == (False, True, first.sha256)


def test_a_file_that_crashes_its_reader_fails_and_those_after_it_are_read(folder, tmp_path):
    with reading(tmp_path) as one:
        found = told(one, folder, "a.txt", "x.crash", "b.txt", "c.txt")
    (reason,) = reasons(found["x.crash"])
    assert reason.startswith("x.crash could not be read: the process that read it ended by signal SIGSEGV.") or os.name == "nt"
    assert not found["x.crash"][-1].sha256
    assert [documents(found[name]) for name in ("a.txt", "b.txt", "c.txt")] == [["a.txt"], ["b.txt"], ["c.txt"]]


def test_a_crash_that_an_earlier_file_prepared_is_tried_again_in_a_new_process_and_nothing_comes_twice(folder, tmp_path):
    with reading(tmp_path) as one:
        found = told(one, folder, "a.marks", "b.once")
    assert documents(found["b.once"]) == [f"b.once#{number}" for number in range(1500)]
    assert reasons(found["b.once"]) == []


@pytest.mark.parametrize("kind", ["hang", "greedy"])
def test_a_file_that_never_ends_is_ended_after_its_seconds(folder, tmp_path, kind):
    with reading(tmp_path, seconds=1.0) as one:
        found = told(one, folder, f"x.{kind}", *(f"{number}.txt" for number in range(40)))
    (reason,) = reasons(found[f"x.{kind}"])
    assert "needs more than 1 s to be read" in reason
    assert "ingest.read_seconds" in reason
    assert documents(found["39.txt"]) == ["39.txt"]


def test_the_time_that_the_run_takes_for_itself_is_not_the_files(folder, tmp_path):
    (folder / "many.jsonl").write_text("".join(f'{{"text": "{"word " * 100}"}}\n' for _ in range(2000)))
    with reading(tmp_path, seconds=1.5) as one:
        items = []
        for _, item in one.read(wanted(folder, "many.jsonl")):
            if not items:
                time.sleep(2)
            items.append(item)
    assert len(documents(items)) == 2000


@pytest.mark.parametrize("kind", ["eat", "native"])
def test_a_file_that_eats_memory_is_ended_at_its_limit(folder, tmp_path, kind):
    if kind == "native" and os.name == "nt":
        pytest.skip("asks the C library of Unix")
    with reading(tmp_path) as one:
        found = told(one, folder, "a.txt", f"x.{kind}", "b.txt")
    (reason,) = reasons(found[f"x.{kind}"])
    assert "needs more than 400 MB of memory to be read" in reason
    assert documents(found["b.txt"]) == ["b.txt"]


def test_a_file_of_endless_documents_stops_at_their_number(folder, tmp_path):
    with reading(tmp_path) as one:
        found = told(one, folder, "x.endless", "b.txt")
    assert len(documents(found["x.endless"])) == 3000
    assert "holds more than 3000 documents" in reasons(found["x.endless"])[0]
    with reading(tmp_path, characters=100_000) as one:
        found = told(one, folder, "x.endless")
    assert len(documents(found["x.endless"])) == 100
    assert "holds more than 100000 characters" in reasons(found["x.endless"])[0]


def test_what_nobody_could_keep_fails_by_itself(folder, tmp_path):
    with reading(tmp_path) as one:
        items = told(one, folder, "x.odd")["x.odd"]
    (good,) = (item for item in items if isinstance(item, Document))
    assert (good.id, len(good.title), len(good.blocks[0].heading_path[0])) == ("x.odd#good", 500, 500)
    failed = {item.item[:12]: item.reason for item in items if isinstance(item, Failed)}
    assert set(failed) == {"x.odd#deep", "x.odd#surrog", "x.odd#big", "x.odd#object", "x.odd#xxxxxx", "odd ?"}
    assert "more than 50 deep" in failed["x.odd#deep"]


def test_a_reader_reaches_no_network(folder, tmp_path):
    with reading(tmp_path) as one:
        (reason,) = reasons(told(one, folder, "x.online")["x.online"])
    assert "EgressRefused" in reason or "refused a connection" in reason


def test_a_process_that_is_killed_from_outside_costs_nothing(folder, tmp_path):
    with reading(tmp_path) as one:
        seen: dict[str, list[Told]] = {}
        for which, item in one.read(wanted(folder, *(f"{number}.txt" for number in range(60)))):
            seen.setdefault(which.id, []).append(item)
            if which.id == "10.txt" and isinstance(item, Outcome):
                os.kill(one.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    assert [documents(items) for items in seen.values()] == [[f"{number}.txt"] for number in range(60)]
    assert not any(reasons(items) for items in seen.values())


def test_bytes_can_be_read_that_lie_on_no_disk(folder, tmp_path):
    with reading(tmp_path) as one:
        ((_, document), (_, outcome)) = one.read([Wanted("s3://b/a.txt", "", (5, 0), data="온돌".encode())])
        (_, failed), _ = one.read([Wanted("s3://b/b.txt", "", (5, 0), data=b" ")])
    assert document.blocks[0].text == "온돌"
    assert outcome.sha256
    assert failed.reason == "s3://b/b.txt is empty."


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("kind", ["hang", pytest.param("greedy", marks=pytest.mark.slow)])
def test_a_reading_process_does_not_outlive_a_run_that_was_killed(folder, tmp_path, kind):
    program = f"""
import sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from ingest.reading.client import Reading
from ingest.reading.wire import Wanted
from ingest.readers.contract import Limits
one = Reading(Path({str(tmp_path / "logs")!r}), Limits(seconds=1.5 if {kind == "greedy"} else 600.0))
import threading, time
def tell():
    while not one.pid: time.sleep(0.01)
    time.sleep(0.7)
    print(one.pid, flush=True)
threading.Thread(target=tell, daemon=True).start()
for _ in one.read([Wanted("x.{kind}", {str(folder / f"x.{kind}")!r}, (1, 1))]): pass
"""
    (folder / f"x.{kind}").write_text("x")
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(run.stdout.readline()))
    run.kill()
    run.wait()
    run.stdout.close()
    child.wait(timeout=60)
