"""Plays `ondol ingest sync --in STORE --source SOURCE --json --until-stdin-closes` over the real book, as the file HOME/play says.

`ok`; `slow` (half a second inside the run); `hang` (begins, with a child of its own, and says nothing more); `die` (ends before it begins).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.cli import stdin
from app.core.errors import OndolError, to_openai
from app.core.paths import Home
from ingest.report import Event, Finished, Started
from ingest.run import Options
from ingest.sync import sync
from models.embedder import Vectors
from models.hash_embedder import HashEmbedder, WordCounter

home = Home(Path(os.environ["ONDOL_HOME"]))
words = sys.argv[1:]
store, source = words[words.index("--in") + 1], words[words.index("--source") + 1]
play = (home.root / "play").read_text().strip()


class Slow(HashEmbedder):
    def passages(self, texts: Sequence[str]) -> Vectors:
        note("embeds")
        return super().passages(texts)


def note(what: str) -> None:
    with (home.root / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"what": what, "pid": os.getpid(), "store": store, "source": source, "at": time.time()}) + "\n")


def tell(event: Event) -> None:
    if not isinstance(event, Finished):
        print(json.dumps(msgspec.to_builtins(event)), flush=True)
    if not isinstance(event, Started):
        return
    note("begins")
    if play == "slow":
        time.sleep(0.5)
    if play == "hang":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)


stdin.when_closed(lambda: os._exit(130) if play != "hang" else None)
if play == "die":
    sys.exit("the program broke")
try:
    reports = sync(home, store, Slow(), WordCounter(), source=source, on_event=tell, options=Options(wait=False))
except OndolError as error:
    print(json.dumps(to_openai(error)), flush=True)
    sys.exit(error.exit_status)
note("ends")
sys.exit(0 if all(report.ok for report in reports) else 1)
