from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from app.chat_page.docker import choose, container, line
from app.chat_page.doing import FIRST, step
from app.chat_page.finding import FOLDERS, PROGRAM, PYTHONS, Installation, find, how_to_get, interpreter
from app.chat_page.reach import has_browser
from app.core.errors import BadRequest, NotFound


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real environment with a package that calls itself Open WebUI, version 0.12.4, without chromadb."""
    folder = tmp_path_factory.mktemp("한글 폴더") / "made"
    venv.create(folder, with_pip=False)
    python = folder / FOLDERS[0] / PYTHONS[0]
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, capture_output=True, check=True, text=True, encoding="utf-8").stdout.strip())
    (packages / "open_webui").mkdir()
    (packages / "open_webui" / "__init__.py").touch()
    info = packages / "open_webui-0.12.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: open-webui\nVersion: 0.12.4\n", encoding="utf-8")
    (folder / FOLDERS[0] / PROGRAM).write_bytes(b"#!" + os.fsencode(python) + b"\n")
    return folder


def found(tmp_path: Path, *, path: Path | None = None, own: Path | None = None, beside: Path | None = None, on_path: Path | None = None,
          docker: bool = False) -> Installation:  # fmt: skip
    nothing = tmp_path / "nothing"
    return find(
        path=path,
        own=own or nothing,
        in_docker=docker,
        executable=(beside or nothing) / "python",
        environ=os.environ,
        which=lambda name: str(on_path) if on_path and name == PROGRAM else None,
    )


def test_the_program_or_its_environment_may_be_named(environment: Path, tmp_path: Path) -> None:
    program = environment / FOLDERS[0] / PROGRAM
    for path in (program, environment, environment / FOLDERS[0]):
        assert found(tmp_path, path=path) == Installation("program", str(program), version="0.12.4", slim=True)


def test_what_is_named_but_not_there_is_not_looked_for_elsewhere(environment: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--path"):
        found(tmp_path, path=tmp_path / "typo", own=environment)


def test_our_own_folder_comes_before_our_interpreters_and_that_before_path(environment: Path, tmp_path: Path) -> None:
    other = tmp_path / PROGRAM
    other.write_text("#!/nowhere/python\n", encoding="utf-8")
    mine = str(environment / FOLDERS[0] / PROGRAM)
    assert found(tmp_path, own=environment, beside=tmp_path, on_path=other).program == mine
    assert found(tmp_path, beside=environment / FOLDERS[0], on_path=other).program == mine
    assert found(tmp_path, on_path=other).program == str(other)


def test_an_environment_inside_our_own_folder_is_found(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "venv").symlink_to(environment, target_is_directory=True)
    assert found(tmp_path, own=tmp_path / "own").version == "0.12.4"


def test_a_program_that_can_not_be_asked_is_taken_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / PROGRAM
    program.write_bytes(b"\x7fELF")
    assert found(tmp_path, path=program) == Installation("program", str(program))


def test_an_installation_that_was_not_finished_is_told(tmp_path: Path) -> None:
    program = tmp_path / PROGRAM
    program.write_text(f"#!{sys.executable}\n", encoding="utf-8")
    with pytest.raises(BadRequest, match="Install it again"):
        found(tmp_path, path=program)


def test_a_link_to_a_program_leads_to_its_interpreter(environment: Path, tmp_path: Path) -> None:
    link = tmp_path / PROGRAM
    link.symlink_to(environment / FOLDERS[0] / PROGRAM)
    assert interpreter(link) == (environment / FOLDERS[0]).resolve() / PYTHONS[0]


def test_none_at_all_says_how_to_get_one_and_how_large_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as told:
        found(tmp_path)
    assert all(word in str(told.value) for word in ("0.8 GB", "2.9 GB", "pip", "install open-webui", str(tmp_path / "nothing")))


def test_on_windows_the_commands_are_powershells() -> None:
    assert '& "' in how_to_get(Path("D:/나/ondol/open-webui"), windows=True)


def test_docker_wanted_but_missing_says_how_to_fetch_the_image(environment: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="docker pull"):
        found(tmp_path, own=environment, docker=True)


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        (["postgres:17", "ghcr.io/open-webui/open-webui:dev", "ghcr.io/open-webui/open-webui:main"], "ghcr.io/open-webui/open-webui:main"),
        (["registry.corp:5000/mirror/open-webui:0.12.4"], "registry.corp:5000/mirror/open-webui:0.12.4"),
        (["mirror/open-webui:main", "ghcr.io/open-webui/open-webui:v0.12.4"], "ghcr.io/open-webui/open-webui:v0.12.4"),
        (["ghcr.io/open-webui/open-webui:<none>"], None),
        (["my-open-webui-proxy:main", "open-webui-tools:main"], None),
        ([], None),
    ],
)
def test_of_the_images_the_official_one_is_chosen(images: list[str], chosen: str | None) -> None:
    assert choose(images) == chosen


def test_no_secret_stands_in_dockers_command_line(tmp_path: Path) -> None:
    words = line("docker", "i:main", name="n", port=8080, data=tmp_path, variables=["OPENAI_API_KEYS"], host_network=True)
    assert words[words.index("OPENAI_API_KEYS") - 1] == "--env"
    assert not any(word.startswith("OPENAI_API_KEYS=") for word in words)


@pytest.mark.parametrize("host_network", [True, False])
def test_a_container_is_reached_from_this_machine_alone_and_never_pulled(tmp_path: Path, host_network: bool) -> None:
    words = line("docker", "i:main", name="n", port=8085, data=tmp_path, variables=[], host_network=host_network)
    assert words[words.index("--pull") + 1] == "never"
    assert ("HOST=127.0.0.1" in words and "PORT=8085" in words) if host_network else "127.0.0.1:8085:8080" in words


def test_two_data_folders_have_two_containers() -> None:
    assert container(Path("/a")) == container(Path("/a")) != container(Path("/b"))


def test_what_it_is_doing_is_read_off_the_last_telling_line() -> None:
    assert step([]) == FIRST
    assert step(["INFO  [alembic.runtime.migration] Running upgrade", "noise"]) == "preparing its database"
    assert step(["Running upgrade alembic.runtime", "INFO: Started server process [1]", "noise"]) == "starting its server"


@pytest.mark.parametrize(
    ("platform", "environ", "shown"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"BROWSER": "firefox"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_browser_is_opened_only_where_it_has_a_screen(platform: str, environ: dict[str, str], shown: bool) -> None:
    assert has_browser(environ, platform) is shown
