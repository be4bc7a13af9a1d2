"""The real icon, told what to show over its input and telling what is clicked: JSON lines both ways.

{"show": {Snapshot}, "pause": SECONDS} first, then
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
from typing import Any

import msgspec

from tray.face.icon import Icon, Unavailable
from tray.records import Action, Download, Snapshot


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


def clicked(action: Action) -> None:
    say(event="click", kind=action.kind, target=action.target)


def listen(icon: Icon, shown: Snapshot) -> None:
    """Until it is told to stop, or nobody is there to tell it anything."""
    say(event="ready")
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "stop" in asked:
            break
        if "show" in asked:
            shown = msgspec.convert(asked["show"], Snapshot)
            icon.show(shown)
        for done in range(asked.get("many", 0)):
            icon.show(replace(shown, downloads=(Download("a", "a model", done + 1, asked["many"]),)))
            time.sleep(asked.get("every", 0))
        if "notify" in asked:
            icon.notify(*asked["notify"])
    icon.stop()


def main() -> int:
    first = json.loads(sys.stdin.readline())
    shown = msgspec.convert(first["show"], Snapshot)
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        icon = Icon(clicked, pictures=pictures, warn=lambda code: say(event="missing", code=code), pause=first.get("pause", 1.0))
    except Unavailable as error:
        say(event="unavailable", code=error.code, message=str(error))
        return 3

    def interrupted(*_: object) -> None:
        say(event="interrupted")
        icon.stop()

    signal.signal(signal.SIGINT, interrupted)
    icon.show(shown)
    icon.run(lambda: listen(icon, shown))
    say(event="end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
