from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_that_the_table_of_llama_servers_tests_names_exists() -> None:
    table = (ROOT / "models" / "engine" / "llama_server_tests.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", table))
    files = list((ROOT / "tests").rglob("test_*.py"))
    there = {file.stem for file in files}
    for file in files:
        there |= set(re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8")))
    assert len(named) > 40
    assert sorted(named - there) == []
