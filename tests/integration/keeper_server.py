"""A real small server that can be told to do what servers do: crash, hang, ignore signals, answer slowly, take the port, fill its pipe.

    python keeper_server.py PLAN [--port N]

PLAN is a JSON list, one mapping for each start, the last for all further ones. Once it listens, GET /do/WHAT makes it crash,
hang, work, stop. It speaks as `ondol serve --json --until-stdin-closes` does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.core import server_record
from app.core.paths import Home

STILL = threading.Event()  # set: no request is answered any more
TOKEN = f"token-{os.getpid()}"


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def plan(path: Path) -> dict[str, Any]:
    """Of this start; which one it is stands in a file beside the plan."""
    steps = json.loads(path.read_text(encoding="utf-8"))
    counter = path.with_suffix(".count")
    count = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(count + 1))
    return dict(steps[min(count, len(steps) - 1)])


class Answers(BaseHTTPRequestHandler):
    step: dict[str, Any]

    def do_GET(self) -> None:
        if self.path.startswith("/do/"):
            self._do(self.path.removeprefix("/do/"))
            return
        if STILL.is_set():
            time.sleep(3600)
        time.sleep(self.step.get("slow", 0))
        if self.path == "/health/ready" and self.step.get("unready"):
            self._reply(503, {})
            return
        token = self.step.get("token", TOKEN)
        body = {
            "status": "ok",
            "instance": token,
            "version": self.step.get("version", "1.0"),
            "parts": {"engine": {"running": 0, "waiting": 0}},
        }
        if self.step.get("drip"):
            self._drip()
            return
        self._reply(200, body)

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _drip(self) -> None:
        """A byte now and then, for ever: no single read takes long."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while True:
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _do(self, what: str) -> None:
        if what == "crash":
            os.write(2, b"the last words\n")
            os._exit(3)
        if what == "hang":
            STILL.set()
        if what == "work":
            STILL.set()
            threading.Thread(target=_work, daemon=True).start()
        if what == "rest":
            STILL.clear()
        self._reply(200, {})
        if what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _work() -> None:
    while STILL.is_set():
        sum(range(10_000))


def before(step: dict[str, Any]) -> None:
    """What happens before it listens."""
    if step.get("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if step.get("worker"):
        # As the real server's: in a session of its own; this one notices nothing of its parent's end.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
        Path(step["worker"]).write_text(str(child.pid))
    for _ in range(int(step.get("noise", 0)) // 65536):
        os.write(1, b"x" * 65535 + b"\n")
        os.write(2, b"x" * 65535 + (b"\n" if step.get("lines", True) else b"x"))
    if step.get("print"):
        os.write(2, (step["print"] + "\n").encode())
    for number in range(int(step.get("progress", 0))):
        say(event="progress", step=f"migrating {number}")
        time.sleep(0.2)
    if step.get("never_listens"):
        time.sleep(3600)
    if "exit" in step:
        if "error" in step:
            say(error=step["error"])
        sys.exit(int(step["exit"]))


def main() -> None:
    step = Answers.step = plan(Path(sys.argv[1]))
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else int(step.get("port", 0))
    host = step.get("host", "127.0.0.1")
    before(step)
    try:
        server = ThreadingHTTPServer((host, port), Answers)
    except OSError:
        say(error={"message": f"Port {port} is in use by another program.", "code": "port_in_use", "param": str(port)})
        sys.exit(75)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = Home.find()
    record = server_record.announce(home, host=host, port=server.server_port, version="1.0", token=TOKEN)
    say(event="listening", url=record.address, instance=TOKEN, pid=os.getpid())
    if step.get("deaf"):
        time.sleep(3600)
    while os.read(0, 4096):
        pass
    server_record.withdraw(home, record)


if __name__ == "__main__":
    main()
