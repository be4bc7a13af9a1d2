"""A stand-in for `open-webui`, to be started as a program: its table of settings, seeded from the environment, and its health answer.

`PAGE_MOOD` makes it difficult: `crash` ends at once, `silent` never answers, `stubborn` ignores SIGTERM and has a child that does too.
What it was given is written to `given.json` in its data folder.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import venv
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS config ("key" TEXT NOT NULL, value JSON NOT NULL, updated_at BIGINT, PRIMARY KEY ("key"));
CREATE TABLE IF NOT EXISTS "user" (id VARCHAR NOT NULL, name VARCHAR, email VARCHAR, role VARCHAR, PRIMARY KEY (id));
"""


def seed(folder: Path) -> None:
    """First values from the environment; rows that are there win."""
    env = os.environ
    database = sqlite3.connect(folder / "webui.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    first = {
        "openai.enable": True,
        "openai.api_base_urls": env.get("OPENAI_API_BASE_URLS", "").split(";"),
        "openai.api_keys": env.get("OPENAI_API_KEYS", "").split(";"),
        "openai.api_configs": json.loads(env.get("OPENAI_API_CONFIGS") or "{}"),
        "rag.openai.api_base_url": env.get("RAG_OPENAI_API_BASE_URL", ""),
        "rag.openai.api_key": env.get("RAG_OPENAI_API_KEY", ""),
    }
    for key, value in first.items():
        database.execute("INSERT OR IGNORE INTO config VALUES (?, ?, 1)", (key, json.dumps(value)))
    database.commit()
    database.close()


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status":true}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def install(folder: Path) -> Path:
    """An environment in which a package calls itself Open WebUI; its program is this one."""
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "open_webui").mkdir()
    (packages / "open_webui" / "__init__.py").touch()
    (packages / "open_webui-0.12.4.dist-info").mkdir()
    (packages / "open_webui-0.12.4.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: open-webui\nVersion: 0.12.4\n", "utf-8"
    )
    # Through /bin/sh: a first line can't hold a long path.
    made = folder / "bin" / "open-webui"
    made.write_text(f"#!/bin/sh\nexec '{folder}/bin/python3' '{__file__}' \"$@\"\n", encoding="utf-8")
    made.chmod(0o755)
    return made


def main() -> None:
    mood = os.environ.get("PAGE_MOOD", "")
    folder = Path(os.environ["DATA_DIR"])
    given = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": str(Path.cwd())}
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    print("INFO  [alembic.runtime.migration] Running upgrade", flush=True)
    if mood == "crash":
        print("ModuleNotFoundError: the last thing that it said", flush=True)
        sys.exit(3)
    seed(folder)
    if mood == "silent":
        time.sleep(600)
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
        (folder / "child.pid").write_text(str(child.pid), encoding="utf-8")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Health).serve_forever()


if __name__ == "__main__":
    main()
