"""The real icon, told what to show over its input and telling what is clicked: JSON lines both ways.

{"show": {Snapshot}} | {"many": 100, "every": SECONDS} | {"notify": [TITLE, TEXT]} | {"stop": true}
{"event": "ready"} | {"event": "click", "kind", "target"} | {"event": "missing", "code"} | {"event": "interrupted" | "end"}
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from tray.icon import Icon, Unavailable
from tray.records import Action, Download, Snapshot


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


def main() -> int:
    first = json.loads(sys.stdin.readline())
    try:
        icon = Icon(
            lambda action: clicked(action),
            pictures=Path(sys.argv[1]) if len(sys.argv) > 1 else None,
            pause=first.get("pause", 1.0),
            warn=lambda code: say(event="missing", code=code),
        )
    except Unavailable as error:
        say(event="unavailable", code=error.code, message=str(error))
        return 3

    def clicked(action: Action) -> None:
        say(event="click", kind=action.kind, target=action.target)

    shown = Snapshot()

    def listen() -> None:
        nonlocal shown
        say(event="ready")
        for line in sys.stdin:
            asked = json.loads(line)
            if "show" in asked:
                shown = msgspec.convert(asked["show"], Snapshot)
                icon.show(shown)
            if "many" in asked:
                for done in range(asked["many"]):
                    icon.show(replace(shown, downloads=(Download("a", "a model", done + 1, asked["many"]),)))
                    time.sleep(asked.get("every", 0))
            if "notify" in asked:
                icon.notify(*asked["notify"])
            if "stop" in asked:
                break
        icon.stop()

    def interrupted(*_: object) -> None:
        say(event="interrupted")
        icon.stop()

    signal.signal(signal.SIGINT, interrupted)
    icon.show(msgspec.convert(first["show"], Snapshot))
    icon.run(listen)
    say(event="end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
