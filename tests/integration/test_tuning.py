"""How a model runs best here: measured over a real one, kept, and used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import tiny_ggufs

from app.cli.output import Output
from app.cli.tuning import tune
from app.core.records import Context, Generation, Piece, Priority, Sampling
from models.engine import machine
from models.engine.client import EngineClient, EngineSettings
from models.engine.fit import Fit
from models.engine.llama import binding
from models.engine.tuning.layout import Layout, Tuned
from models.engine.tuning.now import measure
from models.engine.tuning.plan import Time
from models.engine.tuning.remembered import Remembered
from models.engine.worker import LoadedEngine
from models.library import Library

REQUEST = Generation(prompt="Once upon a time", sampling=Sampling(temperature=0), max_tokens=12, ignore_eos=True)


def remembered(model: Path, settings: EngineSettings) -> Remembered:
    gpus = [gpu.name for gpu in binding.devices()]
    return Remembered(model, settings, Fit(1024, 1024, 1, 0), machine.look(), library=binding.PINNED, gpus=gpus)


def written(loaded: LoadedEngine) -> str:
    loaded.submit(1, REQUEST, Priority.CHAT)
    text = ""
    while not loaded.engine.idle:
        text += "".join(output.news.text for output in loaded.engine.step() if isinstance(output.news, Piece))
    return text


def test_what_was_measured_of_a_real_model_is_kept_for_its_next_load(smollm2: Path, tmp_path: Path) -> None:
    settings = EngineSettings(context=1024, threads=1, tuning_folder=str(tmp_path / "조율"))
    assert not remembered(smollm2, settings).found
    moments: list[None] = []
    tuned, used = measure(smollm2, settings, time=Time(1.5, 60), quiet=0.0, told=lambda: moments.append(None))
    assert used == tuned.layout
    assert used.threads == 1, "the user's own choice"
    assert len(moments) > 3
    found = remembered(smollm2, settings)
    assert (found.found, found.layout, found.curve) == (True, tuned.layout, tuned.curve)
    assert not remembered(smollm2, msgspec.structs.replace(settings, parallel=3)).found


def test_a_recurrent_model_is_measured_to_the_end_without_a_curve(tmp_path: Path) -> None:
    settings = EngineSettings(context=1024, threads=1, tuning_folder=str(tmp_path / "tuning"))
    tuned, _ = measure(tiny_ggufs.mamba(tmp_path / "mamba.gguf"), settings, time=Time(1, 10), quiet=0.0, told=lambda: None)
    assert (tuned.complete, tuned.curve) == (True, ())


def test_a_load_takes_the_layout_that_was_measured_and_writes_the_same(smollm2: Path, tmp_path: Path) -> None:
    plain = LoadedEngine(smollm2, EngineSettings(context=1024, threads=1))
    settings = EngineSettings(context=1024, tuning_folder=str(tmp_path))
    remembered(smollm2, settings).keep(Tuned(Layout(1, 128), complete=True))
    loaded = LoadedEngine(smollm2, settings)
    assert loaded.info.threads == 1
    assert loaded.tuning is None, "once is enough"
    assert written(loaded) == written(plain)


def test_without_flash_attention_a_model_writes_too(smollm2: Path, tmp_path: Path) -> None:
    settings = EngineSettings(context=1024, threads=1, tuning_folder=str(tmp_path))
    remembered(smollm2, settings).keep(Tuned(Layout(1, flash=False), complete=True))
    assert len(written(LoadedEngine(smollm2, settings))) > 10


async def test_a_worker_measures_when_idle_and_answers_at_any_moment_of_it(smollm2: Path, tmp_path: Path) -> None:
    settings = EngineSettings(context=1024, threads=1, tuning_folder=str(tmp_path / "tuning"), tune_after=0.05)
    engine = EngineClient(smollm2, settings, name="engine-tuning", logs=tmp_path / "logs")
    try:
        texts: set[str] = set()
        async with asyncio.timeout(120):
            while "measured" not in (tmp_path / "logs" / "engine-tuning.log").read_text() if texts else True:
                async with contextlib.aclosing(engine.generate(REQUEST, Context())) as pieces:
                    texts.add("".join([piece.text async for piece in pieces if isinstance(piece, Piece)]))
                await asyncio.sleep(2)
        assert len(texts) == 1
    finally:
        await engine.stop()


def test_the_command_shows_what_it_measured_and_keeps_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Library(home / "models").pull(f"file:{tiny_ggufs.llama(tmp_path / 'tiny.gguf')}")
    environment = {**os.environ, "ONDOL_HOME": str(home)}
    command = [sys.executable, "-m", "app.cli", "models", "tune", "--seconds", "1", "--busy-too"]
    ended = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, timeout=300, check=True)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events[-1]["event"] == "tuned"
    assert events[-1]["threads"] >= 1
    assert len(list((home / "cache" / "tuning").iterdir())) == 1


def test_the_table_says_of_each_layout_its_rounds_and_at_last_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library = Library(tmp_path / "models")
    library.pull(f"file:{tiny_ggufs.llama(tmp_path / 'tiny.gguf')}")
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    tune(library, "", Output(json=False), seconds=1, busy_too=True)
    printed = capsys.readouterr()
    assert "for up to 1 s" in printed.err
    lines = printed.out.splitlines()
    default = lines[1].strip("* ").split()
    assert lines[0].split()[:5] == ["threads", "part", "flash", "behind", "rounds"]
    assert int(default[4]) >= 1
    assert float(default[5]) > 0
    assert any("Its next load takes " in line for line in lines)


def test_a_name_that_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    environment = {**os.environ, "ONDOL_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "app.cli", "models", "tune"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 66
    assert "ondol models pull" in ended.stderr
