"""The set-up that `run` and `test` share: environment, PyTorch, llama.cpp, the packages of pyproject.toml."""

from __future__ import annotations

import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from boot import choices, machine
from boot.choices import Options
from boot.console import Console, Failed
from boot.environment import Environment
from boot.llama import PACKAGE, WORKS, Llama
from boot.stamps import Lock, Stamps, key_of

RUN_EXTRAS = ("local", "tray", "demo")
TEST_EXTRAS = (*RUN_EXTRAS, "test")


@dataclass(frozen=True)
class Clone:
    """The folders of one clone."""

    root: Path

    @property
    def state(self) -> Path:
        """All that the bootstrap keeps: stamps, wheels, logs."""
        return self.root / ".bootstrap"

    @property
    def logs(self) -> Path:
        """One log per step."""
        return self.state / "logs"

    @property
    def demo_home(self) -> Path:
        """The demo's data, apart from the user's own."""
        return self.root / ".ondol-demo"

    def environment(self) -> Environment:
        """The environment of this clone."""
        return Environment(self.root / ".venv", logs=self.logs, base=os.environ, cwd=self.root)


def requirements_of(pyproject: str) -> dict[str, object]:
    """The parts of pyproject.toml that an installation depends on; a changed lint rule installs nothing anew."""
    content = tomllib.loads(pyproject)
    return {"project": content.get("project"), "build": content.get("build-system"), "hatch": content.get("tool", {}).get("hatch")}


def set_up(clone: Clone, extras: tuple[str, ...], options: Options, console: Console) -> Environment:
    """Bring the environment to what `extras` asks for. Each step is skipped where its stamp says that nothing changed."""
    with Lock(clone.state / "lock", lambda: console.say("Another bootstrap of this clone is installing: waiting for it.")):
        return _set_up(clone, extras, options, console)


def _set_up(clone: Clone, extras: tuple[str, ...], options: Options, console: Console) -> Environment:
    stamps = Stamps(clone.state / "stamps")
    constraints = clone.root / "installer" / "constraints.txt"
    pinned = choices.pins(constraints.read_text(encoding="utf-8"))
    environment = clone.environment()

    with console.step("Python environment (.venv)") as step:
        step.note = environment.ensure()
        token = environment.token
        if stamps.done("unfinished", token):
            removed = environment.repair()
            damage = ", ".join(removed) + " taken out" if removed else "nothing is damaged"
            step.note += f"; the last installation did not end: {damage}"

    torch_key = key_of(token, sys.platform, pinned["torch"], options.torch, options.torch_index)
    llama_key = key_of(token, sys.platform, pinned[PACKAGE], options.llama, options.llama_index, WORKS)
    inputs = requirements_of((clone.root / "pyproject.toml").read_text(encoding="utf-8"))
    packages_key = key_of(token, inputs, constraints.read_text(encoding="utf-8"), str(clone.root), torch_key, llama_key)
    # The tests' packages contain the others: after `test`, `run` has nothing to install.
    wanted = [f"packages-{'-'.join(found)}" for found in (RUN_EXTRAS, TEST_EXTRAS) if set(extras) <= set(found)]
    if any(stamps.done(name, packages_key) for name in wanted) and not stamps.done("unfinished", token):
        return environment

    here = machine.look()
    stamps.mark("unfinished", token)
    if not stamps.done("torch", torch_key):
        with console.step("PyTorch") as step:
            step.note = _torch(environment, here, options, pinned["torch"], clone.logs / "torch.log", console)
        stamps.mark("torch", torch_key)
    if not stamps.done("llama", llama_key):
        with console.step("llama.cpp") as step:
            llama = Llama(
                environment,
                version=pinned[PACKAGE],
                constraints=constraints,
                wheels=clone.state / "wheels",
                log=clone.logs / "llama.log",
                status=console.status,
            )
            step.note = llama.ensure(here, options)
        stamps.mark("llama", llama_key)
    with console.step(f"Packages ({', '.join(extras)})") as step:
        log = clone.logs / "packages.log"
        environment.pip("install", "-c", constraints, "-e", f".[{','.join(extras)}]", log=log, on_line=console.status)
        step.note = "installed"
    stamps.mark(f"packages-{'-'.join(extras)}", packages_key)
    stamps.forget("unfinished")
    return environment


def _torch(environment: Environment, here: choices.Machine, options: Options, version: str, log: Path, console: Console) -> str:
    """The CPU build from torch's own index where that is wanted and answers, else what the default index has."""
    wanted = f"torch=={version}"
    # A build that was asked for by name replaces another build of the same version; else what is there will do.
    words = ["install", "--no-deps", *(["--force-reinstall"] if options.torch != "auto" else [])]
    if choices.wants_torch_cpu_index(here, options):
        listed = machine.page(f"{options.torch_index}/torch/")
        if version in listed:
            try:
                environment.pip(*words, "--index-url", options.torch_index, wanted, log=log, on_line=console.status)
            except Failed:
                console.say(f"    {options.torch_index} answered but could not be used; the default index is asked.")
            else:
                return f"{version}, the CPU build of torch's own index"
    environment.pip(*words, wanted, log=log, on_line=console.status)
    return f"{version}, from the default index"
