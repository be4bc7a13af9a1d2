from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.core import atomic_file
from app.core.errors import DiskFull, OndolError

WRITE = """
import sys
from pathlib import Path
from app.core import atomic_file
for number in range(10**9):
    atomic_file.write(Path(sys.argv[1]), f"{number % 10}" * 5000)
    if number == 5:
        print("writing", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_file_has_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    atomic_file.write(tmp_path / "새 폴더" / "열쇠", "값\n")
    assert (tmp_path / "새 폴더" / "열쇠").read_text(encoding="utf-8") == "값\n"
    assert (tmp_path / "새 폴더" / "열쇠").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "새 폴더").iterdir())) == 1


@pytest.mark.parametrize("round_", range(3))
def test_a_writer_killed_at_any_moment_leaves_the_old_text_or_the_new(tmp_path: Path, round_: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "writing\n"
    time.sleep(0.013 * round_)
    process.kill()
    process.wait()
    text = (tmp_path / "a").read_text()
    assert len(text) == 5000
    assert len(set(text)) == 1


def test_a_folder_that_can_not_be_written_is_an_error_of_ours_and_the_old_text_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OndolError):
        atomic_file.write(tmp_path / "file" / "below", "x")
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a tiny disk: Linux's root only"
)
def test_a_full_disk_is_disk_full_and_the_old_text_stays(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        atomic_file.write(tmp_path / "a", "old")
        with pytest.raises(DiskFull):
            atomic_file.write(tmp_path / "a", "x" * 20_000)
        assert (tmp_path / "a").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
