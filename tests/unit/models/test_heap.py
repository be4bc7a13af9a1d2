"""In a process of its own: what is set there stays set."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from models import heap
if len(sys.argv) > 1 and not heap.keep():
    sys.exit("this C library can't")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        pieces = [np.ones(size, dtype=np.uint8) for size in (9_000_000, 7_000_000, 5_000_000)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(*arguments: str) -> int:
    ran = subprocess.run([sys.executable, "-c", FAULTS, *arguments], capture_output=True, text=True, check=False)
    if "can't" in ran.stderr:
        pytest.skip("not glibc")
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own way")
def test_pieces_that_were_given_back_are_there_again_without_a_page_fault() -> None:
    assert faults("keep") * 100 < faults()
