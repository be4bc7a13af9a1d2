"""Kills at random moments, of tray, server and workers: it always comes back or says why not; never two servers, never an orphan."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from product import Product

from app.core.credentials import api_key
from app.core.paths import Home
from app.core.server_record import ServerRecord, running
from models.installed import InstalledModel
from tray.keeping.family import VARIABLE

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
MODEL = "smollm2-135m-instruct"
PATIENCE = 90.0  # seconds to come back in


class World:
    """One data folder, the tray over it without a display, and who lives of it."""

    def __init__(self, product: Product, log: Path) -> None:
        self.product, self.home, self._log = product, Home(product.home), log
        environment = {name: value for name, value in product.environment.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        self._environment = {**environment, "ONDOL_PORT": "0"}
        self.ended: list[str] = []
        self.start_tray()

    def start_tray(self) -> None:
        with self._log.open("ab") as log:
            line = [sys.executable, "-P", "-m", "tray.main", "--headless", "--language", "en"]
            self.tray = subprocess.Popen(line, env=self._environment, stderr=log, stdin=subprocess.DEVNULL)

    def said(self) -> str:
        """Its last two lines: the state, and the notification of it."""
        return " | ".join(self._log.read_text(encoding="utf-8").splitlines()[-2:])

    def kept(self) -> dict[int, psutil.Process]:
        """Every process that a tray over this home has started, and theirs."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if VARIABLE in environment and environment.get("ONDOL_HOME") == str(self.home.root):
                    found[process.pid] = process
        return found

    def servers(self) -> list[int]:
        """By the parent: a server that starts a worker is for a moment two of the same command line."""
        found = {pid: process for pid, process in self.kept().items() if "serve" in command(process)}
        return [pid for pid, process in found.items() if parent(process) not in found]

    def workers(self) -> dict[str, int]:
        return {name: pid for pid, process in self.kept().items() if (name := worker(command(process)))}

    def ready(self) -> ServerRecord | None:
        """The server that answers with the token of its record, where it is a tray's."""
        record = running(self.home)
        if record is None or record.pid not in self.kept():
            return None
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(f"{record.address}/health/ready", timeout=2) as answer:
            return record if json.load(answer)["instance"] == record.token else None
        return None

    def come_back(self) -> ServerRecord:
        """Wait until it serves; a tray that gave up must have said why, and is started again, as its user would."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.tray.poll() is not None:
                self.ended.append(f"{self.tray.returncode}: {self.said()}")
                assert self.tray.returncode in (70, -signal.SIGKILL, 0), self.ended[-1]
                assert self.tray.returncode != 70 or " - " in self.said(), self.ended[-1]
                self.start_tray()
            assert len(self.servers()) <= 1, "two servers"
            if (record := self.ready()) is not None:
                return record
            time.sleep(0.1)
        raise AssertionError(f"it did not come back within {PATIENCE:.0f} s: {self.said()}")

    def use(self, record: ServerRecord) -> None:
        """A search and a chat wake all workers; a worker that was killed may fail them."""
        chat = {"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {api_key(self.home)}", "Content-Type": "application/json"}
        for path, body in (("vector_stores/notes/search", {"query": "annual leave"}), ("chat/completions", chat)):
            request = urllib.request.Request(f"{record.address}/v1/{path}", data=json.dumps(body).encode(), headers=headers)
            with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=15) as answer:
                answer.read()

    def close(self) -> None:
        self.tray.send_signal(signal.SIGCONT)
        self.tray.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.tray.wait(20)
        self.tray.kill()
        self.tray.wait()


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def worker(line: list[str]) -> str:
    return next((word for word in line if word.endswith("worker")), "")


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, minilm: InstalledModel, smollm2: Path) -> Path:
    """A data folder with a store in it."""
    folder = tmp_path_factory.mktemp("stocked")
    (folder / "handbook.txt").write_text("Everybody has 25 days of annual leave.\n", encoding="utf-8")
    done = Product(folder / "home", models_dir).run("ingest", "files", str(folder / "handbook.txt"), "--into", "notes")
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture
def world(tmp_path: Path, models_dir: Path, stocked: Path) -> Iterator[World]:
    shutil.copytree(stocked, tmp_path / "온돌 home", symlinks=True)
    made = World(Product(tmp_path / "온돌 home", models_dir), tmp_path / "tray.log")
    yield made
    made.close()


def kill_at_random(world: World, chance: random.Random, moments: int) -> Counter[str]:
    done: Counter[str] = Counter()
    began = time.monotonic()
    for moment in range(moments):
        record = world.come_back()
        if chance.random() < 0.3:
            world.use(record)
        time.sleep(chance.uniform(0, 0.7))
        workers = world.workers()
        names = ["tray", "server", *sorted(workers)]
        # Each in turn, workers as often as they live: a rare one must not be left out by chance.
        name, number = names[moment % len(names)], SIGNALS[chance.randrange(3)]
        pid = {"tray": world.tray.pid, "server": record.pid, **workers}[name]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        done[f"{name} {number.name}"] += 1
        print(moment, name, number.name, f"{time.monotonic() - began:.0f} s", flush=True)
        if name == "tray" and number == signal.SIGSTOP:
            # As after a night: with the server in the same state, or killed meanwhile.
            if chance.random() < 0.5:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(record.pid, chance.choice(SIGNALS))
            time.sleep(chance.uniform(0, 2))
            os.kill(pid, chance.choice([signal.SIGCONT, signal.SIGKILL]))
        elif chance.random() < 0.3:
            # A second one at once: what the first left half done.
            second = chance.choice([world.tray.pid, record.pid, *workers.values()])
            with contextlib.suppress(ProcessLookupError):
                os.kill(second, chance.choice(SIGNALS[:2]))
            done["a second one"] += 1
        if name == "tray" and number != signal.SIGSTOP:
            world.tray.wait(30)
    return done


def rests(world: World) -> list[Any]:
    """Who lives of this home, once it had the time to end."""
    end = time.monotonic() + 20
    while (left := world.kept()) and time.monotonic() < end:
        time.sleep(0.2)
    return [command(process) for process in left.values()]


def check(world: World, moments: int, seed: int) -> None:
    seed = int(os.environ.get("ONDOL_TEST_SEED", seed))
    print(f"ONDOL_TEST_SEED={seed}")
    done = kill_at_random(world, random.Random(seed), moments)
    print(dict(done), f"a tray was started again {len(world.ended)} times")
    last = world.come_back()
    world.use(last)
    assert len(world.servers()) == 1
    world.tray.terminate()
    assert world.tray.wait(20) == 0
    assert rests(world) == []
    assert running(world.home) is None


def test_six_kills_always_come_back_with_one_server_and_leave_nobody(world: World) -> None:
    check(world, 6, seed=2026)


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments_always_come_back_with_one_server_and_leave_nobody(world: World) -> None:
    check(world, 200, seed=random.SystemRandom().randrange(10**6))


def test_a_polite_end_of_the_tray_ends_its_server_and_workers_and_says_nothing_of_a_crash(world: World) -> None:
    world.use(world.come_back())
    assert world.workers()
    world.tray.terminate()
    assert world.tray.wait(20) == 0
    assert rests(world) == []
    assert "unexpectedly" not in world._log.read_text(encoding="utf-8")


def test_a_killed_tray_leaves_nobody_though_a_worker_stands_still(world: World) -> None:
    world.use(world.come_back())
    for pid in world.workers().values():
        os.kill(pid, signal.SIGSTOP)
    world.tray.kill()
    world.tray.wait()
    assert rests(world) == []
