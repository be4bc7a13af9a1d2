"""What the bootstrap's steps stand on: programs that fail, its lock, an index that is silent, its command line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from boot import machine
from boot.console import Failed
from boot.process import clean_environment, run
from boot.stamps import Lock

INSTALLER = Path(__file__).parents[2] / "installer"


def test_an_index_that_never_answers_counts_as_one_that_is_not_there() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert machine.page(f"http://127.0.0.1:{silent.getsockname()[1]}/", patience=0.3) == ""


def test_a_program_that_fails_is_named_with_its_status_and_its_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "로그" / "step.log"
    with pytest.raises(Failed, match="status 3"):
        run([sys.executable, "-c", "print('안녕'); raise SystemExit(3)"], log=log, environment=clean_environment(os.environ), cwd=tmp_path)
    assert "안녕" in log.read_text(encoding="utf-8")


def test_a_program_that_is_not_there_is_a_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="can't be started"):
        run([tmp_path / "nothing"], log=tmp_path / "log", environment={}, cwd=tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_the_lock_of_a_killed_bootstrap_is_free_again(tmp_path: Path) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(INSTALLER)!r})
from pathlib import Path
from boot.stamps import Lock
with Lock(Path({str(tmp_path / "lock")!r}), None):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waited = []
    threading.Timer(0.5, holder.kill).start()
    with Lock(tmp_path / "lock", lambda: waited.append(True)):
        holder.wait()
    assert waited == [True]


def test_the_help_names_both_commands_and_an_unknown_option_of_run_is_refused() -> None:
    bootstrap = str(INSTALLER / "bootstrap.py")
    shown = subprocess.run([sys.executable, bootstrap, "--help"], capture_output=True, text=True, check=True).stdout
    assert "run" in shown
    assert "test" in shown
    refused = subprocess.run([sys.executable, bootstrap, "run", "--onse"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--onse" in refused.stderr
