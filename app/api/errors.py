"""Every error becomes OpenAI's shape here, in answers and in mid-stream, and nowhere else."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from app.core.errors import BadRequest, Busy, NotFound, OndolError, foreign, to_openai
from app.core.errors_korean import in_korean

log = logging.getLogger(__name__)
LARGEST_BODY = 64 * 1024 * 1024
_STATUSES = {
    405: ("This address doesn't take this method.", "The endpoints and their methods are listed at /schema."),
    413: ("The body is too large.", f"At most {LARGEST_BODY // 1024**2} MB are taken: send it in parts."),
}


def translate(error: BaseException) -> OndolError:
    """Litestar's errors as ours; ours as they are; a foreign one as the nearest, logged with its trace."""
    if isinstance(error, OndolError):
        return error
    if isinstance(error, HTTPException) and "surrogate" in error.detail:
        return BadRequest("The text holds half a character (a lone surrogate).", hint="Take the broken character out and send it again.")
    if isinstance(error, ValidationException):
        extra = error.extra if isinstance(error.extra, list) and error.extra else [{}]
        first: dict[str, Any] = extra[0]
        return _invalid(str(first.get("message") or error.detail), str(first.get("key") or ""))
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound("There is nothing at this address.", hint="The endpoints are listed at /schema.")
        message, hint = _STATUSES.get(error.status_code, (error.detail or "The request is not valid.", ""))
        found = BadRequest(message, hint=hint)
        found.status = error.status_code  # type: ignore[misc]  # 405, 413 and their like keep their own status
        return found
    if isinstance(error, (msgspec.DecodeError, UnicodeError)):
        return BadRequest(f"The body is not valid JSON: {error}.")
    if isinstance(error, RecursionError):
        return BadRequest("The body's brackets lie too deep within each other.", hint="Send it flatter.")
    log.error("unexpected: %s", error, exc_info=error)
    return foreign(error)


def _invalid(message: str, field: str) -> BadRequest:
    """A body that doesn't fit, with the field that it is about. The framework's word for all of the body is `data`."""
    field = "" if field == "data" else field
    if message == "'data'":
        return BadRequest("The body is empty.", hint="Send a JSON object.")
    if missing := re.search(r"missing required field `(.+)`", message):
        field = f"{field}.{missing[1]}".strip(".")
        return BadRequest(f"'{field}' is missing.", hint="Send it with the request.", param=field)
    return BadRequest(f"{message}" + (f" (in '{field}')" if field else "") + ".", param=field or None)


def body_of(error: OndolError, *, korean: bool) -> dict[str, object]:
    """OpenAI's shape, in the reader's language."""
    return to_openai(error, in_korean(error) if korean else "")


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Litestar's exception handler for everything."""
    found = translate(error)
    headers = {"retry-after": str(max(1, round(found.retry_after)))} if isinstance(found, Busy) else {}
    if found.status == 401:
        headers["www-authenticate"] = "Bearer"
    request.state["error_code"] = found.code
    return Response(
        body_of(found, korean=bool(request.state.get("korean"))), status_code=found.status, headers=headers, media_type="application/json"
    )
