from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hostile_folder
import pytest

from app.core.paths import Home
from ingest.files import find
from ingest.readers.registry import Readers
from ingest.sync import ingest_files, sync
from models.hash_embedder import HashEmbedder, WordCounter

READERS = Readers()


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("hostile")
    (root / "home").mkdir()
    folder = root / "folder"
    folder.mkdir()
    hostile_folder.make(folder)
    program = Path(__file__).with_name("hostile_program.py")
    path = os.pathsep.join(place for place in sys.path if place)
    done = subprocess.run(
        [sys.executable, str(program), str(root / "home"), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(Home(root / "home").book) as book:
        texts = dict(book.execute("SELECT d.id, group_concat(c.text) FROM documents d JOIN chunks c ON c.document_pk = d.pk GROUP BY d.id"))
    return {**json.loads(done.stdout), "folder": folder.as_posix(), "texts": texts}


def name_of(ingested: dict[str, Any], item: str) -> str:
    return item.removeprefix(ingested["folder"] + "/")


def reasons(ingested: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item, reason in ingested["failed"]:
        found.setdefault(name_of(ingested, item), []).append(reason)
    return found


def readable(name: str) -> bool:
    return READERS.can_read(name.rpartition(".")[2])


@pytest.mark.parametrize("name", hostile_folder.FAILS)
def test_it_ends_with_one_clear_failure(ingested, name):
    if not readable(name):
        pytest.skip(f"no reader for {name}")
    if os.name == "nt" and name in ("bad?.txt", "gone.txt"):
        pytest.skip("no such names there")
    found = reasons(ingested)
    assert len(found.get(name, [])) == 1, {other: why for other, why in found.items() if other.startswith(name)}
    assert re.search(hostile_folder.FAILS[name], found[name][0]), found[name][0]
    assert not [id for id in ingested["texts"] if id.endswith("/" + name)]


def test_no_reason_is_in_a_librarys_words(ingested):
    told = [reason for found in reasons(ingested).values() for reason in found]
    assert len(told) > len(hostile_folder.FAILS)
    assert not [reason for reason in told if re.search(r"xmlCtxt|XML_PARSE|PDFium|<string>|File is not|Error\b|\.\.( |$)", reason)]


@pytest.mark.parametrize("name", hostile_folder.GIVES)
def test_it_gives_its_text(ingested, name):
    if os.name == "nt" and "\n" in name:
        pytest.skip("no such name there")
    assert ingested["texts"].get(f"{ingested['folder']}/{name}"), reasons(ingested).get(name)
    assert name not in reasons(ingested)


@pytest.mark.parametrize("name", hostile_folder.MAY_GIVE)
def test_it_gives_its_own_text_at_most(ingested, name):
    if not readable(name):
        pytest.skip(f"no reader for {name}")
    text = ingested["texts"].get(f"{ingested['folder']}/{name}")
    failed = reasons(ingested).get(name, [])
    assert (text is None) == (len(failed) == 1), failed
    assert hostile_folder.SECRET not in (text or "")
    assert len(text or "") < 10_000


def test_nothing_else_fails_and_the_run_goes_through(ingested):
    known = {*hostile_folder.FAILS, *hostile_folder.MAY_GIVE, *(f"bad.jsonl#line {number}" for number in range(1, 101))}
    others = {name: why for name, why in reasons(ingested).items() if name not in known}
    assert all(name.startswith("d" * 200) and "can't be looked into" in why[0] for name, why in others.items()), others
    assert len(others) == (os.name != "nt")
    assert not ingested["error"]


def test_pipes_sockets_and_devices_are_passed_over(ingested):
    found = {name_of(ingested, id) for id in ingested["texts"]} | set(reasons(ingested))
    assert not found & set(hostile_folder.PASSED_OVER)


@pytest.mark.skipif(os.name == "nt", reason="the peak of a child's memory is told by Unix alone")
def test_neither_process_takes_more_memory_than_it_may(ingested):
    own, children = ingested["megabytes"]
    assert own < 400
    assert children < 400


@pytest.mark.slow
def test_a_folder_of_a_hundred_thousand_files_is_listed_in_seconds_and_read_to_its_end(tmp_path):
    folder = tmp_path / "many"
    for at in range(100):
        (folder / f"{at}").mkdir(parents=True)
        for number in range(1000):
            (folder / f"{at}" / f"{number}.txt").write_text(f"note {at} {number}")
    began = time.monotonic()
    walked = find(folder, READERS)
    listed = time.monotonic() - began
    assert len(walked.files) == 100_000
    home = Home(tmp_path / "home")
    home.root.mkdir()
    report = ingest_files(home, [folder], "many", HashEmbedder(), WordCounter())
    assert (report.added, report.failed) == (100_000, ())
    (again,) = sync(home, "many", HashEmbedder(), WordCounter())
    assert again.unchanged == 100_000
    print(json.dumps({"listed": round(listed, 2), "first": report.seconds, "again": again.seconds}))
