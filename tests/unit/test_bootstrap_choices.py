"""Which builds a machine gets, and how the terminal is told."""

from __future__ import annotations

import ast
import io
import os
import runpy
import socket
from pathlib import Path

import pytest
from boot import choices
from boot.choices import Machine, Options
from boot.console import Console, Failed, seconds
from boot.demo import variables, wanted_port
from boot.ondol import objects, progress, summary
from boot.server import free_port
from boot.stamps import Stamps, key_of

INSTALLER = Path(__file__).parents[2] / "installer"
BOOTSTRAP = runpy.run_path(str(INSTALLER / "bootstrap.py"))
PLAIN = Machine(system="Linux", compiler="c++", cores=2)


def test_an_old_python_is_refused_with_the_version_and_what_to_install() -> None:
    told = BOOTSTRAP["refusal"]((3, 10, 4))
    assert "3.11" in told
    assert "3.10" in told
    assert "python3.11-venv" in told


def test_python_3_11_and_newer_are_accepted() -> None:
    assert BOOTSTRAP["refusal"]((3, 11, 0)) == ""
    assert BOOTSTRAP["refusal"]((4, 0)) == ""


def test_the_first_file_is_grammar_that_an_old_python_can_read_up_to_its_refusal() -> None:
    ast.parse((INSTALLER / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("machine", "torch", "asked"),
    [
        (PLAIN, "auto", True),
        (Machine(system="Linux", gpu="cuda"), "auto", False),
        (Machine(system="Darwin", gpu="metal"), "auto", False),
        (Machine(system="Windows"), "auto", False),
        (Machine(system="Linux", gpu="cuda"), "cpu", True),
        (PLAIN, "default", False),
    ],
)
def test_torchs_cpu_index_is_asked_where_the_default_build_would_carry_cuda_for_nothing(machine: Machine, torch: str, asked: bool) -> None:
    assert choices.wants_torch_cpu_index(machine, Options(torch=torch)) is asked


def test_a_cuda_machine_gets_the_newest_wheel_that_its_driver_runs() -> None:
    assert choices.wheel_flavours(Machine(system="Linux", gpu="cuda", cuda=(12, 3)), Options()) == ("cu123", "cu122", "cu121")
    assert choices.wheel_flavours(Machine(system="Linux", gpu="cuda", cuda=(13, 0)), Options())[0] == "cu125"


def test_a_driver_that_does_not_say_its_cuda_gets_the_oldest_wheel() -> None:
    assert choices.wheel_flavours(Machine(system="Linux", gpu="cuda"), Options()) == ("cu121",)


def test_a_mac_with_its_gpu_gets_metal_and_a_plain_machine_the_cpu_wheel() -> None:
    assert choices.wheel_flavours(Machine(system="Darwin", gpu="metal"), Options()) == ("metal",)
    assert choices.wheel_flavours(PLAIN, Options()) == ("cpu",)


def test_asking_for_a_build_looks_at_no_index() -> None:
    assert choices.wheel_flavours(PLAIN, Options(llama="build")) == ()


def test_a_cuda_build_needs_the_cuda_compiler_and_a_plain_build_comes_last() -> None:
    assert choices.build_flavours(Machine(system="Linux", gpu="cuda", nvcc=True)) == ("cuda", "native", "plain")
    assert choices.build_flavours(Machine(system="Linux", gpu="cuda")) == ("native", "plain")
    assert choices.build_flavours(Machine(system="Linux", nvcc=True)) == ("native", "plain")
    assert choices.build_arguments("plain") == "-DGGML_NATIVE=off"


def test_a_build_on_linux_includes_our_header_beside_the_users_own_flags() -> None:
    here, headers = Machine(system="Linux"), Path("a folder")
    flag = "-include ondol_x86.h"
    assert choices.build_variables(here, {}, headers) == {"CFLAGS": flag, "CXXFLAGS": flag, "CPATH": "a folder"}
    mine = {"CXXFLAGS": "-O1", "CPATH": "mine"}
    with_mine = {"CFLAGS": flag, "CXXFLAGS": f"-O1 {flag}", "CPATH": f"a folder{os.pathsep}mine"}
    assert choices.build_variables(here, mine, headers) == with_mine
    assert choices.build_variables(Machine(system="Darwin"), {}, headers) == {}


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    environment = {"ONDOL_LLAMA": "wheel", "ONDOL_TORCH": "default", "ONDOL_TORCH_INDEX": "http://mirror/torch/"}
    options = Options.read({"llama": "build", "torch": None}, environment)
    assert (options.llama, options.torch, options.torch_index) == ("build", "default", "http://mirror/torch")
    assert options.llama_index == choices.LLAMA_INDEX


def test_an_unknown_choice_in_the_environment_names_the_possible_ones() -> None:
    with pytest.raises(Failed, match="auto, wheel, build"):
        Options.read({}, {"ONDOL_LLAMA": "prebuilt"})


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl", True),
        ("llama_cpp_python-0.3.36-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("llama_cpp_python-0.3.36%2Bcu124-py3-none-linux_x86_64.whl", True),
        ("llama_cpp_python-0.3.36-py3-none-linux_aarch64.whl", False),
        ("llama_cpp_python-0.3.36-py3-none-win_amd64.whl", False),
        ("llama_cpp_python-0.3.3-py3-none-linux_x86_64.whl", False),
        ("llama_cpp_python-0.3.36.tar.gz", False),
    ],
)
def test_an_index_page_offers_a_wheel_only_for_this_version_and_platform(link: str, found: bool) -> None:
    assert choices.offers(f'<a href="{link}">{link}</a>', "llama-cpp-python", "0.3.36", "linux_x86_64") is found


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows", "FreeBSD"])
def test_without_a_compiler_every_system_is_told_what_to_install(system: str) -> None:
    told = choices.compiler_advice(system)
    assert "ompiler" in told
    assert "--llama-index" in told


def test_the_same_inputs_give_the_same_key_and_others_another() -> None:
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    assert key_of("a", "b") != key_of("ab")


def test_a_stamp_holds_for_its_own_key_alone_and_until_it_is_forgotten(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path / "stamps")
    assert not stamps.done("torch", "1")
    stamps.mark("torch", "1")
    assert stamps.done("torch", "1")
    assert not stamps.done("torch", "2")
    stamps.forget("torch")
    assert not stamps.done("torch", "1")


def test_a_damaged_stamp_counts_as_not_done(tmp_path: Path) -> None:
    (tmp_path / "torch").write_bytes(b"\xff\x00")
    assert not Stamps(tmp_path).done("torch", "1")


def test_a_busy_port_gives_the_next_free_one() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        found = free_port(taken)
        assert found != taken
        assert taken < found < taken + 50 or found > 1023


def test_a_free_port_is_taken_as_wanted() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    assert free_port(wanted) == wanted


def test_when_every_tried_port_is_busy_any_free_one_will_do() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert free_port(busy.getsockname()[1], tries=1) != busy.getsockname()[1]


def test_the_demo_sees_its_own_home_and_none_of_the_users_settings() -> None:
    seen = variables({"PATH": "/bin", "ONDOL_HOME": "/precious", "ONDOL_CONFIG": "/precious/config.yaml"}, Path("/clone/.ondol-demo"))
    assert seen == {"PATH": "/bin", "ONDOL_HOME": str(Path("/clone/.ondol-demo"))}


def test_the_wanted_port_is_11500_or_what_ondol_port_says() -> None:
    assert wanted_port({}) == 11500
    assert wanted_port({"ONDOL_PORT": "12000"}) == 12000


@pytest.mark.parametrize("named", ["http", "0", "70000", "-1"])
def test_an_ondol_port_that_is_no_port_is_a_clear_failure(named: str) -> None:
    with pytest.raises(Failed, match="ONDOL_PORT"):
        wanted_port({"ONDOL_PORT": named})


def test_json_objects_are_found_among_other_output() -> None:
    assert objects('$ ondol ask\n{"a": 1}\nwarning: {odd}\n{"b": 2}\n{broken\n') == [{"a": 1}, {"b": 2}]
    assert objects("nothing here") == []


def test_the_reports_of_several_sources_are_summed() -> None:
    reports = [{"event": "report", "added": 2, "unchanged": 5}, {"event": "started", "added": 9}, {"event": "report", "added": 1}]
    assert summary(reports) == "3 added, 5 unchanged"
    assert summary([]) == "nothing to do"


def test_a_json_line_is_shown_as_words_and_any_other_line_as_it_is() -> None:
    assert progress('{"event": "progress", "stage": "download", "done": 5, "total": 9}') == "progress download 5 9"
    assert progress("Collecting numpy") == "Collecting numpy"


def test_durations_read_as_people_say_them() -> None:
    assert [seconds(value) for value in (0.44, 12.3, 275.2)] == ["0.4 s", "12 s", "4 min 35 s"]


def test_a_failed_step_is_named_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "torch.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)) + "\nERROR: no space left 없음\n", encoding="utf-8")
    out = io.StringIO()
    console = Console(out)

    def do() -> None:
        with console.step("PyTorch"):
            raise Failed("pip ended with status 1.", log=log)

    with pytest.raises(Failed) as caught:
        do()
    console.failed(caught.value)
    assert "| ERROR: no space left 없음" in out.getvalue()
    assert "line 10\n" not in out.getvalue()
    assert "PyTorch: pip ended with status 1." in out.getvalue()
    assert str(log) in out.getvalue()


def test_a_finished_step_says_what_it_did_and_how_long_it_took() -> None:
    times = iter([0.0, 10.0, 22.0])
    out = io.StringIO()
    with Console(out, clock=lambda: next(times)).step("PyTorch") as step:
        step.note = "2.13.0"
    assert out.getvalue() == "> PyTorch\n    2.13.0 (12 s)\n"
