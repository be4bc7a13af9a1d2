"""The bootstrap over real environments and a real pip, with tiny packages from a folder instead of a network."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boot import machine, setup
from boot.choices import Machine, Options
from boot.console import Console, Failed
from boot.environment import Environment
from boot.llama import Llama
from boot.process import clean_environment
from boot.setup import Clone, set_up
from tiny_packages import CRASHES, LLAMA, WORKS, make_wheel, serve_wheel, serving, site, tiny_clone

pytestmark = pytest.mark.acceptance
INSTALLER = Path(__file__).parents[2] / "installer"
ENVIRONMENT = "Python environment (.venv)"
ALL = [ENVIRONMENT, "PyTorch", "llama.cpp", "Packages (local, tray, demo)"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment as `ensure` makes it; making one takes seconds, copying it little."""
    root = tmp_path_factory.mktemp("pristine")
    environment = Environment(root / ".venv", logs=root / "logs", base=os.environ, cwd=root)
    assert environment.ensure() == "made (there is none yet)"
    return environment.folder


def alone(index: Path, patch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that pip sees."""
    index.mkdir(exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("PIP_", "ONDOL_"))]:
        patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(index))
    patch.setenv("PIP_NO_CACHE_DIR", "1")
    return index


def steps_of(clone: Clone, patch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs the set-up on a machine without GPU and compiler; returns the titles of the steps that it printed."""
    patch.setattr(machine, "look", lambda: Machine(system="Plan9"))
    patch.setattr(machine, "page", lambda address: "")

    def do(extras: tuple[str, ...] = setup.RUN_EXTRAS, **options: str) -> list[str]:
        out = io.StringIO()
        set_up(clone, extras, dataclasses.replace(Options(), **options), Console(out))
        return [line[2:] for line in out.getvalue().splitlines() if line.startswith("> ")]

    return do


def make_it_load(clone: Clone) -> None:
    """Put llama.cpp's wheel where an earlier build would have left it."""
    kept = clone.state / "wheels" / "native"
    kept.mkdir(parents=True)
    made = next((clone.root / "index").glob("llama_cpp_python*"))
    shutil.copy(made, kept / made.name)


@pytest.fixture(scope="module")
def finished(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that is set up; this takes seconds, too."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(pristine, root / ".venv", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        clone = tiny_clone(root, alone(root / "index", patch))
        make_it_load(clone)
        assert steps_of(clone, patch)() == ALL
    shutil.copytree(root, root.with_name("kept"), symlinks=True)
    return root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return alone(tmp_path / "index", monkeypatch)


@pytest.fixture
def environment(pristine: Path, tmp_path: Path, offline: Path) -> Environment:
    folder = tmp_path / ".venv"
    shutil.copytree(pristine, folder, symlinks=True)
    return Environment(folder, logs=tmp_path / "logs", base=os.environ, cwd=tmp_path)


@pytest.fixture
def clone(environment: Environment, offline: Path, tmp_path: Path) -> Clone:
    """One that has an empty environment."""
    return tiny_clone(tmp_path, offline)


@pytest.fixture
def done(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """One that is set up; always at the same place, as one that was moved is set up again."""
    shutil.rmtree(finished)
    shutil.copytree(finished.with_name("kept"), finished, symlinks=True)
    alone(finished / "index", monkeypatch)
    return Clone(finished)


@pytest.fixture
def steps(done: Clone, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Of a further set-up."""
    return steps_of(done, monkeypatch)


def python(environment: Environment, code: str) -> str:
    done = subprocess.run(
        [str(environment.python), "-c", code], capture_output=True, text=True, env=clean_environment(os.environ), check=False
    )
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr.strip().splitlines()[-1]}"


def test_a_second_set_up_has_nothing_to_install(steps, done: Clone) -> None:
    assert steps() == [ENVIRONMENT]
    assert python(done.environment(), "import torch, llama_cpp, leaf; print('all here')") == "all here"


def test_after_the_tests_packages_a_run_has_nothing_to_install_but_not_the_other_way(steps) -> None:
    assert steps(setup.TEST_EXTRAS) == [ENVIRONMENT, "Packages (local, tray, demo, test)"]
    assert steps(setup.RUN_EXTRAS) == [ENVIRONMENT]


def test_a_changed_constraint_installs_the_packages_anew_and_nothing_else(steps, done: Clone) -> None:
    constraints = done.root / "installer" / "constraints.txt"
    constraints.write_text(constraints.read_text(encoding="utf-8").replace("leaf==1.0", "leaf==2.0"), encoding="utf-8")
    assert steps() == [ENVIRONMENT, "Packages (local, tray, demo)"]
    assert python(done.environment(), "import leaf; print(leaf.two)") == "2"


def test_a_changed_lint_rule_in_pyproject_installs_nothing(steps, done: Clone) -> None:
    with (done.root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.ruff]\nline-length = 99\n")
    assert steps() == [ENVIRONMENT]


def test_a_removed_environment_is_made_and_filled_again_from_the_kept_wheel(steps, done: Clone) -> None:
    shutil.rmtree(done.root / ".venv")
    # The only llama.cpp left is the kept one.
    next((done.root / "index").glob("llama_cpp_python*")).unlink()
    assert steps() == ALL
    assert python(done.environment(), "import llama_cpp; print('loads')") == "loads"


def test_an_interrupted_installation_is_mended_by_the_next_set_up(steps, done: Clone) -> None:
    environment = done.environment()
    (done.state / "stamps" / "unfinished").write_text(environment.token, encoding="ascii")
    (site(environment.folder) / "leaf" / "__init__.py").unlink()
    assert python(environment, "import leaf; leaf.__file__.lower()").startswith("failed")
    assert steps() == [ENVIRONMENT, "Packages (local, tray, demo)"]
    assert python(environment, "import leaf; print(leaf.__file__ is not None)") == "True"
    assert not (done.state / "stamps" / "unfinished").exists()


def test_without_a_wheel_and_without_a_compiler_the_failure_says_what_to_install(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = steps_of(clone, monkeypatch)
    with pytest.raises(Failed, match=r"llama\.cpp: .*no C\+\+ compiler.*--llama-index"):
        steps()
    make_it_load(clone)
    # What was done before the failure stays done.
    assert steps() == [ENVIRONMENT, "llama.cpp", "Packages (local, tray, demo)"]


def test_a_missing_package_fails_with_pips_own_words_in_the_log(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    make_it_load(clone)
    next((clone.root / "index").glob("twig-*")).unlink()
    with pytest.raises(Failed, match="Packages") as caught:
        steps_of(clone, monkeypatch)()
    assert caught.value.log is not None
    assert "twig" in caught.value.log.read_text(encoding="utf-8").split("ERROR:", 1)[1]


@pytest.fixture
def from_index(clone: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Sets up where an index offers one wheel of llama.cpp with this module in it; returns what was printed."""
    monkeypatch.setattr(machine, "look", lambda: Machine(system="Plan9"))
    root = tmp_path / "served"
    root.mkdir()

    def do(source: str) -> str:
        serve_wheel(root, "cpu", source)
        out = io.StringIO()
        set_up(clone, setup.RUN_EXTRAS, Options(llama_index=address), Console(out))
        return out.getvalue()

    with serving(root) as address:
        # The project's own step still sees the folder alone.
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", address)
        yield do


@pytest.mark.skipif(sys.platform == "darwin", reason="a wheel's platform tag there needs the version of macOS")
def test_a_prebuilt_wheel_of_the_index_is_installed_and_kept(clone: Clone, from_index: Callable[[str], str]) -> None:
    assert "prebuilt wheel (cpu)" in from_index(WORKS)
    assert list((clone.state / "wheels" / "cpu").glob("*.whl"))


@pytest.mark.skipif(sys.platform == "darwin", reason="a wheel's platform tag there needs the version of macOS")
def test_a_prebuilt_wheel_that_does_not_load_here_is_not_accepted(clone: Clone, from_index: Callable[[str], str]) -> None:
    make_it_load(clone)
    assert "kept from an earlier build (native)" in from_index("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")


@pytest.mark.skipif(sys.platform == "darwin", reason="a wheel's platform tag there needs the version of macOS")
def test_a_prebuilt_wheel_that_loads_and_does_not_compute_is_not_accepted(clone: Clone, from_index: Callable[[str], str]) -> None:
    make_it_load(clone)
    assert "kept from an earlier build (native)" in from_index(CRASHES)


def test_a_kept_wheel_that_does_not_compute_here_gives_way_to_a_plain_one(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    make_it_load(clone)
    whole = next((clone.state / "wheels" / "native").glob("*.whl"))
    plain = clone.state / "wheels" / "plain"
    plain.mkdir()
    shutil.move(whole, plain / whole.name)
    make_wheel(whole.parent, "llama-cpp-python", LLAMA, {"llama_cpp/__init__.py": CRASHES}, needs="leaf")
    steps = steps_of(clone, monkeypatch)
    with pytest.raises(Failed, match=r"no C\+\+ compiler"):
        steps()
    # A build that fails in the same way as the kept wheel.
    monkeypatch.setattr(machine, "look", lambda: Machine(system="Plan9", compiler="cc"))
    monkeypatch.setattr(Llama, "_gather", lambda self, flavour, *words, **options: next((self._wheels / flavour).glob("*.whl")))
    steps()
    assert python(clone.environment(), "import llama_cpp; print(llama_cpp.llama_decode(1, 2))") == "0"


def test_an_environment_without_its_python_is_made_again_as_another_one(environment: Environment) -> None:
    before = environment.token
    environment.python.unlink()
    assert environment.ensure() == "made (it has no Python)"
    assert environment.token not in ("", before)
    assert python(environment, "print(1)") == "1"


def test_an_environment_whose_pip_is_half_there_is_made_again(environment: Environment) -> None:
    shutil.rmtree(site(environment.folder) / "pip" / "_internal")
    assert environment.ensure() == "made (its Python or pip does not start)"
    assert environment.fault() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_an_environment_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(INSTALLER)!r})
from pathlib import Path
from boot.environment import Environment
from boot.llama import Llama
root = Path({str(tmp_path)!r})
Environment(root / ".venv", logs=root, base=os.environ, cwd=root).ensure()
"""
    making = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not list((tmp_path / ".venv").glob("lib/python*/site-packages/pip")):
        assert making.poll() is None
        time.sleep(0.005)
    os.killpg(making.pid, signal.SIGKILL)
    making.wait()
    environment = Environment(tmp_path / ".venv", logs=tmp_path, base=os.environ, cwd=tmp_path)
    assert environment.ensure() == "made (its making was interrupted)"
    assert environment.fault() == ""


def test_an_environment_of_the_users_own_that_works_is_used_as_it_is(environment: Environment) -> None:
    (environment.folder / ".ondol-bootstrap").unlink()
    marker = environment.folder / "mine"
    marker.touch()
    assert environment.ensure() == "already there"
    assert marker.exists()
    assert environment.token


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_pip_killed_in_the_middle_leaves_an_environment_that_repair_makes_whole(
    environment: Environment, offline: Path, tmp_path: Path
) -> None:
    files = {f"many/part{number}.py": f"value = {number}\n" * 20 for number in range(6000)}
    wheel = make_wheel(offline, "many", "1.0", {"many/__init__.py": "", **files})
    child = subprocess.Popen(
        [str(environment.python), "-m", "pip", "install", "--no-deps", "--no-compile", str(wheel)],
        env=environment.variables,
        stdout=subprocess.DEVNULL,
    )
    package = site(environment.folder) / "many"
    while len(list(package.glob("*"))) < 500:
        assert child.poll() is None
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(list(package.glob("*.py"))) < 6001
    environment.repair()
    environment.pip("install", "--no-deps", "--no-compile", wheel, log=tmp_path / "pip.log")
    assert len(list(package.glob("*.py"))) == 6001
    assert environment.repair() == []


def test_a_package_with_a_cut_file_is_taken_out_and_a_whole_one_is_left(environment: Environment, offline: Path, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        environment.pip("install", make_wheel(offline, name, "1.0", {f"{name}/__init__.py": "value = 12345\n"}), log=tmp_path / "pip.log")
    (site(environment.folder) / "bad" / "__init__.py").write_text("value = 1", encoding="utf-8")
    (site(environment.folder) / "~ad").mkdir()
    assert sorted(environment.repair()) == ["bad-1.0", "~ad"]
