"""A small `ondol` that does what it is told to: `python ondol_program.py FOLDER WORDS...` plays FOLDER/COMMAND.json.

The file holds a list of runs, each a list of steps; the last run is played again and again. Each start is noted in FOLDER/calls.jsonl.

    {"say": {...}}      a JSON line            {"print": "text"}   another line
    {"until": "name"}   wait for FOLDER/name   {"spawn": "name"}   a child that sleeps; its pid goes to FOLDER/name
    {"stay": true}      until standard input closes, then {"event": "stopping"}
    {"deaf": true}      for ever               {"exit": 3}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    command = "-".join(words[:2]) if words[0] == "ingest" else words[0]
    calls = folder / "calls.jsonl"
    before = [json.loads(line)["words"] for line in calls.read_text().splitlines()] if calls.exists() else []
    with calls.open("a") as file:
        file.write(json.dumps({"words": words, "pid": os.getpid()}) + "\n")
    runs = json.loads((folder / f"{command}.json").read_text())
    place = sum(one[: len(command.split("-"))] == words[: len(command.split("-"))] for one in before if command != "open-webui")
    place += sum(one[0] == "open-webui" for one in before if command == "open-webui")
    for step in runs[min(place, len(runs) - 1)]:
        play(folder, step)


def play(folder: Path, step: dict[str, Any]) -> None:
    [(kind, value)] = step.items()
    match kind:
        case "say":
            print(json.dumps(value), flush=True)
        case "print":
            print(value, flush=True)
        case "until":
            while not (folder / value).exists():
                time.sleep(0.02)
        case "spawn":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
            (folder / value).write_text(str(child.pid))
        case "stay":
            while sys.stdin.buffer.read(1):
                pass
            print(json.dumps({"event": "stopping"}), flush=True)
        case "deaf":
            time.sleep(600)
        case "exit":
            sys.exit(value)


main()
