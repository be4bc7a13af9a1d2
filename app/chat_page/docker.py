"""Open WebUI in a docker engine of this machine: which image, and the line that starts it. Nothing is ever pulled."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

OFFICIAL = "ghcr.io/open-webui/open-webui"
TAGS = ("main", "latest", "slim", "main-slim")  # in this order before all others
ASK_SECONDS = 15.0
DATA = "/app/backend/data"
INSIDE_PORT = 8080


def image(client: str) -> str | None:
    """The image that the engine has; None where it has none, or does not answer."""
    try:
        asked = subprocess.run(
            [client, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return choose(asked.stdout.split()) if asked.returncode == 0 else None


def choose(images: Iterable[str]) -> str | None:
    """Of `repository:tag` names the one to start: the official repository before copies, plain tags before others."""

    def rank(name: str) -> tuple[bool, int]:
        repository, _, tag = name.rpartition(":")
        return repository != OFFICIAL, TAGS.index(tag) if tag in TAGS else len(TAGS)

    fitting = [name for name in images if name.rpartition(":")[0].split("/")[-1] == "open-webui" and not name.endswith(":<none>")]
    return min(fitting, key=rank, default=None)


def container(data: Path) -> str:
    """One name per data folder, so that what a killed run left can be told and removed."""
    return f"ondol-open-webui-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"


def line(client: str, image: str, *, name: str, port: int, data: Path, variables: Iterable[str], host_network: bool) -> list[str]:
    """The command. Values of `variables` are taken from its environment: a command line can be read by everybody on the machine."""
    if host_network:
        # In the host's own network it listens on loopback alone, and reaches our server there.
        network = ["--network", "host", "--env", "HOST=127.0.0.1", "--env", f"PORT={port}"]
    else:
        network = ["--publish", f"127.0.0.1:{port}:{INSIDE_PORT}"]
    passed = [word for variable in sorted(variables) for word in ("--env", variable)]
    mounted = ["--mount", f"type=bind,source={data},target={DATA}"]
    return [client, "run", "--rm", "--pull", "never", "--name", name, *network, *passed, *mounted, image]


def remove(client: str, name: str) -> None:
    """End a container and take it away; nothing happens where there is none."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run([client, "rm", "--force", name], capture_output=True, timeout=ASK_SECONDS, check=False)
