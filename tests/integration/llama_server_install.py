"""A real llama-server for tests: the one that ONDOL_TEST_LLAMA_SERVER names, the one on PATH, else that of a wheel, installed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEEL = "xllamacpp==2026.10.11549"


def program(folder: Path) -> Path:
    """The program's path; `folder` is for a script in front of the wheel. Skips where none can be had."""
    named = os.environ.get("ONDOL_TEST_LLAMA_SERVER") or shutil.which("llama-server")
    if named:
        return Path(named)
    if sys.platform == "win32":
        pytest.skip("there is no llama-server on PATH, and a script is no program here")
    environment = ROOT / ".bootstrap" / "llama-server"
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        venv.create(environment, with_pip=True, clear=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", WHEEL], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"{WHEEL} can't be installed here: {done.stderr.decode(errors='replace')[-200:]}")
        (environment / "ready").touch()
    script = folder / "llama-server"
    source = Path(__file__).with_name("xllamacpp_program.py").read_text(encoding="utf-8")
    script.write_text(f"#!{python}\n{source}", encoding="utf-8")
    script.chmod(0o755)
    return script
