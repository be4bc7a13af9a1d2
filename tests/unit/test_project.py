"""What is true of the project as a whole: names, walls, pins, and what stays out of its files."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from boot.choices import pins
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = ("app", "models", "ingest", "tray")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "installer" / "constraints.txt").read_text(encoding="utf-8")
# The one file that may name two extra indexes: bootstrap has to know where torch and llama.cpp document theirs.
KNOWS_INDEXES = "installer/boot/choices.py"


def claimed_by_others() -> dict[str, list[str]]:
    owners = importlib.metadata.packages_distributions()
    return {name: foreign for name in OURS if (foreign := [owner for owner in owners.get(name, []) if owner != "ondol"])}


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the clone that git knows or would take in."""
    listed = subprocess.run(
        ["git", "-c", "core.quotepath=off", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode("utf-8", "replace")


def test_no_other_distribution_claims_our_import_names() -> None:
    assert claimed_by_others() == {}


def test_a_foreign_distribution_that_brings_one_of_our_names_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "intruder-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: intruder\nVersion: 1.0\n", encoding="utf-8")
    (folder / "RECORD").write_text("models/__init__.py,,\nintruder-1.0.dist-info/METADATA,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert claimed_by_others() == {"models": ["intruder"]}


def test_the_wheel_holds_our_four_packages_by_name_and_nothing_else() -> None:
    assert PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": list(OURS)}


def test_no_other_folder_of_the_clone_is_an_import_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(OURS)


@pytest.mark.parametrize("path", ["app/__init__.py", "app/core/__init__.py"])
def test_these_package_files_stay_empty_so_that_importing_the_core_costs_nothing(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8").strip() == ""


def test_the_walls_name_every_room_of_app() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in (ROOT / "app").iterdir() if path.suffix in ("", ".py")}
    rooms -= {"__init__", "__pycache__", "core"}
    core = next(one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["source_modules"] == ["app.core"])
    named = {name.removeprefix("app.") for name in core["forbidden_modules"] if name.startswith("app.")}
    assert {room for room in rooms if (ROOT / "app" / f"{room}.py").exists() or list((ROOT / "app" / room).glob("*.py"))} <= named


def test_a_server_is_wired_without_any_native_weight() -> None:
    heavy = ["torch", "chromadb", "llama_cpp", "sentence_transformers", "transformers", "numpy", "tokenizers", "onnxruntime"]
    asked = f"import sys, app.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_constraints_are_exact_versions_without_any_address() -> None:
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    pinned = {canonicalize_name(name): version for name, version in pins(CONSTRAINTS).items()}
    project = PYPROJECT["project"]
    wanted = [Requirement(text) for group in (project["dependencies"], *project["optional-dependencies"].values()) for text in group]
    wrong = [str(one) for one in wanted if one.name != "ondol" and not one.specifier.contains(pinned.get(canonicalize_name(one.name), "0"))]
    assert wrong == []


@pytest.mark.parametrize("name", ["llama-cpp-python", "chromadb"])
def test_what_must_not_drift_has_the_same_exact_version_in_both_places(name: str) -> None:
    assert f"{name}=={pins(CONSTRAINTS)[name]}" in PYPROJECT["project"]["optional-dependencies"]["local"]


def test_no_file_names_a_package_registry_except_the_one_that_has_to() -> None:
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + "hosted", "pytorch" + r"\.org/whl", "abetlen" + r"\.github\.io", "anaconda" + r"\.org"))
    )
    found = {name for name, text in texts() if hosts.search(text)}
    assert found <= {KNOWS_INDEXES}


def test_no_file_holds_a_path_of_the_machine_that_it_was_written_on() -> None:
    here = [re.escape(str(ROOT)) + r"\b", "/" + r"home/\w+/", "/" + r"Users/\w+/"]
    places = re.compile("|".join(here))
    assert {name: hit[0] for name, text in texts() if (hit := places.search(text))} == {}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = "python3 installer/bootstrap.py test"
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_code_knows_nothing_of_the_demo() -> None:
    demo = json.loads((ROOT / "installer" / "demo" / "demo.json").read_text(encoding="utf-8"))
    words = re.compile(
        "|".join(("Haneul", "하늘계측", "Dalbit", *(re.escape(table["table"]) for table in demo["tables"] if "_" in table["table"])))
    )
    code = [path for folder in (*OURS, "installer/boot") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in code if words.search(path.read_text(encoding="utf-8"))] == []
