"""llama.cpp: an installed one that works, a kept wheel, a prebuilt wheel, or a build, in this order."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from boot import choices, machine, process
from boot.choices import Machine, Options
from boot.console import Failed
from boot.environment import Environment
from boot.tiny_model import tiny_model

PACKAGE = "llama-cpp-python"
# In a child process: a wheel for another CPU or a missing CUDA library ends it when it is loaded, a build that the compiler spoilt when it
# computes.
WORKS = """
import importlib.metadata, sys
import llama_cpp as native
if importlib.metadata.version("llama-cpp-python") != sys.argv[1]:
    sys.exit("another version is installed")
native.llama_backend_init()
model = native.llama_model_load_from_file(sys.argv[2].encode(), native.llama_model_default_params())
context = native.llama_init_from_model(model, native.llama_context_default_params())
sys.exit(native.llama_decode(context, native.llama_batch_get_one((native.llama_token * 4)(1, 2, 3, 4), 4)))
"""
HEADERS = Path(__file__).parent / "include"


class Llama:
    """Brings one exact version of llama-cpp-python into an environment. Wheels are kept in `wheels`, a folder per flavour."""

    def __init__(
        self, environment: Environment, *, version: str, constraints: Path, wheels: Path, log: Path, status: Callable[[str], None]
    ) -> None:
        self._environment, self._version, self._constraints = environment, version, constraints
        self._wheels, self._log, self._status = wheels, log, status

    def ensure(self, here: Machine, options: Options) -> str:
        """Returns how it came; `Failed` says what to install where there is no way."""
        if options.llama == "auto" and self._works():
            return f"{self._version} is already installed"
        for flavour in choices.wheel_flavours(here, options):
            if self._from_index(flavour, options.llama_index):
                return f"prebuilt wheel ({flavour})"
        if options.llama == "wheel":
            raise Failed(f"{options.llama_index} has no wheel of {self._version} that works here; --llama build makes one.", log=self._log)
        return self._built(here)

    def _works(self) -> bool:
        with tempfile.TemporaryDirectory() as scratch:
            model = Path(scratch, "tiny.gguf")
            model.write_bytes(tiny_model())
            command: list[str | Path] = [self._environment.python, "-c", WORKS, self._version, model]
            try:
                process.run(command, log=self._log, environment=self._environment.variables, cwd=self._environment.folder)
            except Failed:
                return False
        return True

    def _kept(self, flavour: str) -> Path | None:
        name = PACKAGE.replace("-", "_")
        return next(
            (path for path in sorted((self._wheels / flavour).glob(f"{name}-{self._version}*.whl")) if zipfile.is_zipfile(path)), None
        )

    def _install(self, wheel: Path) -> None:
        # Another flavour has the same version: only force puts it in the other's place. What it needs comes by the constraints.
        self._environment.pip("install", "--no-deps", "--force-reinstall", wheel, log=self._log)
        self._environment.pip("install", "-c", self._constraints, wheel, log=self._log)

    def _from_index(self, flavour: str, index: str) -> bool:
        """Whether a prebuilt wheel was found, installed and works."""
        wheel = self._kept(flavour)
        if wheel is None:
            listed = machine.page(f"{index}/{flavour}/{PACKAGE}/")
            if not choices.offers(listed, PACKAGE, self._version, machine.platform_tag()):
                return False
            try:
                wheel = self._gather(
                    flavour, "download", "--only-binary", ":all:", "--index-url", f"{index}/{flavour}", f"{PACKAGE}=={self._version}"
                )
            except Failed:
                return False
        try:
            self._install(wheel)
        except Failed:
            return False
        return self._works()

    def _built(self, here: Machine) -> str:
        for flavour in choices.build_flavours(here):
            for wheel, how in self._wheels_of(flavour, here):
                self._install(wheel)
                if self._works():
                    return f"{self._version}, {how} ({flavour})"
        raise Failed("llama.cpp was built but does not work here.", log=self._log)

    def _wheels_of(self, flavour: str, here: Machine) -> Iterator[tuple[Path, str]]:
        """A kept wheel, then a built one, and how each came."""
        if kept := self._kept(flavour):
            yield kept, "kept from an earlier build"
        if not here.compiler:
            raise Failed(choices.compiler_advice(here.system))
        arguments = " ".join(filter(None, (choices.build_arguments(flavour), os.environ.get("CMAKE_ARGS", ""))))
        self._status(f"building llama.cpp with {here.compiler} on {here.cores} cores: some minutes")
        variables = choices.build_variables(here, os.environ, HEADERS)
        # pip's cache knows nothing of these: a wheel that it kept may be of another flavour.
        fresh = ("--no-cache-dir",) if arguments or variables else ()
        built = self._gather(
            flavour, "wheel", "--no-binary", PACKAGE, *fresh, f"{PACKAGE}=={self._version}",
            attempts=1, CMAKE_ARGS=arguments, CMAKE_BUILD_PARALLEL_LEVEL=str(here.cores), **variables,
        )  # fmt: skip
        yield built, f"built with {here.compiler}"

    def _gather(self, flavour: str, verb: str, *words: str, attempts: int = 2, **variables: str) -> Path:
        """Let pip put a wheel into a side folder, then move it in one step: a kept wheel is always whole."""
        side = self._wheels / f"{flavour}.partial"
        shutil.rmtree(side, ignore_errors=True)
        side.mkdir(parents=True)
        target = "-w" if verb == "wheel" else "-d"
        self._environment.pip(verb, "--no-deps", target, side, *words, log=self._log, on_line=self._status, attempts=attempts, **variables)
        made = next(iter(sorted(side.glob("*.whl"))), None)
        if made is None:
            raise Failed("pip gave no wheel.", log=self._log)
        kept = self._wheels / flavour / made.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        made.replace(kept)
        shutil.rmtree(side, ignore_errors=True)
        return kept
