"""A small program with the face of llama-server: its options, its HTTP, and ways to fail that the real one can't be told to.

What it does depends on the model's file name: `crash` ends it in the load, `refuse` with an error, `die` in mid-answer, `deaf` makes
it pass over the wish to end. Each answer is the word "tick " until `n_predict`, ten a second; who leaves is written to `left` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OPTIONS = ("--model", "--host", "--port", "--ctx-size", "--parallel", "--threads", "--threads-batch", "--gpu-layers", "--api-key")
FLAGS = ("--kv-unified", "--jinja", "--no-slots", "--version")


class Handler(BaseHTTPRequestHandler):
    model = Path()

    def log_message(self, *_: object) -> None:
        pass

    def _json(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json(200, {"status": "ok"})
        elif self.headers["authorization"] != f"Bearer {os.environ['LLAMA_API_KEY']}":
            self._json(401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}})
        else:
            self._json(200, {"default_generation_settings": {"n_ctx": 512}, "total_slots": 2})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/tokenize":
            self._json(200, {"tokens": body["content"].split()})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for _ in range(body["n_predict"]):
                self._event({"content": "tick ", "stop": False})
                if "die" in self.model.name:
                    os.kill(os.getpid(), signal.SIGSEGV)
                time.sleep(0.1)
            self._event({"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 3, "tokens_predicted": body["n_predict"]})
        except OSError:
            (self.model.parent / "left").write_text("left")

    def _event(self, event: object) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in OPTIONS:
        parser.add_argument(option)
    for flag in FLAGS:
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args()
    if args.version:
        print("version: 1 (small)", file=sys.stderr)
        return
    model = Handler.model = Path(args.model)
    if "crash" in model.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "refuse" in model.name:
        sys.exit("srv load_model: failed to load model")
    if "deaf" in model.name:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (model.parent / "pid").write_text(str(os.getpid()))
    ThreadingHTTPServer((args.host, int(args.port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
