"""What kind of computer this is and how Ondol stands on it, as plain values for who helps. Names no person and asks no network."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import locale
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from app.core.paths import Home
from app.core.server_record import running

DESKTOP = ("XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "DISPLAY", "WAYLAND_DISPLAY", "LANG", "LC_ALL", "LANGUAGE")
MANY = 20_000  # files of a folder that are counted


def facts(home: Home) -> dict[str, Any]:
    """All of it; one that can't be found out says why instead."""
    return {
        "at": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "system": _tried(_system),
        "memory": _tried(_memory),
        "disk": _tried(lambda: _disk(home.root)),
        "files": _tried(lambda: _files(home)),
        "server": _tried(lambda: _server(home)),
        "environment": {
            **{name: os.environ[name] for name in DESKTOP if name in os.environ},
            # Names alone: what others of them hold is not for others.
            "set": sorted(name for name in os.environ if name.startswith("ONDOL_")),
            "session_bus": "DBUS_SESSION_BUS_ADDRESS" in os.environ,
        },
    }


def packages() -> list[str]:
    """`name==version` of every installed distribution."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in importlib.metadata.distributions() if one.metadata["Name"]}
    return sorted(found, key=str.lower)


def _tried(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - what a broken computer raises is a fact too
        return f"not available: {type(error).__name__}: {error}"


def _system() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": sys.version,
        "python_at": sys.executable,
        "cpus": os.cpu_count(),
        "usable_cpus": len(affinity()) if (affinity := getattr(psutil.Process(), "cpu_affinity", None)) else None,
        "load": psutil.getloadavg(),
        "up_hours": round((time.time() - psutil.boot_time()) / 3600, 1),
        "locale": locale.getlocale()[0],
        "filesystem_encoding": sys.getfilesystemencoding(),
    }


def _memory() -> dict[str, float]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "total_gb": round(memory.total / 1e9, 2),
        "available_gb": round(memory.available / 1e9, 2),
        "swap_gb": round(swap.total / 1e9, 2),
        "swap_used_gb": round(swap.used / 1e9, 2),
    }


def _disk(root: Path) -> dict[str, Any]:
    usage = shutil.disk_usage(root)
    return {"total_gb": round(usage.total / 1e9, 2), "free_gb": round(usage.free / 1e9, 2), "writable": os.access(root, os.W_OK)}


def _files(home: Home) -> dict[str, Any]:
    """Bytes, and of folders the number of files too."""
    found: dict[str, Any] = {}
    for path in sorted(home.root.iterdir()):
        with contextlib.suppress(OSError):
            found[path.name] = path.stat().st_size if path.is_file() else _folder(path)
    with contextlib.suppress(OSError):
        found["models"] = {path.name: _folder(path) for path in sorted(home.models.iterdir()) if path.is_dir()}
    return found


def _folder(path: Path) -> dict[str, int]:
    count = size = 0
    for one in path.rglob("*"):
        with contextlib.suppress(OSError):
            if one.is_file():
                count, size = count + 1, size + one.stat().st_size
        if count >= MANY:
            break
    return {"files": count, "bytes": size}


def _server(home: Home) -> Any:
    record = running(home)
    if record is None:
        return "not running"
    process = psutil.Process(record.pid)
    family = [process, *process.children(recursive=True)]
    told: list[dict[str, Any]] = []
    for one in family:
        with contextlib.suppress(psutil.Error):
            told.append({"pid": one.pid, "name": one.name(), "status": one.status(), "memory_mb": one.memory_info().rss // 1_000_000})
    return {"address": record.address, "version": record.version, "network": record.network, "processes": told}
