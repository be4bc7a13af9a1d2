"""A real worker that does what its settings and requests tell it to: answer, stream, hang, crash, make noise, refuse to start."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from app.core.errors import BadRequest
from app.core.workers.child import Channel
from app.core.workers.frames import Call

SEEN_CANCELS: list[int] = []
ENDED = threading.Event()


def crash(how: str) -> None:
    faulthandler.disable()
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    os._exit(3)


def noise() -> None:
    print("from Python")
    os.write(1, b"from a system call\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"from C")
    libc.fflush(None)


def answer(channel: Channel, call: Call) -> None:  # noqa: C901  # one branch for each thing that it can be told
    body: Any = call.body
    try:
        match call.op:
            case "echo":
                channel.done(call.id, body)
            case "who":
                channel.done(call.id, {"pid": os.getpid(), "request_id": call.request_id})
            case "stream":
                for number in range(body["count"]):
                    if channel.cancelled(call.id):
                        break
                    channel.item(call.id, {"of": body.get("name"), "number": number})
                    time.sleep(body.get("pause", 0))
                channel.done(call.id)
            case "hang":
                while not channel.cancelled(call.id):
                    time.sleep(0.01)
                SEEN_CANCELS.append(call.id)
                channel.done(call.id)
            case "cancels":
                channel.done(call.id, SEEN_CANCELS)
            case "bytes":
                channel.done(call.id, bytes(body))
            case "crash":
                crash(body)
            case "noise":
                noise()
                channel.done(call.id, "quiet here")
            case "babble":
                channel._out.write(b"this is no frame at all")
            case "deafen":
                os.dup2(os.pipe()[0], channel._in.fileno())
                channel.done(call.id, "what?")
            case "close":
                channel._out.close()
                time.sleep(60)
            case "refuse":
                raise BadRequest("That can't be done.", hint="Do it otherwise.", param="body")
            case "stumble":
                raise KeyError("something foreign")
            case "connect":
                socket.create_connection(tuple(body), timeout=1).close()
                channel.done(call.id)
            case "event":
                channel.event(body)
                channel.done(call.id)
    except Exception as error:  # noqa: BLE001  # every failure is the request's answer
        channel.error(call.id, error)


def main() -> None:  # noqa: C901  # one branch for each way to start
    with Channel.open(linger=5.0 if "--linger" in os.environ.get("WORKER_PROGRAM", "") else 0.0) as channel:
        settings = channel.settings
        if settings.get("ignore_sigterm"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if tally := settings.get("tally"):
            with Path(tally).open("a") as file:
                file.write(f"{os.getpid()}\n")
        match settings.get("start"):
            case "refuse":
                raise BadRequest("This model file is broken.")
            case "stumble":
                raise RuntimeError("a library gave up")
            case "crash":
                crash("segfault")
            case "hang":
                time.sleep(60)
            case "slow":
                time.sleep(0.5)
        channel.on_cancel = lambda _: ENDED.set()
        channel.hello({"pid": os.getpid(), "argument": settings.get("argument")})
        if settings.get("start") == "farewell":
            os._exit(0)
        while (call := channel.get()) is not None:
            if call.op == "block":  # the main thread is inside something that does not look at the channel
                time.sleep(60)
            elif call.op == "compute":  # and here inside something that can be told to end
                ENDED.wait(60)
            elif call.op != "cancel":
                threading.Thread(target=answer, args=(channel, call), daemon=True).start()
        if last_words := settings.get("last_words"):
            time.sleep(0.2)
            Path(last_words).write_text("finished", encoding="utf-8")


if __name__ == "__main__":
    main()
    sys.exit(0)
