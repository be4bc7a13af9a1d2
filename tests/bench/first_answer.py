"""How long the first text of a chat's answer takes with Open WebUI's titles, follow-ups and tags around it, beside the same chat alone.

    .venv/bin/python tests/bench/first_answer.py [--pairs 15] [--tasks none,same]

The requests are recorded off the real Open WebUI (installed where it isn't yet; ONDOL_TEST_OPEN_WEBUI names a folder that has it)
and sent again in pairs, in turns, over a warm model: alone; `as_sent`: the title just before the chat, the others after it; and
`next_question`: the title before it while the follow-ups and tags of the turn before still run. Every question is new to the cache.
`--tasks same`: the chat's own model writes the titles (`tasks.model: same`); none: they are made without a model.
"""
# ruff: noqa: E402  # the folders of the imports are on the path only after its line

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.extend(str(ROOT / name) for name in ("", "tests", "tests/acceptance", "installer"))

import open_webui
import open_webui_install
from company import MODEL, SUGGESTED, company
from postgres_servers import embedded_server
from product import Product, Served
from recording_relay import Relay, Request

ANSWER_TOKENS = 24
ASKED = ("handbook", "writer", MODEL)
TITLE, FOLLOW_UPS, TAGS = "title_generation", "follow_up_generation", "tags_generation"
Recorded = dict[str, Request]


def record(served: Served, data: Path) -> dict[str, Recorded]:
    """By model: a new chat's requests by their task, "" for the chat itself."""
    relay, found = Relay(urlsplit(served.url).port or 0), {}
    with embedded_server() as vectors, open_webui.running(open_webui_install.installed(), relay.url, served.key, data, vectors) as web:
        for model in ASKED:
            relay.forget()
            web.begin(model, SUGGESTED, max_tokens=ANSWER_TOKENS, temperature=0)
            end = time.monotonic() + 120
            while len(sent := relay.requests("/v1/chat/completions")) < 4 and time.monotonic() < end:
                time.sleep(0.1)
            found[model] = {request.headers["x-owui-task"]: request for request in sent}
            assert set(found[model]) == {"", TITLE, FOLLOW_UPS, TAGS}, sorted(found[model])
            print(json.dumps({"model": model, "order": [request.headers["x-owui-task"] or "chat" for request in sent]}))
    relay.close()
    return found


class Wire:
    """Sends recorded requests again, each with a question of its own."""

    def __init__(self, served: Served) -> None:
        self._served, self._number = served, 0

    def fresh(self) -> str:
        """A question that nobody asked before: the cache holds its beginning only where it holds every chat's."""
        self._number += 1
        return f"{self._number * 7919 % 10_000}: {SUGGESTED}"

    def send(self, request: Request, question: str) -> Iterator[bytes]:
        """The answer's lines."""
        body = request.body.replace(SUGGESTED.encode(), question.encode())
        headers = {name: value for name, value in request.headers.items() if name.startswith(("x-owui", "authorization", "content-type"))}
        with urllib.request.urlopen(urllib.request.Request(f"{self._served.url}{request.path}", body, headers), timeout=300) as answer:
            yield from answer

    def first_text(self, chat: Request, question: str) -> float:
        """Seconds to the first text, 0 where the model ended without one; the answer is then read to its end."""
        began, first = time.perf_counter(), 0.0
        for line in self.send(chat, question):
            if first or not line.startswith(b"data: {"):
                continue
            if any((choice["delta"].get("content") or "").strip() for choice in json.loads(line[6:])["choices"]):
                first = time.perf_counter() - began
        return first

    def whole(self, *requests: Request, question: str) -> None:
        """One after the other, each to its end."""
        for request in requests:
            for _ in self.send(request, question):
                pass


Way = Callable[[Wire, Recorded], float]


def alone(wire: Wire, sent: Recorded) -> float:
    return wire.first_text(sent[""], wire.fresh())


def as_sent(wire: Wire, sent: Recorded) -> float:
    question = wire.fresh()
    title = threading.Thread(target=wire.whole, args=(sent[TITLE],), kwargs={"question": question})
    title.start()
    time.sleep(max(0.0, sent[""].at - sent[TITLE].at))
    first = wire.first_text(sent[""], question)
    wire.whole(sent[FOLLOW_UPS], sent[TAGS], question=question)
    title.join()
    return first


def next_question(wire: Wire, sent: Recorded) -> float:
    before = threading.Thread(target=wire.whole, args=(sent[FOLLOW_UPS], sent[TAGS]), kwargs={"question": wire.fresh()})
    before.start()
    time.sleep(0.02)
    first = as_sent(wire, sent)
    before.join()
    return first


def once(way: Way, wire: Wire, sent: Recorded) -> float:
    """A small model may have nothing to say to a question: then another one is asked."""
    for _ in range(10):
        if first := way(wire, sent):
            return first
    raise SystemExit("The model says nothing to ten questions.")


def measure(served: Served, recorded: dict[str, Recorded], tasks: str, pairs: int) -> None:
    """Pairs in turns; a JSON line for each model and way."""
    wire = Wire(served)
    for model in ASKED:
        for way in (as_sent, next_question):
            alone(wire, recorded[model])
            way(wire, recorded[model])
            quiet, busy = [], []
            for _ in range(pairs):
                quiet.append(once(alone, wire, recorded[model]))
                busy.append(once(way, wire, recorded[model]))
            a, b = statistics.median(quiet), statistics.median(busy)
            told = {
                "tasks": tasks,
                "model": model,
                "way": way.__name__,
                "alone_ms": round(a * 1000, 1),
                "with_tasks_ms": round(b * 1000, 1),
            }
            print(json.dumps({**told, "ratio": round(b / a, 3), "pairs": pairs}), flush=True)


def configure(product: Product, tasks: str) -> None:
    """The same data folder with another `tasks.model`."""
    path = product.home / "config.yaml"
    text = path.read_text(encoding="utf-8").split("tasks:")[0]
    path.write_text(text + ("tasks: {model: same}\n" if tasks == "same" else ""), encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=15)
    options.add_argument("--tasks", default="none,same")
    options.add_argument("--models", type=Path, default=ROOT / ".bootstrap" / "test-models")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = company(Path(folder) / "home", chosen.models)
        recorded: dict[str, Recorded] = {}
        for tasks in chosen.tasks.split(","):
            configure(product, tasks)
            with product.serving() as served:
                recorded = recorded or record(served, Path(folder) / "data")
                measure(served, recorded, tasks, chosen.pairs)


if __name__ == "__main__":
    main()
