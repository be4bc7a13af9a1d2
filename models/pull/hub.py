"""`hf:OWNER/NAME[:QUANT or FILE]`: a model of a hub that speaks Hugging Face's API. The only importer of huggingface_hub.

The library knows the hub: endpoint (`HF_ENDPOINT`), token (`HF_TOKEN`), what a repository holds, its hashes. The bytes come
through `models.pull.http`, because since 2.x the library drops a half file when its process ends (huggingface_hub 2.4).
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app.core.errors import Forbidden, ItemError, NotFound, NotReady, OndolError, UpstreamError
from models import disk
from models.pull.choose import Choice, choose
from models.pull.http import MAGIC, download
from models.pull.spec import Progress, Spec, Told
from models.pull.stage import Delivered

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo


class Remote(msgspec.Struct, frozen=True):
    """One file of a repository. `sha256` for large files, `blob` (git's SHA-1) for small ones; empty where the hub says neither."""

    size: int
    sha256: str = ""
    blob: str = ""


def deliver(spec: Spec, area: Path, told: Told) -> Delivered:
    """The chosen files of one commit, below `area`. NotFound, Forbidden, UpstreamError, ItemError, DiskFull."""
    told(Progress("finding", text=spec.name))
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise NotReady(
            "huggingface_hub is not installed.", hint="Install Ondol with its local parts: pip install 'ondol[local]'."
        ) from None
    try:
        info = huggingface_hub.HfApi().model_info(spec.name, files_metadata=True)
        remotes = _remotes(info)
        choice = choose({name: remote.size for name, remote in remotes.items()}, spec.detail, where=spec.name)
        addresses = {name: huggingface_hub.hf_hub_url(spec.name, name, revision=info.sha) for name in choice.files}
        for name in choice.files:
            remotes[name] = _promised(remotes[name], addresses[name])
        token = huggingface_hub.get_token()
    except OndolError:
        raise
    except Exception as error:
        # The library lets the errors of its HTTP client through.
        raise _translated(spec, error) from error
    # A commit's files never change, so what an earlier pull of the same commit brought is good.
    folder = area / "hub" / str(info.sha)
    _fetch(choice, remotes, addresses, {"Authorization": f"Bearer {token}"} if token else {}, folder, told)
    hashes = {name: remotes[name].sha256 for name in choice.files if remotes[name].sha256}
    path = folder
    if choice.kind == "chat":
        # Its parts lie beside it; other quantisations that an earlier pull brought may too.
        path = folder / choice.files[0]
        hashes = {Path(name).name: digest for name, digest in hashes.items()}
    licence = str(getattr(info.card_data, "license", None) or "")
    return Delivered(path=str(path), container=spec.name, licence=licence, ours=True, hashes=hashes)


def _remotes(info: ModelInfo) -> dict[str, Remote]:
    remotes = {}
    for sibling in info.siblings or []:
        lfs: Any = sibling.lfs or {}
        remotes[sibling.rfilename] = Remote(
            int(sibling.size or lfs.get("size") or 0), str(lfs.get("sha256") or ""), "" if lfs else str(sibling.blob_id or "")
        )
    return remotes


def _promised(remote: Remote, url: str) -> Remote:
    """The file with its size and hash: asked of the file itself where the repository's list lacks them (some mirrors)."""
    if remote.size and (remote.sha256 or remote.blob):
        return remote
    import huggingface_hub

    said = huggingface_hub.get_hf_file_metadata(url)
    etag = said.etag or ""
    return Remote(said.size or remote.size, etag if len(etag) == 64 else "", etag if len(etag) == 40 else "")


def _fetch(
    choice: Choice, remotes: dict[str, Remote], addresses: dict[str, str], headers: dict[str, str], folder: Path, told: Told
) -> None:
    total = sum(remotes[name].size for name in choice.files)
    folder.mkdir(parents=True, exist_ok=True)
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    disk.need_space(folder, max(0, total - there))
    before = 0
    for name in choice.files:
        remote, target = remotes[name], folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        download(
            addresses[name],
            target,
            partial(_tell, told, before, total, name),
            size=remote.size,
            headers=headers,
            magic=MAGIC if name.lower().endswith(".gguf") else b"",
            same_for_ever=True,
        )
        if remote.blob and _git_blob(target) != remote.blob:
            target.unlink()
            raise ItemError(f"{name} is damaged: its git hash is not the hub's.", hint="It was thrown away: pull the model again.")
        before += remote.size


def _tell(told: Told, before: int, total: int, name: str, done: int, _: int) -> None:
    told(Progress("downloading", before + done, total, name))


def _git_blob(path: Path) -> str:
    """How git names a small file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _translated(spec: Spec, error: Exception) -> OndolError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return Forbidden(
            f"{spec.name} is given only to those who accepted its terms.",
            hint="Accept them on the hub's page, and set HF_TOKEN to your token.",
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError | errors.EntryNotFoundError):
        return NotFound(f"The hub has no model {spec.name}.", hint="Check the name; a private one needs HF_TOKEN.")
    return UpstreamError(
        f"The hub could not be asked for {spec.name}: {error}", hint="Check the connection (and HF_ENDPOINT), then pull again."
    )
