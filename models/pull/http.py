"""Bytes over HTTP that survive an interruption, and `https://.../NAME.gguf` on top of it.

A download grows in `NAME.part`; beside it `NAME.part.json` keeps what identifies the remote file. After a dropped
connection or a kill the next request asks for the rest alone (Range), and only of the same file (If-Range): a server whose
file has changed sends all of it, and the part begins anew. The name without `.part` appears by a rename, when all bytes are there.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import IO, Any

import msgspec

from app.core.errors import EgressRefused, Forbidden, ItemError, NotFound, OndolError, UpstreamError
from models import disk
from models.pull.spec import Progress, Spec, Told
from models.pull.stage import Delivered

MAGIC = b"GGUF"
_TIMEOUT = 60.0  # seconds without a byte
_PIECE = 1 << 20


def deliver(spec: Spec, area: Path, told: Told) -> Delivered:
    """The GGUF at this address, in `area`. NotFound, Forbidden, UpstreamError, ItemError, DiskFull."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(spec.name).path)).name
    # The address keeps the words of the id; what a file can't be called stays out.
    target = area / "web" / re.sub(r"[^\w.-]", "-", name)
    target.parent.mkdir(exist_ok=True)
    told(Progress("finding", text=name))
    download(spec.name, target, lambda done, total: told(Progress("downloading", done, total, name)), magic=MAGIC)
    return Delivered(path=str(target), container=target.stem, ours=True, hashes={target.name: spec.detail} if spec.detail else {})


class Part(msgspec.Struct, frozen=True):
    """What the bytes of a `.part` belong to: a validator for If-Range (a strong ETag or a date) and the whole size."""

    validator: str = ""
    total: int = 0


def download(
    url: str,
    target: Path,
    told: Callable[[int, int], None],
    *,
    size: int = 0,
    headers: Mapping[str, str] | None = None,
    magic: bytes = b"",
    same_for_ever: bool = False,
    attempts: int = 5,
    pause: float = 1.0,
) -> None:
    """Bring `url` to `target`; nothing is fetched where it is there already. The content's hash is the caller's to check.

    `size` where known in bytes; `same_for_ever`: the address names a content, so that a part needs no validator; `magic`: the
    first bytes that the file must have. A failed attempt is repeated after `pause` seconds, doubling; `attempts` in a row
    without a new byte end it.
    """
    part = target.with_name(target.name + ".part")
    failures = 0
    while not target.exists():
        before = _length(part)
        try:
            if _attempt(url, part, told, size=size, headers=headers or {}, magic=magic, same_for_ever=same_for_ever):
                disk.rename(part, target)
                _mark(part).unlink(missing_ok=True)
                break
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code not in (408, 416, 425, 429) and error.code < 500:
                raise _refused(url, error) from None
            reason = f"the server answered {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        failures = 1 if _length(part) > before else failures + 1
        if failures >= attempts:
            raise UpstreamError(f"{_host(url)} failed: {reason}.", hint="Pull again: it goes on where it stopped.")
        time.sleep(pause * 2 ** (failures - 1))


def _attempt(
    url: str, part: Path, told: Callable[[int, int], None], *, size: int, headers: Mapping[str, str], magic: bytes, same_for_ever: bool
) -> bool:
    """One request. True when the part is whole; False when the connection ended before."""
    mark = _read_mark(part)
    have = _length(part)
    if have and not (same_for_ever or mark.validator):
        have = 0
    if have and have == (size or mark.total):
        return True
    asked = {"User-Agent": "ondol", **headers}
    if have:
        asked["Range"] = f"bytes={have}-"
        if not same_for_ever:
            asked["If-Range"] = mark.validator
    try:
        response = _opener().open(urllib.request.Request(url, headers=asked), timeout=_TIMEOUT)  # noqa: S310 - the scheme was checked when the source was parsed
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # Longer than the remote file: not a part of it.
            part.unlink(missing_ok=True)
        raise
    with response:
        start, total = _extent(response.status, response.headers, have)
        total = total or size
        if size and total != size:
            raise UpstreamError(f"{_host(url)} sends {total} bytes where {size} were promised.", hint="Pull again later.")
        disk.need_space(part.parent, max(0, total - start))
        disk.write_atomic(_mark(part), msgspec.json.encode(Part(_validator(response.headers), total)))
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            done = _copy(response, file, start, total, told, magic)
            disk.sync(file)
    # A server that does not say how much it sends can only be believed.
    return done == total or (total == 0 and done > 0)


def _copy(
    response: http.client.HTTPResponse, file: IO[bytes], start: int, total: int, told: Callable[[int, int], None], magic: bytes
) -> int:
    done = start
    # What has come, not a full piece: bytes that wait in memory are lost with a kill.
    while piece := response.read1(_PIECE):
        if done == 0 and not piece.startswith(magic[: len(piece)]):
            raise ItemError("What the address sends is not a GGUF file.", hint="It may be a web page: give the address of the file itself.")
        try:
            file.write(piece)
        except OSError as error:
            raise disk.full_or_same(error) from error
        done += len(piece)
        told(done, total)
    return done


def _extent(status: int, headers: Message, have: int) -> tuple[int, int]:
    """(offset of the first byte sent, whole size or 0). Pure."""
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None or int(found.group(1)) != have:
            raise UpstreamError("The server sent another part of the file than the one asked for.", hint="Pull again later.")
        return have, int(found.group(2)) if found.group(2) != "*" else 0
    return 0, int(headers.get("Content-Length") or 0)


def _validator(headers: Message) -> str:
    etag = headers.get("ETag", "")
    # If-Range takes strong validators alone.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _refused(url: str, error: urllib.error.HTTPError) -> OndolError:
    if error.code in (401, 403):
        return Forbidden(
            f"{_host(url)} refused the download ({error.code}).",
            hint="The file may need an account there: download it in a browser, then pull file:PATH.",
        )
    if error.code in (404, 410):
        return NotFound(f"{_host(url)} has no such file ({error.code}).", hint="Check the address.")
    return UpstreamError(f"{_host(url)} answered {error.code}.", hint="Check the address, then pull again.")


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_mark(part: Path) -> Part:
    try:
        return msgspec.json.decode(_mark(part).read_bytes(), type=Part)
    except (OSError, msgspec.DecodeError):
        return Part()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, and never with a token to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        if followed is None:
            return None
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if before.scheme == "https" and after.scheme != "https":
            raise EgressRefused(
                f"{before.hostname} sends the download on to an address that is not encrypted.", hint="Take the model from another place."
            )
        if before.netloc != after.netloc:
            followed.remove_header("Authorization")
        return followed


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)
