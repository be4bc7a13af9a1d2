"""The doorway to obstore: what lies in a bucket, and the bytes of one object. Its errors become ours here.

A listing is whole or an error, never a part: what is not in it is taken to be deleted.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import ItemError, NotFound, OndolError, UpstreamError
from ingest.remote.address import CREDENTIALS, Address, aws_settings

RETRIES, PATIENCE = 3, datetime.timedelta(seconds=30)
CONNECT, ANSWER = "10s", "120s"
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED = frozenset({"401", "403"})


@dataclass(frozen=True)
class Object:
    """What a listing says of an object. `version` changes with its content: the provider's etag, else the time."""

    key: str
    size: int
    version: str


class Bucket:
    """A bucket by its address; nothing is asked of it before it is listed. ItemError: the library is missing."""

    def __init__(self, address: Address) -> None:
        try:
            from obstore import store
        except ModuleNotFoundError:
            raise ItemError("needs the library for object stores.", hint="pip install 'ondol[remote]'") from None
        self.address = address
        config: Any = aws_settings(os.environ, Path.home()) if address.scheme == "s3" else {}
        plain = config.get("endpoint", "").startswith("http://")
        options: Any = {"connect_timeout": CONNECT, "timeout": ANSWER, "allow_http": plain}
        retries: Any = {"max_retries": RETRIES, "retry_timeout": PATIENCE}
        try:
            self._store = store.from_url(
                f"{address.scheme}://{address.bucket}",
                config=config,
                client_options=options,
                retry_config=retries,
            )
        except Exception as error:
            raise self._told(error) from error

    def objects(self) -> Iterator[Object]:
        """All under the prefix. UpstreamError: the bucket could not be listed to its end. NotFound: there is nothing."""
        import obstore

        found = False
        prefix = self.address.prefix
        try:
            for batch in obstore.list(self._store, prefix=prefix or None):
                for meta in batch:
                    found = True
                    yield Object(meta["path"], meta["size"], meta["e_tag"] or meta["last_modified"].isoformat())
        except Exception as error:
            raise self._told(error) from error
        if not found and prefix:
            with_that_key = self._alone(prefix)
            found = with_that_key is not None
            if with_that_key is not None:
                yield with_that_key
        if not found:
            raise NotFound(
                f"There is nothing at {self.address.name}.",
                hint="Check the address. (If it was emptied on purpose, take the source out with `ondol ingest forget`.)",
            )

    def _alone(self, key: str) -> Object | None:
        """The one object that the address names to its last letter."""
        import obstore

        try:
            meta = obstore.head(self._store, key)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._told(error) from error
        return Object(meta["path"], meta["size"], meta["e_tag"] or meta["last_modified"].isoformat())

    def bytes(self, object: Object, limit: int) -> bytes:
        """The object's bytes, at most `limit` and one more. ItemError: this one can't be had."""
        import obstore

        if not object.size:
            return b""
        try:
            return obstore.get_range(self._store, object.key, start=0, end=min(limit + 1, object.size)).to_bytes()
        except FileNotFoundError:
            raise ItemError("has gone since it was listed.") from None
        except Exception as error:  # noqa: BLE001 - whatever the library raises, it is this object's
            raise ItemError(f"can't be downloaded: {_reason(error)}.", hint="It is tried again with the next sync.") from None

    def _told(self, error: Exception) -> OndolError:
        reason, status = _reason(error), _STATUS.search(str(error))
        where = f"{self.address.scheme}://{self.address.bucket}"
        if status and status[1] in _REFUSED:
            return UpstreamError(f"{where} refused the credentials: {reason}.", hint=CREDENTIALS[self.address.scheme])
        if status and status[1] == "404":
            return UpstreamError(f"There is no bucket {where}: {reason}.", hint="Check its name, its region and the endpoint.")
        return UpstreamError(f"{where} can't be reached: {reason}.", hint=f"Check the network. {CREDENTIALS[self.address.scheme]}")


def _reason(error: Exception) -> str:
    """The provider's own code where it gave one, else the library's first line."""
    code, status = _CODE.search(str(error)), _STATUS.search(str(error))
    if code:
        return f"{code[1]} ({status[1]})" if status else code[1]
    return str(error).partition("\n")[0][:300].rstrip(". ")
