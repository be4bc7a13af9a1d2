"""The chat page and the server behind it with `network: offline`: `python open_webui_story.py HOME MODELS PROGRAM`.

Run it where nothing but this machine can be reached. Prints one JSON object, what was seen at each step.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from open_webui import OpenWebUI
from product import Product

MODEL = "smollm2-135m-instruct"
PAGE = "# 휴가\n\n창립기념일은 5월 17일이며 모든 직원이 쉽니다.\n\n# Returns\n\nA customer may send a scale back within 41 days.\n"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def story(home: Path, models: Path, program: str) -> dict[str, Any]:
    product = Product(home, models)
    (home / "config.yaml").write_text("network: offline\n", encoding="utf-8")
    product.environment["ONDOL_PORT"] = str(free_port())
    page = home.parent / "안내서.md"
    page.write_text(PAGE, encoding="utf-8")
    product.lines("ingest", "files", str(page), "--into", "shop")
    words = ("open-webui", "--json", "--until-stdin-closes", "--no-browser", "--no-login", "--path", program)
    process = product.start(*words, "--port", str(free_port()))
    assert process.stdout is not None
    told: dict[str, Any] = {}
    for line in process.stdout:
        told = json.loads(line)
        if told.get("event") == "ready" or "error" in told:
            break
    assert told.get("event") == "ready", told
    web = OpenWebUI(told["url"])
    web.sign_in()
    quoted, raw = web.ask("shop", "How many days may a customer send a scale back?"), web.ask(MODEL, "Say hello.", max_tokens=8)
    chat, _ = web.begin("shop", "창립기념일은 언제인가요?")
    while web.running(chat):
        pass
    kept = web.chat(chat)
    seen = {
        "models": sorted(web.models()),
        "quoted": quoted.text,
        "sources": [source["source"]["name"] for source in quoted.sources],
        "raw": raw.text,
        "korean": kept["answer"]["content"],
        "title": kept["title"],
    }
    process.send_signal(signal.SIGTERM)
    seen["status"] = process.wait(60)
    return seen


if __name__ == "__main__":
    print(json.dumps(story(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]), ensure_ascii=False))
