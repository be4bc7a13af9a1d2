"""Logs as processes really write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.workers.parent import Worker

PRELUDE = """
import logging, sys, threading
from pathlib import Path
from app.core import logs
from app.core.logs import LogOptions
folder = Path(sys.argv[1])
log = logging.getLogger("app.test")
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PRELUDE + code, str(folder)], capture_output=True, text=True, check=False, encoding="utf-8"
    )


def lines(folder: Path, process: str = "server") -> list[str]:
    return (folder / f"{process}.log").read_text(encoding="utf-8").splitlines()


def test_a_record_is_one_line_with_time_level_process_request_id_and_logger(tmp_path: Path) -> None:
    folder = tmp_path / "로그"
    run(folder, "logs.setup(folder, 'server')\nwith logs.bind('req-7'):\n    log.info('첫째\\n둘째')\nlog.info('outside')")
    first, second = lines(folder)
    assert first.split(" ", 1)[1] == "INFO server req-7 app.test: 첫째\\n둘째"
    assert second.split(" ", 1)[1] == "INFO server - app.test: outside"


def test_a_trace_stays_on_the_line_of_its_record(tmp_path: Path) -> None:
    run(tmp_path, "logs.setup(folder, 'server')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')")
    (line,) = lines(tmp_path)
    assert "failed\\nTraceback" in line
    assert "ZeroDivisionError" in line


def test_secrets_are_hidden_in_messages_arguments_and_traces(tmp_path: Path) -> None:
    run(
        tmp_path,
        "logs.setup(folder, 'server')\nlogs.hide('p@ss word')\nlog.info('dsn %s', 'postgresql://a:S3CRET@db/x')\n"
        "log.info('plain p@ss word and encoded p%40ss%20word')\n"
        "try:\n    raise ValueError('password=S3CRET')\nexcept ValueError:\n    log.exception('failed')",
    )
    text = "\n".join(lines(tmp_path))
    assert "S3CRET" not in text
    assert "p@ss word" not in text
    assert "p%40ss" not in text
    assert text.count("***") >= 4


def test_the_secrets_of_the_settings_are_never_written(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("sources: {a: {type: x, config: {password: only-this-word}}}\n", encoding="utf-8")
    run(
        tmp_path,
        "from app.core.paths import Home\nfrom app.core.settings import load_settings\nload_settings(Home(folder), environ={})\n"
        "logs.setup(folder, 'server')\nlog.info('it says only-this-word somewhere')",
    )
    assert lines(tmp_path)[0].endswith("it says *** somewhere")


def test_libraries_speak_from_warning_up_and_our_own_packages_from_the_level(tmp_path: Path) -> None:
    run(
        tmp_path,
        "logs.setup(folder, 'server', LogOptions(level='debug'))\nlog.debug('ours')\n"
        "logging.getLogger('urllib3').debug('theirs')\nlogging.getLogger('urllib3').warning('warned')",
    )
    assert [line.rsplit(": ", 1)[1] for line in lines(tmp_path)] == ["ours", "warned"]


def test_files_rotate_at_their_size_and_only_so_many_are_kept(tmp_path: Path) -> None:
    run(tmp_path, "logs.setup(folder, 'server', LogOptions(megabytes=0.01, files=2))\nfor _ in range(500):\n    log.info('x' * 100)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.log", "server.log.1", "server.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_a_log_is_for_its_owners_eyes(tmp_path: Path) -> None:
    run(tmp_path, "logs.setup(folder, 'server')\nlog.info('x')")
    assert (tmp_path / "server.log").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_can_not_be_written_sends_the_lines_to_standard_error_and_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    done = run(tmp_path / "logs", "logs.setup(folder, 'server')\nlog.info('one')\nlog.info('two')\nprint('alive')")
    assert done.stdout == "alive\n"
    assert done.stderr.count("can't be written") == 1
    assert "app.test: one" in done.stderr
    assert "app.test: two" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_sends_the_lines_to_standard_error_and_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "server.log").symlink_to("/dev/full")
    done = run(tmp_path, "logs.setup(folder, 'server')\nlog.info('one')\nprint('alive')")
    assert done.stdout == "alive\n"
    assert "No space left" in done.stderr
    assert "app.test: one" in done.stderr


def test_what_ends_a_process_or_a_thread_is_in_its_log(tmp_path: Path) -> None:
    run(
        tmp_path,
        "logs.setup(folder, 'server')\ndef act():\n    raise KeyError('in a thread')\n"
        "thread = threading.Thread(target=act)\nthread.start()\nthread.join()\nraise ValueError('at the end')",
    )
    thread, end = lines(tmp_path)
    assert "in a thread" in thread
    assert "CRITICAL" in end
    assert "at the end" in end


async def test_a_worker_logs_to_its_own_file_with_the_request_id_of_a_failed_request(tmp_path: Path) -> None:
    worker = Worker("engine-smol/lm", "worker_program", {}, logs=tmp_path)
    with pytest.raises(Exception, match="something foreign"):
        await worker.call("stumble", request_id="req-9")
    await worker.stop()
    (line,) = lines(tmp_path, "engine-smol_lm")
    assert "ERROR engine-smol/lm req-9 app.core.workers.child: a request failed\\nTraceback" in line
