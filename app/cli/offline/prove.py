"""`ondol doctor --offline`: every part in turn; one that fails stops no other."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from app.cli.offline import allowed, sockets, told
from app.cli.offline.report import Check, Part, Report
from app.core import egress
from app.core.egress import Guard, Policy, policy_for
from app.core.errors import BadSetting, OndolError
from app.core.paths import Home
from app.core.server_record import running
from app.core.settings import Settings, load_settings, plain
from app.core.workers.parent import Worker

TRIAL_SECONDS = 1800.0
Step = Callable[[str], None]


def examine(home: Home, *, run: bool, step: Step) -> Report:
    """The whole report. Puts the offline policy in force in this process: for a command that ends with it.

    `step` is told what is done now; `run` adds the trial.
    """
    settings, fault = _settings(home)
    network: Literal["configured", "offline"] = settings.network if settings else "offline"
    backends, sources = allowed.addresses(settings) if settings else ([], [])
    step("what the configuration allows")
    parts = [
        Part(
            "What holds",
            "The setting, and every host that the configuration allows, with who names it.",
            tuple(
                allowed.checks(home, settings) if settings else [Check("the settings", False, fault, "Mend them: `ondol config check`.")]
            ),
        )
    ]
    step("what is open now")
    # Before the policy is in force here: what a name of the configuration stands for may have to be asked.
    server = running(home)
    policy = policy_for(network, backends=backends, sources=sources)
    # Ingested databases are data sources too: the server looks at rows that it cites, and syncs are its children.
    policy = msgspec.structs.replace(policy, places=(*policy.places, *allowed.database_hosts(home)))
    looked = tuple(sockets.checks(server, _word_of(policy), network))
    egress.install(policy_for("offline", sources=sources))
    step("the ways out")
    parts.append(
        Part(
            "What was tried, and what came of it",
            "In a process under the policy `network: offline`, with addresses set aside for documentation (RFC 5737, RFC 3849) and "
            "names that nobody owns. Each attempt has to be refused before a packet exists. Native code is not tried with real "
            "addresses: a guard that failed would really send.",
            tuple(_tried()),
        )
    )
    step("what libraries were told")
    parts.append(
        Part(
            "Which libraries were told",
            "Read inside a process that was started as the server starts each of its workers (engine, embedder, index), and in "
            "the environment of those that run.",
            (*_told(), *(told.family(server.pid) if server else ())),
        )
    )
    parts.append(Part("What is open now", "Every internet socket of the running server and of the processes that it started.", looked))
    if run:
        step("a trial in a network with loopback alone (this takes a minute)")
        about = "In a Linux network namespace with loopback alone, with the installed models over a temporary data folder."
        parts.append(Part("The product at work without a network", about, tuple(_trial(home, settings))))
    return Report(tuple(_facts(home, settings)), tuple(parts), _advice(home, settings, run=run))


def _settings(home: Home) -> tuple[Settings | None, str]:
    try:
        return load_settings(home, environ=os.environ, flags={}), ""
    except BadSetting as error:
        return None, error.message


def _facts(home: Home, settings: Settings | None) -> Iterator[tuple[str, str]]:
    yield "date", datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    try:
        yield "version", f"Ondol {metadata.version('ondol')}, Python {platform.python_version()}"
    except metadata.PackageNotFoundError:
        yield "version", f"Ondol (not installed), Python {platform.python_version()}"
    yield "machine", f"{platform.node()}, {platform.system()} {platform.release()} {platform.machine()}"
    yield "data folder", str(home.root)
    yield "settings file", f"{home.config}{'' if home.config.exists() else ' (there is none: defaults)'}"
    yield "network", f"`{settings.network}`, set by {settings.where('network')}" if settings else "the settings can't be read"


def _advice(home: Home, settings: Settings | None, *, run: bool) -> str:
    said = []
    if settings is not None and settings.network != "offline":
        said.append(
            "The setting is `network: configured`: the hosts above, and a model's own host during a download, may be reached. "
            f"The attempts were made under `offline`. Set `network: offline` in {home.config} to keep it so."
        )
    if not run:
        said.append("`--run` (Linux) adds a trial: the product at work where there is no network at all.")
    said.append(
        "Not looked at: the browser that shows a chat page, PostgreSQL itself, and the name look-ups of its own library for a database "
        "that you ingest from."
    )
    return "\n\n".join(said)


def _word_of(policy: Policy) -> Callable[[str, int], bool]:
    guard = Guard(policy)

    def may_reach(host: str, port: int) -> bool:
        try:
            guard.check(host, port)
        except OndolError:
            return False
        return True

    return may_reach


def _tried() -> Iterator[Check]:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        # As some machines have one. Loopback is allowed, so that only not being asked keeps it from carrying everything out.
        found = _by_worker("app.cli.offline.attempts", dict.fromkeys(("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address))
        proxy.settimeout(0)
        try:
            proxy.accept()[0].close()
            asked = True
        except BlockingIOError:
            asked = False
    if isinstance(found, OndolError):
        yield Check("the attempts", False, f"they could not be made: {found}")
        return
    yield Check("the policy of that process", found["policy"] == "offline", found["policy"] or "none")
    yield Check("this machine itself (the control)", not found["control"], found["control"] or "reached, as it should be")
    for what, refused, outcome in found["ways"]:
        yield Check(what, refused, outcome, "" if refused else "Report this with the whole page.")
    yield Check("a proxy on this machine, named by the environment", not asked, "a library asked it" if asked else "nobody asked it")


def _told() -> Iterator[Check]:
    found = _by_worker("app.cli.offline.told")
    if isinstance(found, OndolError):
        yield Check("the look", False, f"it could not be made: {found}")
        return
    yield told.variables("a worker's environment", found["variables"])
    yield from told.views(found["views"])


def _by_worker(module: str, environment: Mapping[str, str] | None = None) -> Any:
    """What a worker of this module answers, or the error that it ended with."""

    async def ask() -> Any:
        # A folder of its own: the report leaves nothing in the data folder's logs.
        with tempfile.TemporaryDirectory(prefix="ondol-offline-", ignore_cleanup_errors=True) as logs:
            worker = Worker("offline", module, {}, logs=Path(logs), environment=environment)
            try:
                return await worker.call("look", timeout=300)
            except OndolError as error:
                return error
            finally:
                await worker.stop()

    return asyncio.run(ask())


def _trial(home: Home, settings: Settings | None) -> Iterator[Check]:
    if sys.platform != "linux":
        yield Check("the trial", False, "only Linux lets a process leave the network", "Switch the network off and ask a question.")
        return
    asked = {"models": str(home.models.resolve()), "settings": plain(settings)["models"] if settings else {}}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-X", "utf8", "-m", "app.cli.offline.trial"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Check("the trial", False, f"it did not end within {TRIAL_SECONDS:.0f} s")
        return
    for line in done.stdout.splitlines():
        yield msgspec.json.decode(line, type=Check)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        yield Check("the trial", False, f"it ended with status {done.returncode}: {said[-1] if said else 'it said nothing'}")
