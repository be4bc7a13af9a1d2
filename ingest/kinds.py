"""The kinds of sources: how one is begun by its name, and how it is filled again from what the book remembers of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.core.errors import ItemError, NotFound, UpstreamError
from app.core.paths import Home
from ingest.documents import Failed
from ingest.file_source import fill_from_files, look
from ingest.files import file_id, find, home_spelled, shown
from ingest.opened import Runs, closing
from ingest.options import Options
from ingest.readers.registry import Readers
from ingest.reading.client import Reading
from ingest.reading.whole import failure
from ingest.remote.address import is_remote, local, parse
from ingest.report import Report
from ingest.run import Run


class Filling:
    """What fills runs over sources of every kind. `readers` and `reading` are shared by all of them."""

    def __init__(self, home: Home, readers: Readers, reading: Reading, options: Options) -> None:
        self._home, self._readers, self._reading, self._options = home, readers, reading, options

    def named(self, runs: Runs, path: Path | str) -> Report:
        """Take in a file, a folder or an address (s3://...). One that can't be looked into is a failure in the report, and no source."""
        if isinstance(path, str) and is_remote(path):
            return self._bucket(runs, path)
        if not str(path):  # else it would be the current folder: "$FOLDER" without a value
            return runs.nothing("", [Failed("", "An empty path names nothing.")])
        return self._path(runs, home_spelled(local(str(path))))

    def again(self, run: Run, kind: str, spec: Mapping[str, Any]) -> None:
        """Bring what the store has of a known source in line with it."""
        if kind == "files":
            path = Path(spec["path"])
            walked = look(path, self._readers, run.state, links=spec.get("links", False))
            fill_from_files(run, walked, self._reading)
        elif kind == "bucket":
            from ingest.remote.source import look_into

            look_into(parse(spec["address"]), self._readers).fill(run, self._reading, self._options.limits)
        else:
            self._table(run, spec)

    def _path(self, runs: Runs, path: Path) -> Report:
        links = self._options.follow_links
        try:
            name, walked = file_id(path), find(path, self._readers, links=links)
        except (NotFound, ItemError, UpstreamError) as error:
            return runs.nothing(shown(path), [Failed(shown(path), str(error))])
        if not (walked.files or walked.folder):
            return runs.nothing(name, walked.failed)
        run = runs.by_name("files", name, {"path": str(path.absolute()), "links": links})
        with closing(run):
            fill_from_files(run, walked, self._reading)
        return run.close()

    def _bucket(self, runs: Runs, text: str) -> Report:
        from ingest.remote.source import look_into

        try:
            objects = look_into(parse(text), self._readers)
        except ItemError as error:
            return runs.nothing(text, [failure(text, error)])
        except (NotFound, UpstreamError) as error:
            return runs.nothing(text, [Failed(text, str(error))])
        run = runs.by_name("bucket", objects.name, {"address": objects.name})
        with closing(run):
            objects.fill(run, self._reading, self._options.limits)
        return run.close()

    def _table(self, run: Run, spec: Mapping[str, Any]) -> None:
        # Imported here: who ingests files alone needs no PostgreSQL driver.
        from ingest.postgres.asked import plan_of
        from ingest.postgres.database import Database
        from ingest.postgres.follow import fill
        from ingest.postgres.kept import kept_dsn

        with Database(kept_dsn(self._home, spec)) as database:
            plan, _ = plan_of(database, spec)
            fill(run, database, plan, follow=bool(spec.get("follow")), limit=self._options.slot_wal_bytes)
