"""Which builds of PyTorch and llama.cpp a machine gets. Pure decisions: facts in, choice out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boot.console import Failed

# The two extra indexes that the projects themselves document for builds that the default index does not carry.
# They are asked only when they answer within a few seconds, and a flag or an environment variable names others.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LLAMA_INDEX = "https://abetlen.github.io/llama-cpp-python/whl"

# The CUDA builds that the llama.cpp index documents, newest first, as (major, minor).
LLAMA_CUDA_BUILDS = ((12, 5), (12, 4), (12, 3), (12, 2), (12, 1))


@dataclass(frozen=True)
class Machine:
    """What the choice depends on. `gpu` is "cuda", "metal" or ""; `cuda` the driver's newest CUDA, (0, 0) where unknown."""

    system: str
    gpu: str = ""
    cuda: tuple[int, int] = (0, 0)
    compiler: str = ""
    nvcc: bool = False
    cores: int = 1


@dataclass(frozen=True)
class Options:
    """The user's say: flags win over environment variables, "auto" leaves it to the machine."""

    torch: str = "auto"
    torch_index: str = TORCH_CPU_INDEX
    llama: str = "auto"
    llama_index: str = LLAMA_INDEX

    @classmethod
    def read(cls, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Options:
        """From `--torch` and friends, else `ONDOL_TORCH`, `ONDOL_TORCH_INDEX`, `ONDOL_LLAMA`, `ONDOL_LLAMA_INDEX`."""

        def chosen(name: str, otherwise: str) -> str:
            return flags.get(name) or environment.get(f"ONDOL_{name.upper()}") or otherwise

        options = cls(
            torch=chosen("torch", "auto"),
            torch_index=chosen("torch_index", TORCH_CPU_INDEX).rstrip("/"),
            llama=chosen("llama", "auto"),
            llama_index=chosen("llama_index", LLAMA_INDEX).rstrip("/"),
        )
        for name, value, known in (("torch", options.torch, TORCH_MODES), ("llama", options.llama, LLAMA_MODES)):
            if value not in known:
                raise Failed(f"--{name} (or ONDOL_{name.upper()}) is {value!r}; it can be {', '.join(known)}.")
        return options


TORCH_MODES = ("auto", "cpu", "default")
LLAMA_MODES = ("auto", "wheel", "build")


def wants_torch_cpu_index(machine: Machine, options: Options) -> bool:
    """Whether torch's CPU index is to be asked: Linux without a GPU, for there alone the default build carries CUDA."""
    if options.torch == "auto":
        return machine.system == "Linux" and machine.gpu != "cuda"
    return options.torch == "cpu" and machine.system == "Linux"


def wheel_flavours(machine: Machine, options: Options) -> tuple[str, ...]:
    """The folders of the llama.cpp index to look into, best first; none where a build was asked for."""
    if options.llama == "build":
        return ()
    if machine.gpu == "metal":
        return ("metal",)
    if machine.gpu == "cuda":
        # A driver runs every CUDA up to its own; one that didn't say its version gets the oldest build.
        fitting = [build for build in LLAMA_CUDA_BUILDS if build <= machine.cuda] or [LLAMA_CUDA_BUILDS[-1]]
        return tuple(f"cu{major}{minor}" for major, minor in fitting)
    return ("cpu",)


def build_flavours(machine: Machine) -> tuple[str, ...]:
    """What a build on this machine gives, and what is built where that doesn't work. A GPU build needs the GPU's own compiler as well."""
    if machine.gpu == "cuda" and machine.nvcc:
        return "cuda", "native", "plain"
    return ("metal", "native") if machine.gpu == "metal" else ("native", "plain")


def build_arguments(flavour: str) -> str:
    """CMAKE_ARGS of a build. "plain" has no instructions that only some processors know."""
    return {"cuda": "-DGGML_CUDA=on", "metal": "-DGGML_METAL=on", "plain": "-DGGML_NATIVE=off"}.get(flavour, "")


def build_variables(machine: Machine, environment: Mapping[str, str], headers: Path) -> dict[str, str]:
    """Variables of a build on Linux: sources include `ondol_x86.h` first, which says why."""
    if machine.system != "Linux":
        return {}
    flags = {name: f"{environment.get(name, '')} -include ondol_x86.h".strip() for name in ("CFLAGS", "CXXFLAGS")}
    # Apart from the flags, which can't have a space in them.
    return {**flags, "CPATH": os.pathsep.join(filter(None, (str(headers), environment.get("CPATH", ""))))}


def compiler_advice(system: str) -> str:
    """What to install where llama.cpp has to be built and nothing here can build it."""
    how = {
        "Linux": "Debian/Ubuntu: sudo apt install build-essential; Fedora: sudo dnf install gcc-c++; Alpine: sudo apk add build-base",
        "Darwin": "run: xcode-select --install",
        "Windows": "run: winget install Microsoft.VisualStudio.2022.BuildTools and choose 'Desktop development with C++'",
    }.get(system, "install a C and C++ compiler")
    return (
        f"llama.cpp has no prebuilt wheel here and there is no C++ compiler to build it. Install one ({how}), then start this again. "
        "An index of your own with wheels can be named with --llama-index or ONDOL_LLAMA_INDEX."
    )


def offers(page: str, name: str, version: str, machine_tag: str) -> bool:
    """Whether an index page lists a wheel of this version for this platform (`linux_x86_64`, `win_amd64`, `macosx_..._arm64`)."""
    system, _, architecture = machine_tag.partition("_")
    stem = re.escape(name.replace("-", "_"))
    wheel = re.compile(rf"{stem}-{re.escape(version)}(?:\+\w+)?-[\w.]+-[\w.]+-([\w.]+)\.whl", re.IGNORECASE)
    # Indexes write "+" in links as %2B.
    return any(system in tag and tag.endswith(architecture) for tag in wheel.findall(page.replace("%2B", "+")))


def pins(constraints: str) -> dict[str, str]:
    """`name==version` lines of a constraints file, names in lower case with dashes."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints, re.MULTILINE)
    return {re.sub(r"[._]+", "-", name).lower(): version for name, version in found}
