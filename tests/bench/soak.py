#!/usr/bin/env python3
"""Half an hour of everything at once over a real server, and whether it came through: one JSON line a minute, then the verdict.

    python tests/bench/soak.py MODEL.gguf --minutes 30

Chats that go on over several turns (streamed and whole), answers that are given up, long prompts, tools, schemas; in the first part
the engine's process is killed again and again. It holds when no request got stuck, every answer was whole, cut off by its own limit, or
a clear error (`soak_answers.py` judges them), some of each kind were whole, and the memory of the server and of the last engine stayed
within `--within` of what it was after their warm-up. Exit status 1 where it didn't.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak_answers import Answer, of_call, of_form, of_text, refused, streamed, whole

from app.cli.bench.servers import Share, ours

STUCK_SECONDS = 180
CACHE = 32  # megabytes for chats that left the cache: full before the warm-up is over
KILLS_UNTIL = 0.4  # of the time: the last engine must live long enough to be watched
WARM_UP = 0.35  # of a process's watched life
REFUSED = ("give up", "too long")  # the kinds of which nothing has to be whole
TOPICS = ["the sea", "a bakery", "the moon", "겨울", "a train", "the library", "김치", "an old clock"]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}
FACTS = [f"Fact {n}: item {n * 37 % 1009} is kept on shelf {n * 53 % 211}." for n in range(400)]


class Soak:
    """A server under load, and what came of each request."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, pid: int, seconds: float) -> None:
        self._session, self._url, self._headers = session, url, {"Authorization": f"Bearer {key}"}
        self.server, self.seconds, self.began = psutil.Process(pid), seconds, time.monotonic()
        self.counts: dict[str, Counter[str]] = {}
        self.faults: list[str] = []
        self.memory: list[tuple[float, int, int, int]] = []  # seconds, server's bytes, engine's process, its bytes
        self._random = random.Random(11)

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began > self.seconds

    async def keep(self, kind: str, once: Callable[[int], Awaitable[str]]) -> None:
        """One request after the other, to the end of the time; what comes of each is counted."""
        number = 0
        while not self.over:
            number += 1
            try:
                outcome = await once(number)
            except (aiohttp.ClientError, ValueError) as error:
                outcome = f"broken: {type(error).__name__} {error}"[:120]
            self.counts.setdefault(kind, Counter())[outcome.partition(":")[0]] += 1
            if outcome.startswith(("stuck", "broken", "unclear")):
                self.faults.append(f"{kind}: {outcome}")
            if outcome.startswith("error"):
                await asyncio.sleep(0.5)

    async def ask(self, body: dict[str, Any], give_up: float | None = None) -> Answer | str:
        """The answer; an outcome where there was none. `give_up`: seconds after which the connection is closed."""
        body = {"model": "default", "temperature": 0.8, **body}
        try:
            async with (
                asyncio.timeout(give_up or STUCK_SECONDS),
                self._session.post(f"{self._url}/v1/chat/completions", json=body, headers=self._headers) as answer,
            ):
                if answer.status != 200:
                    return refused((await answer.json())["error"])
                return await streamed(answer.content) if body.get("stream") else whole(await answer.json())
        except TimeoutError:
            return "stuck" if give_up is None else "given up"

    async def judged(self, body: dict[str, Any], worth: Callable[[Answer], str] = of_text, give_up: float | None = None) -> str:
        """What an answer was worth, or what came instead of one."""
        answer = await self.ask(body, give_up)
        return answer if isinstance(answer, str) else worth(answer)

    async def chat(self, name: str, number: int, *, stream: bool) -> str:
        """A chat of four turns, then a new one."""
        messages: list[dict[str, Any]] = []
        headers_id = f"{name}-{number}"
        for turn in range(4):
            if self.over:
                return "whole"
            messages.append({"role": "user", "content": f"({headers_id}) Tell me more about {self._random.choice(TOPICS)}, part {turn}."})
            answer = await self.ask({"messages": messages, "max_tokens": 40, "stream": stream})
            if isinstance(answer, str) or of_text(answer) != "whole":
                return answer if isinstance(answer, str) else of_text(answer)
            self.counts.setdefault("turns", Counter())["whole"] += 1
            messages.append({"role": "assistant", "content": answer.text})
        return "whole"

    async def long_prompt(self, number: int) -> str:
        facts = " ".join(self._random.sample(FACTS, 90))
        body = {"messages": [{"role": "user", "content": f"{facts}\nWhere is item {number}?"}], "max_tokens": 8, "stream": True}
        return await self.judged(body)

    async def too_long(self, number: int) -> str:
        await asyncio.sleep(5)
        outcome = await self.judged({"messages": [{"role": "user", "content": " ".join(FACTS * 4)}], "max_tokens": 8})
        return outcome if outcome != "whole" else "broken: a prompt that can't fit was answered"

    async def give_up(self, number: int) -> str:
        await asyncio.sleep(self._random.uniform(0, 1))
        body = {"messages": [{"role": "user", "content": f"Count to {1000 + number}."}], "max_tokens": 400, "stream": number % 2 == 0}
        return await self.judged(body, give_up=self._random.uniform(0.02, 2))

    async def schema(self, number: int) -> str:
        form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
        body = {"messages": [{"role": "user", "content": f"Person {number} as JSON."}], "response_format": form, "max_tokens": 80}
        return await self.judged({**body, "stream": number % 2 == 0}, lambda answer: of_form(answer, SCHEMA))

    async def tools(self, number: int) -> str:
        body = {"messages": [{"role": "user", "content": f"Look up person {number}."}], "tools": [TOOL], "tool_choice": "required"}
        return await self.judged({**body, "max_tokens": 100, "stream": number % 2 == 0}, lambda answer: of_call(answer, TOOL))

    async def kill(self) -> None:
        """The engine's process dies again and again, in the first part of the time."""
        while time.monotonic() - self.began < self.seconds * KILLS_UNTIL:
            await asyncio.sleep(min(45.0, self.seconds * KILLS_UNTIL / 4) * self._random.uniform(0.5, 1.5))
            for engine in self.engines():
                with contextlib.suppress(psutil.NoSuchProcess):
                    engine.send_signal(signal.SIGKILL)
                self.counts.setdefault("kills", Counter())["killed"] += 1

    def engines(self) -> list[psutil.Process]:
        found = []
        for child in self.server.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if "models.engine.worker" in child.cmdline():
                    found.append(child)
        return found

    async def watch(self) -> None:
        """Memory every two seconds; a line each minute."""
        told = 0.0
        while not self.over:
            await asyncio.sleep(2)
            for engine in self.engines():
                with contextlib.suppress(psutil.NoSuchProcess):
                    now = time.monotonic() - self.began
                    self.memory.append((now, self.server.memory_info().rss, engine.pid, engine.memory_info().rss))
            if self.memory and time.monotonic() - told > 60:
                told = time.monotonic()
                now, server, _, engine_bytes = self.memory[-1]
                counts = {kind: dict(outcomes) for kind, outcomes in self.counts.items()}
                print(
                    json.dumps({"minute": round(now / 60, 1), "server_mb": server >> 20, "engine_mb": engine_bytes >> 20, **counts}),
                    flush=True,
                )

    def growth(self) -> dict[str, Any]:
        """Memory of the server and of the last engine: the median of its last third over that after the warm-up."""
        last = self.memory[-1][2]
        lives = {
            "server": [(at, server) for at, server, _, _ in self.memory],
            "engine": [(at, used) for at, _, pid, used in self.memory if pid == last],
        }
        told: dict[str, Any] = {}
        for name, samples in lives.items():
            first, end = samples[0][0], samples[-1][0]
            warm = [used for at, used in samples if at >= first + (end - first) * WARM_UP]
            third = max(1, len(warm) // 3)
            before, after = statistics.median(warm[:third]), statistics.median(warm[-third:])
            told[name] = {"before_mb": round(before / 2**20), "after_mb": round(after / 2**20), "ratio": round(after / before, 3)}
            told[name]["watched_s"] = round(end - first)
        return told


async def main(args: argparse.Namespace) -> int:
    """Start, load, judge."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        ours(args.model, Share(args.threads, args.parallel, 8192), {"cache_memory_megabytes": CACHE}) as address,
        aiohttp.ClientSession(
            connector=connector, trust_env=False, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=1 << 20
        ) as session,
    ):
        soak = Soak(session, address.url, address.key, address.pid, args.minutes * 60)
        kinds: list[tuple[str, Callable[[int], Awaitable[str]]]] = [
            *((f"chat {n}", lambda number, n=n: soak.chat(f"c{n}", number, stream=n % 2 == 0)) for n in range(3)),
            ("give up", soak.give_up),
            ("long prompt", soak.long_prompt),
            ("too long", soak.too_long),
            ("schema", soak.schema),
            ("tools", soak.tools),
        ]
        await asyncio.gather(soak.kill(), soak.watch(), *(soak.keep(kind, once) for kind, once in kinds))
        # Nothing is left behind: a last question is answered, and no request is in the engine.
        outcome = await soak.judged({"messages": [{"role": "user", "content": "Still there?"}], "max_tokens": 4})
        growth = soak.growth()
    reasons = [f"memory of the {name}: {told['ratio']}" for name, told in growth.items() if abs(told["ratio"] - 1) > args.within]
    reasons += [f"{kind}: none was whole" for kind, _ in kinds if kind not in REFUSED and not soak.counts.get(kind, {}).get("whole")]
    reasons += soak.faults[:20] + ([] if outcome == "whole" else [f"the last question: {outcome}"])
    counts = {kind: dict(outcomes) for kind, outcomes in soak.counts.items()}
    print(
        json.dumps(
            {"holds": not reasons, "minutes": args.minutes, "memory": growth, "requests": counts, "reasons": reasons}, ensure_ascii=False
        )
    )
    return 1 if reasons else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--within", type=float, default=0.05)
    sys.exit(asyncio.run(main(parser.parse_args())))
