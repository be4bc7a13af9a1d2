"""Examples are judged by what is true of them, not by how long a busy machine takes for one."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ondol", deadline=None)
settings.load_profile("ondol")
