#!/usr/bin/env python3
"""How soon those who wait hear that the engine has died, how soon it serves again, and what of its memory comes back.

    python tests/bench/death.py MODEL.gguf

Two answers run and two wait when the engine's process is killed. Then it is loaded and unloaded: the free memory of the machine before
the load, with the model, and after. Five times; one JSON line each, then the medians (other programs' memory moves too).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.errors import WorkerDied
from app.core.records import Context, Generation
from models.engine.client import EngineClient, EngineSettings


async def write(engine: EngineClient, tokens: int, begun: asyncio.Event | None = None) -> float:
    """The moment at which it ended, or was told that it can't."""
    try:
        async for _ in engine.generate(Generation(prompt="Once upon a time", max_tokens=tokens, ignore_eos=True), Context()):
            if begun is not None:
                begun.set()
    except WorkerDied:
        pass
    return time.perf_counter()


async def once(model: Path, logs: Path) -> dict[str, float]:
    """One death, and one unload."""
    engine = EngineClient(model, EngineSettings(context=2048, parallel=2, threads=1), name="engine-bench", logs=logs)
    before = psutil.virtual_memory().available
    await engine.start()
    begun = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(write(engine, 1500, one)) for one in begun]
    await asyncio.gather(*(one.wait() for one in begun))
    assert engine.pid is not None
    psutil.Process(engine.pid).send_signal(signal.SIGKILL)
    killed = time.perf_counter()
    heard = max(await asyncio.gather(*tasks)) - killed
    again = await write(engine, 1) - killed
    loaded = psutil.virtual_memory().available
    began = time.perf_counter()
    await engine.stop()
    unload = time.perf_counter() - began
    after = psutil.virtual_memory().available
    figures = {"all_heard_ms": heard * 1e3, "serves_again_ms": again * 1e3, "unload_ms": unload * 1e3}
    return {
        **{name: round(value) for name, value in figures.items()},
        "model_mb": (before - loaded) >> 20,
        "kept_mb": (before - after) >> 20,
    }


async def main(model: Path) -> None:
    """Five of them."""
    with tempfile.TemporaryDirectory() as logs:
        found = []
        for _ in range(5):
            found.append(await once(model, Path(logs)))
            print(json.dumps(found[-1]), flush=True)
    print(json.dumps({name: statistics.median(one[name] for one in found) for name in found[0]}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    asyncio.run(main(parser.parse_args().model))
