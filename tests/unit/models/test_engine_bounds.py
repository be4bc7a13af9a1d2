from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.core.errors import BadRequest
from app.core.records import Message
from models.engine.bounds import Bounds
from models.engine.chat_template import ChatTemplate

QUICK = Bounds(0.2, 256 << 20)
SMALL = Bounds(20, 256 << 20)
HELLO = [Message("user", "hello")]
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TREE = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
GROWTH = "{% set all = namespace(text='a') %}{% for a in range(60) %}{% set all.text = all.text ~ all.text %}{% endfor %}{{ all.text }}"


@pytest.mark.parametrize("source", [LOOP, TREE])
def test_a_template_without_an_end_is_ended_and_the_next_request_is_served(source: str) -> None:
    with pytest.raises(BadRequest, match=r"did not end within 0\.2 s"):
        ChatTemplate(source, bounds=QUICK).render(HELLO, {})
    # With patience: a busy machine can stand still for longer than the quick bounds allow.
    assert ChatTemplate("{{ messages[0].content }}", bounds=SMALL).render(HELLO, {}) == "hello"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux alone")
@pytest.mark.parametrize(
    "source", [GROWTH, "{{ messages[0].content * 1000000000 }}", "{{ 'a' * 10000000000 }}", "{{ '%0999999999d' % messages|length }}"]
)
def test_a_template_that_eats_memory_is_refused_and_the_next_request_is_served(source: str) -> None:
    with pytest.raises(BadRequest, match="more than 256 MB"):
        ChatTemplate(source, bounds=SMALL).render(HELLO, {})
    assert ChatTemplate("{{ 'x' * 1000000 }}", bounds=SMALL).render(HELLO, {}) == "x" * 1_000_000


@pytest.mark.parametrize("source", ["{{ 9**9**9 }}", "{{ messages|length ** 1000000000 }}", "{{ range(1000000000)|list }}"])
def test_what_nothing_could_interrupt_is_refused_at_once(source: str) -> None:
    with pytest.raises(BadRequest):
        ChatTemplate(source).render(HELLO, {})


def test_the_end_of_one_work_never_reaches_the_next() -> None:
    bounds = Bounds(0.002, 256 << 20)

    def work() -> int:
        end = time.monotonic() + 0.002
        while time.monotonic() < end:
            pass
        return 1

    for _ in range(200):
        with contextlib.suppress(TimeoutError):
            assert bounds.run(work) == 1
        total = 0
        for number in range(200):  # an error that comes late would come here
            total += number
    assert total == 19_900


def test_a_work_that_swallows_its_end_is_ended_again() -> None:
    left: list[int] = []

    def stubborn() -> None:
        try:
            threading.Event().wait(0.1)
            while True:
                pass
        finally:
            left.append(1)
            while len(left) < 3:
                pass

    with pytest.raises(TimeoutError):
        Bounds(0.05, 256 << 20).run(stubborn)


def test_what_the_work_returns_and_raises_comes_through() -> None:
    assert QUICK.run(lambda: 7) == 7
    with pytest.raises(KeyError):
        QUICK.run(lambda: {}["no"])


PROFILED = """
import cProfile, contextlib
from models.engine.bounds import Bounds
def forever():
    while True: pass
bounds = Bounds(0.1, 256 << 20)
with contextlib.suppress(TimeoutError):
    bounds.run(forever)
profile = cProfile.Profile()
profile.enable()
assert bounds.run(lambda: 1) == 1
def after(): return 2
assert after() == 2
"""


def test_a_bounded_work_leaves_nothing_behind_that_a_profiler_would_spin_on() -> None:
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", PROFILED], check=True, timeout=60, cwd=root)
