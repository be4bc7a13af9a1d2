"""Open WebUI as our chat page: found, connected, started, watched, ended. Reads as: find -> serve -> connect -> start -> wait -> keep.

One page per home. It keeps its data in `open-webui/data` there, so that accounts and chats survive.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.chat_page import beside, database, docker, environment, reach, record
from app.chat_page.child import Child, end_group
from app.chat_page.connection import FROM_DOCKER, Connection, from_docker
from app.chat_page.doing import doing
from app.chat_page.finding import Installation, find
from app.core import atomic_file, ports
from app.core.credentials import api_key
from app.core.errors import BadSetting, Cancelled, Conflict, Deadline, Forbidden, UpstreamError
from app.core.locks import FileLock
from app.core.paths import Home
from app.core.settings import Settings

NOTE_SECONDS = 10.0
LOCK = "open-webui.lock"

# What happens, for programs: a word and its values; and the same for people.
Tell = Callable[[str, dict[str, Any], str], None]


class Wish(msgspec.Struct, frozen=True):
    """What the user asked for. `seconds` is how long Open WebUI may take to answer.

    `server`, an address, for who keeps the server: none is looked for, none started.
    """

    port: int = 8080
    login: bool = True
    browser: bool = True
    docker: bool = False
    path: Path | None = None
    seconds: float = 180.0
    server: str = ""


class Page:
    """One run of `ondol open-webui` over `home`, until `stop` is set. What happens goes to `tell`."""

    def __init__(self, home: Home, settings: Settings, wish: Wish, tell: Tell, stop: threading.Event) -> None:
        self._home, self._settings, self._wish, self._tell, self._stop = home, settings, wish, tell, stop
        self._folder = home.root / "open-webui"
        self._data = self._folder / "data"
        self._log = home.logs / "open-webui.log"

    def run(self) -> None:
        """Returns when it was stopped, or when the page of another run has been shown. Errors say what to do."""
        with contextlib.suppress(Cancelled), contextlib.ExitStack() as held:
            try:
                held.enter_context(FileLock(self._home.locks / LOCK, wait=0, who="ondol open-webui"))
            except Conflict:
                self._join()
                return
            self._own()

    def _join(self) -> None:
        """Another run keeps the page: show it as soon as it answers."""
        end = time.monotonic() + self._wish.seconds
        while time.monotonic() < end:
            found = record.read(self._folder)
            if found is not None and found.alive and reach.is_page(found.url):
                self._ready(found.url, already=True, seconds=0.0)
                return
            if self._stop.wait(0.5):
                raise Cancelled
        raise Deadline("Another `ondol open-webui` is starting, but its page does not answer.", hint=f"End it, and see {self._log}.")

    def _own(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's chats
        self._data.mkdir(exist_ok=True)
        self._end_leftover()
        port = self._wish.port
        if not ports.is_free(port):
            free = reach.free_port(port)
            raise Conflict(f"Port {port} is in use by another program.", hint=f"Port {free} is free: ondol open-webui --port {free}")
        found = find(
            path=self._wish.path, own=self._folder, in_docker=self._wish.docker, executable=Path(sys.executable), environ=os.environ
        )
        self._check_login()
        host_network = sys.platform == "linux"
        apart = found.kind == "docker" and not host_network  # a machine of its own, seen from our server
        more = {"ONDOL_SERVER__ALLOWED_HOSTS": ",".join({*self._settings.server.allowed_hosts, FROM_DOCKER})} if apart else {}
        with (
            contextlib.nullcontext(beside.Server(self._wish.server))
            if self._wish.server
            else beside.server(self._home, self._settings.server.port, more, self._stop)
        ) as server:
            self._tell(
                "server",
                {"url": server.address, "started": server.started},
                f"The Ondol server {'was started' if server.started else 'runs'} at {server.address}.",
            )
            if apart:
                _check_host(server.address)
            address = from_docker(server.address) if apart else server.address
            wanted = Connection(f"{address}/v1", api_key(self._home))
            self._connect(wanted)
            with self._started(found, wanted, host_network=host_network) as child:
                self._wait(child, server)
                self._connect(wanted)
                self._keep(child, server)

    def _end_leftover(self) -> None:
        """An Open WebUI whose keeper was killed: its server may be gone, so it is ended and begun again."""
        found = record.read(self._folder)
        if found is not None and found.alive:
            self._tell("leftover", {"pid": found.pid}, "Ending the Open WebUI that an earlier run left behind.")
            end_group(found.pid, 10.0)
        record.withdraw(self._folder)

    def _check_login(self) -> None:
        path = self._data / database.NAME
        count, without = database.accounts(path) if path.is_file() else (0, False)
        if not self._wish.login and count and not without:
            raise Conflict(
                f"This Open WebUI has {count} account{'s' if count > 1 else ''} already, so it can't go without a login any more.",
                hint=f"Start it without --no-login; or move {self._data} away to begin anew, without its accounts and chats.",
            )
        if self._wish.login and not count:
            self._tell("account", {"email": ""}, "The first account that is made on its page becomes its administrator's.")
        if self._wish.login and without:
            self._tell(
                "account",
                {"email": database.NO_LOGIN_ACCOUNT},
                f"It was used without a login before: sign in as {database.NO_LOGIN_ACCOUNT} with the password `admin`, and change it.",
            )

    def _connect(self, wanted: Connection) -> None:
        """The connection in its database, where there is one. Its first start makes it, with our environment for its first values."""
        path = self._data / database.NAME
        if not path.is_file() or not database.is_current(path):
            return
        try:
            change = database.connect(path, wanted)
        except Forbidden as error:  # a container's files are root's; what it knows already may still be right
            self._tell("unwritable", {"database": str(path), "address": wanted.address}, f"Note: {error}")
            return
        if change.rows:
            said = "; ".join(change.reasons)
            self._tell(
                "connected", {"address": wanted.address, "changed": list(change.reasons)}, f"Connected to {wanted.address} ({said})."
            )
        for url in change.outside:
            self._tell(
                "outside", {"url": url}, f"Note: its connection {url} is outside of this machine, and is asked whenever a page opens."
            )

    @contextlib.contextmanager
    def _started(self, found: Installation, wanted: Connection, *, host_network: bool) -> Iterator[Child]:
        port, in_docker = self._wish.port, found.kind == "docker"
        url = f"http://127.0.0.1:{port}"
        ours = environment.connected(wanted) | environment.offline()
        ours |= environment.own_page(
            port=port, secret=self._secret(), login=self._wish.login, slim=found.slim, data="" if in_docker else str(self._data)
        )
        environ = environment.for_child(os.environ, ours, offline=self._settings.network == "offline")
        line = [found.program, "serve", "--host", "127.0.0.1", "--port", str(port)]
        name = docker.container(self._data)
        if in_docker:
            docker.remove(found.program, name)
            passed = [*ours, "NO_PROXY", "no_proxy"]
            line = docker.line(
                found.program, found.image, name=name, port=port, data=self._data, variables=passed, host_network=host_network
            )
        self._tell(
            "starting",
            {"url": url, "kind": found.kind, "program": found.image or found.program, "data": str(self._data), "log": str(self._log)},
            f"Starting {found.name}. This takes up to a minute, the first time longer.",
        )
        child = Child(line, environ, self._data, self._log)
        try:
            record.announce(self._folder, child.pid, port)
            yield child
        finally:
            self._tell("stopping", {}, "Ending Open WebUI.")
            child.stop()
            if in_docker:
                docker.remove(found.program, name)
            record.withdraw(self._folder)

    def _secret(self) -> str:
        """Signs its logins: made once, else everybody would be logged out at each start."""
        path = self._folder / "secret_key"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if kept := path.read_text(encoding="utf-8").strip():
                return kept
        made = secrets.token_urlsafe(36)
        atomic_file.write(path, made + "\n")
        return made

    def _wait(self, child: Child, server: beside.Server) -> None:
        began, told, url = time.monotonic(), "", f"http://127.0.0.1:{self._wish.port}"
        spoke = began
        while not reach.is_page(url):
            now = time.monotonic()
            self._check(child, server)
            if now - began > self._wish.seconds:
                raise Deadline(
                    f"Open WebUI did not answer within {self._wish.seconds:.0f} s. The end of its log:\n{child.said()}",
                    hint=f"\nSee {self._log}.",
                )
            step = doing(self._log)
            if step != told or now - spoke > NOTE_SECONDS:
                told, spoke = step, now
                self._tell("doing", {"text": step, "seconds": round(now - began, 1)}, f"  {now - began:3.0f} s  {step}")
            if self._stop.wait(0.3):
                raise Cancelled
        self._ready(url, already=False, seconds=round(time.monotonic() - began, 1))

    def _ready(self, url: str, *, already: bool, seconds: float) -> None:
        shown = self._wish.browser and reach.open_browser(url, os.environ)
        words = "Open WebUI runs already" if already else "Open WebUI is ready"
        self._tell(
            "ready",
            {"url": url, "already": already, "seconds": seconds},
            f"{words}: {url}{'' if shown else '  (open it in a browser)'}" + ("" if already else "\nCtrl-C ends it."),
        )

    def _keep(self, child: Child, server: beside.Server) -> None:
        while not self._stop.wait(0.5):
            self._check(child, server)

    def _check(self, child: Child, server: beside.Server) -> None:
        if (status := child.ended()) is not None:
            raise UpstreamError(
                f"Open WebUI ended by itself (status {status}). The end of its log:\n{child.said()}", hint=f"\nSee {self._log}."
            )
        if server.ended:
            raise UpstreamError("The Ondol server ended.", hint=f"See {self._home.logs}, then start again.")


def _check_host(address: str) -> None:
    answer = reach.get(f"{address}/health/live", host=FROM_DOCKER)
    if answer is None or answer[0] >= 400:
        raise BadSetting(
            f"The Ondol server at {address} refuses Docker's name for this machine.",
            hint=f"Set `server: {{allowed_hosts: [{FROM_DOCKER}]}}` in config.yaml, and start it again.",
        )
