"""What this machine gives to one process: cores under affinity and container limits, and free memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from models.engine.fit import Machine

_CGROUP2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
_MEMORY = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def look(*, free_vram: int = 0) -> Machine:
    """The machine as this process may use it now."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return Machine(
        physical_cores=psutil.cpu_count(logical=False) or affinity,
        usable_cores=min(affinity, quota) if quota else affinity,
        free_memory=min([psutil.virtual_memory().available, *_container_memory()]),
        free_vram=free_vram,
    )


def _quota() -> int:
    """Whole cores that the container may use, at least 1; 0 where there is no limit."""
    try:
        quota, period = _CGROUP2.read_text().split() if _CGROUP2.exists() else (path.read_text().strip() for path in _CGROUP1)
        return max(1, int(quota) // int(period)) if quota != "max" and int(quota) > 0 else 0
    except (OSError, ValueError, ZeroDivisionError):
        return 0


def _container_memory() -> list[int]:
    found = []
    for limit, used in _MEMORY:
        try:
            found.append(max(0, int(limit.read_text()) - int(used.read_text())))
        except (OSError, ValueError):
            continue  # no such limit here
    return found
