"""The egress guard: this process reaches this machine, the hosts that the configuration names, and nothing else.

An audit hook sees every name that Python code resolves and every address that it connects or sends to, whatever library asks.
Native code is outside its sight (tests in a network namespace watch that), and so is an event loop in C such as uvloop.

    configured    loopback, configured hosts, and while `allow` is open what a user's own request needs (a download)
    offline       loopback and configured data sources; `allow` is refused

A database that was named to `ingest` is a data source too: `data_source` is open while it is connected to.

Offline, the proxies of the environment are forgotten too: one on this machine would carry anything out of it.
A refusal is `EgressRefused`, which is no OSError: libraries that retry or hide network errors let it through.
A process has one guard, for its whole life: `install` can't be undone. Workers get the policy of their parent.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from app.core.errors import EgressRefused
from app.core.hosts import is_this_machine, matches, named_in, normal, split

log = logging.getLogger(__name__)

QUIET: Mapping[str, str] = MappingProxyType(
    {
        "ANONYMIZED_TELEMETRY": "False",
        "DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "1",
        "OTEL_SDK_DISABLED": "true",
        "SCARF_NO_ANALYTICS": "true",
        "TRANSFORMERS_OFFLINE": "1",
    }
)


class Policy(msgspec.Struct, frozen=True):
    """What may be reached beside this machine: `places` are `host`, `host:port` or `*.domain`."""

    network: Literal["configured", "offline"] = "configured"
    places: tuple[str, ...] = ()


def policy_for(network: Literal["configured", "offline"], *, backends: Iterable[Any] = (), sources: Iterable[Any] = ()) -> Policy:
    """The policy that pieces of configuration (URLs, DSNs, mappings with a `host`) ask for; offline leaves the backends out."""
    asked = [*sources, *(() if network == "offline" else backends)]
    places = {place for piece in asked for place in named_in(piece, "host") if not is_this_machine(split(place)[0])}
    return Policy(network, tuple(sorted(places)))


class Guard:
    """The decision, and what has been resolved so far. Thread-safe; `install` makes the one that is in force."""

    def __init__(self, policy: Policy, *, own_name: str = "") -> None:
        self.policy = policy
        self._own_name = normal(own_name)
        self._granted: Counter[str] = Counter()
        self._names: dict[str, set[str]] = {}  # address -> the names that it was resolved from
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def places(self) -> tuple[str, ...]:
        """All that may be reached now beside this machine."""
        with self._lock:
            return (*self.policy.places, *self._granted)

    def may_reach(self, host: str, port: int | None = None) -> bool:
        """Whether a name or an address may be resolved or connected to."""
        host = normal(host)
        if is_this_machine(host) or host == self._own_name:
            return True
        places = self.places()
        with self._lock:
            known = (host, *self._names.get(host, ()))
        return any(matches(place, name, port) for place in places for name in known)

    def check(self, host: str, port: int | None = None) -> None:
        """Raise EgressRefused where `host` may not be reached."""
        if self.may_reach(host, port) or (_is_address(host) and self._resolves_to(host) and self.may_reach(host, port)):
            return
        place = f"{host}:{port}" if port else host
        if place not in self._told:
            self._told.add(place)
            log.warning("refused a connection to %s", place)
        raise refusal(place, self.policy)

    def learn(self, name: str, found: Iterable[Any]) -> None:
        """Remember what `getaddrinfo` answered for a name, so that connecting to these addresses counts as reaching it."""
        with self._lock:
            for entry in found:
                self._names.setdefault(normal(str(entry[4][0])), set()).add(normal(name))

    def _resolves_to(self, address: str) -> bool:
        """For addresses that native code resolved out of our sight: ask what the allowed names stand for now."""
        for place in self.places():
            host, _ = split(place)
            if not host.startswith("*") and not _is_address(host):
                with contextlib.suppress(OSError):
                    self.learn(host, socket.getaddrinfo(host, None))
        with self._lock:
            return normal(address) in self._names

    @contextlib.contextmanager
    def allow(self, *places: str) -> Iterator[None]:
        """More places for as long as a user's own request needs them, and the proxy that the system names for the way there."""
        if self.policy.network == "offline":
            raise refusal(places[0] if places else "the network", self.policy)
        with self.data_source(*places, *named_in(list(urllib.request.getproxies().values()))):
            yield

    @contextlib.contextmanager
    def data_source(self, *places: str) -> Iterator[None]:
        """Places of data that the owner has named for `ingest`: reached while this is open, under every network setting."""
        with self._lock:
            self._granted.update(places)
        try:
            yield
        finally:
            with self._lock:
                self._granted.subtract(places)
                self._granted += Counter()  # drops those that nobody needs any more

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """What `sys.addaudithook` calls for every audited event of the process."""
        if event[:7] != "socket.":
            return
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sock, address = args[0], args[1]
            if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
                self.check(_text(address[0]), address[1])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr") and args[0] is not None:
            self.check(_text(args[0]))
        elif event == "socket.getnameinfo":
            self.check(_text(args[0][0]))


def refusal(place: str, policy: Policy) -> EgressRefused:
    """The error for a place, with the setting that decides."""
    if policy.network == "offline":
        hint = "`network: offline` allows this machine and configured data sources only."
    else:
        hint = "Only hosts that the configuration names may be reached: name it in a backend or a source if you want that."
    return EgressRefused(f"The network policy refused a connection to {place}.", hint=hint)


_installed: Guard | None = None


def install(policy: Policy) -> Guard:
    """Put the guard in force for the rest of this process's life. A second call must bring the same policy: else RuntimeError."""
    global _installed  # an audit hook belongs to the process, and so does its guard
    if _installed is not None:
        if _installed.policy != policy:
            raise RuntimeError("this process has an egress guard with another policy already")
        return _installed
    guard = _installed = Guard(policy, own_name=socket.gethostname())
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        found = resolve(host, *args, **options)
        if host is not None:
            guard.learn(_text(host), found)
        return found

    socket.getaddrinfo = getaddrinfo
    for method in ("connect", "connect_ex", "sendto", "sendmsg", "bind"):
        if hasattr(socket.socket, method):  # Windows has no sendmsg
            setattr(socket.socket, method, _checking_names(guard, getattr(socket.socket, method)))
    if policy.network == "offline":
        forget_proxies(os.environ)
    _watch_overlapped_connects(guard)
    sys.addaudithook(guard.hook)
    return guard


def current() -> Policy | None:
    """The policy in force in this process, None where there is no guard."""
    return _installed.policy if _installed else None


@contextlib.contextmanager
def allow(*places: str) -> Iterator[None]:
    """`Guard.allow` of the guard in force; without one, nothing is refused anyway."""
    with _installed.allow(*places) if _installed else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def data_source(*places: str) -> Iterator[None]:
    """`Guard.data_source` of the guard in force."""
    with _installed.data_source(*places) if _installed else contextlib.nullcontext():
        yield


def quiet_libraries(environ: MutableMapping[str, str]) -> None:
    """Tell libraries by their own variables to stay home. Before they are imported: most read them once."""
    environ.update(QUIET)


def forget_proxies(environ: MutableMapping[str, str]) -> None:
    """Take the proxies out, for this process and its children: libraries would hand everything to them, this machine's own ways too."""
    for name in [name for name in environ if name.lower().endswith("_proxy")]:
        del environ[name]
    # Said outright, else macOS and Windows are asked for the proxies of their own settings. Both spellings: some read one only.
    environ["NO_PROXY"] = environ["no_proxy"] = "*"


def _checking_names(guard: Guard, method: Callable[..., Any]) -> Callable[..., Any]:
    """A socket's method, with a name in its address (always the last argument) checked before Python resolves it unaudited."""
    binds = method.__name__ == "bind"

    @functools.wraps(method)
    def checked(sock: socket.socket, *args: Any) -> Any:
        if args and isinstance(args[-1], tuple) and args[-1] and isinstance(args[-1][0], (str, bytes)):
            host = _text(args[-1][0])
            # To listen on an address reaches nobody; a name would be asked for.
            if not (binds and _is_address(host)):
                guard.hook("socket.connect", (sock, args[-1]))
        return method(sock, *args)

    return checked


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)


def _is_address(host: str) -> bool:
    host = normal(host)
    return ":" in host or host.replace(".", "").isdigit()


if sys.platform == "win32":

    def _watch_overlapped_connects(guard: Guard) -> None:
        """Windows' event loop connects, and sends datagrams, without an audit event."""
        from asyncio.windows_events import IocpProactor

        connect, send = IocpProactor.connect, IocpProactor.sendto

        def checked(self: IocpProactor, conn: socket.socket, address: Any) -> Any:
            guard.hook("socket.connect", (conn, address))
            return connect(self, conn, address)

        def checked_send(self: IocpProactor, conn: socket.socket, buf: Any, flags: int = 0, addr: Any = None) -> Any:
            if addr is not None:
                guard.hook("socket.sendto", (conn, addr))
            return send(self, conn, buf, flags, addr)

        IocpProactor.connect = checked  # type: ignore[method-assign]
        IocpProactor.sendto = checked_send  # type: ignore[method-assign]

else:

    def _watch_overlapped_connects(guard: Guard) -> None:
        """Nothing to do: every connect of Python's own event loops is audited."""
