"""What a backend or source is made with: its settings come apart, this is the machine around them.

`searcher` (ingest's hybrid search) and `library` (the models on disk) are typed `Any`: core knows nothing of those rooms;
the adapters that use them do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.core.paths import Home
from app.core.settings import Settings


@dataclass(frozen=True)
class Machine:
    """Handed to every factory of the entry point groups `ondol.backends` and `ondol.sources`: `make(name, config, machine)`."""

    home: Home
    settings: Settings
    searcher: Any
    library: Any
