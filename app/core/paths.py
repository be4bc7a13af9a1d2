"""Where Ondol keeps things. Everything lies under one folder, so that a backup or a removal is one folder too.

ONDOL_HOME (else the platform's user data folder)
  config.yaml       the settings (optional)
  key               the API key, readable by its owner alone
  secrets.json      passwords of ingested databases, readable by their owner alone
  book.db           documents, chunks, vectors, sync state, outbox: the truth
  state.db          answers, feedback, caches, the ledger
  index/            Chroma directories, one per generation: can be rebuilt from the book
  models/           one folder per model
  cache/            what models have read of chats; may be deleted
  logs/             rotating logs, one per process
  locks/            one file per thing that has one owner
  server.json       the running server: pid, address, instance token
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from app.core.errors import BadSetting


@dataclass(frozen=True)
class Home:
    """The folder of all data, and the names in it."""

    root: Path

    @classmethod
    def find(cls) -> Home:
        """`ONDOL_HOME`, else the platform's user data folder. Created when missing; BadSetting when it can't be used."""
        named = os.environ.get("ONDOL_HOME")
        root = Path(named).expanduser().absolute() if named else Path(platformdirs.user_data_dir("ondol", appauthor=False))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSetting(
                f"The data folder {root} can't be made: {error.strerror}.", hint="Set ONDOL_HOME to a folder that you can write to."
            ) from None
        if not os.access(root, os.W_OK):
            raise BadSetting(f"The data folder {root} can't be written to.", hint="Set ONDOL_HOME to a folder that you can write to.")
        return cls(root)

    @property
    def config(self) -> Path:
        """The settings file; `ONDOL_CONFIG` names another."""
        named = os.environ.get("ONDOL_CONFIG")
        return Path(named).expanduser().absolute() if named else self.root / "config.yaml"

    @property
    def key(self) -> Path:
        """The file that holds the API key."""
        return self.root / "key"

    @property
    def secrets(self) -> Path:
        """Passwords of ingested databases, by redacted DSN."""
        return self.root / "secrets.json"

    @property
    def book(self) -> Path:
        """The SQLite file that ingest alone writes."""
        return self.root / "book.db"

    @property
    def state(self) -> Path:
        """The SQLite file that the server alone writes."""
        return self.root / "state.db"

    @property
    def index(self) -> Path:
        """The folder of the vector index, owned by the index worker."""
        return self.root / "index"

    @property
    def models(self) -> Path:
        """One folder per model."""
        return self.root / "models"

    @property
    def cache(self) -> Path:
        """What only saves time and may be deleted."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """Rotating logs."""
        return self.root / "logs"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.root / "locks"

    @property
    def server(self) -> Path:
        """What the running server says of itself."""
        return self.root / "server.json"
