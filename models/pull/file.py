"""`file:PATH`: a GGUF, a sentence-transformers folder, or a zip or wheel of one, where it lies. Nothing is written to it."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import BadRequest, NotFound
from models.pull.spec import Spec
from models.pull.stage import ARCHIVES, Delivered


def deliver(spec: Spec) -> Delivered:
    """The path itself, checked; NotFound or BadRequest where it can't be a model."""
    path = Path(spec.name)
    if not path.exists():
        raise NotFound(f"There is no file {path}.", hint="Check the path: it is taken from the folder where the command runs.")
    if path.is_dir():
        return Delivered(path=str(path), container=path.name)
    if path.suffix.lower() in ARCHIVES:
        # A wheel is called package-version-tags.whl.
        wheel = path.suffix.lower() == ".whl"
        return Delivered(path=str(path), container=path.stem.split("-")[0].replace("_", "-") if wheel else path.stem, packaged=wheel)
    if path.suffix.lower() == ".gguf":
        return Delivered(path=str(path), container=path.parent.name)
    raise BadRequest(f"{path.name} is not a model.", hint="Give a .gguf file, a sentence-transformers folder, or a .zip or .whl of one.")
