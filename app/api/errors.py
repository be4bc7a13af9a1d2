"""Every error becomes OpenAI's shape here, in answers and in mid-stream, and nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from app.core.errors import BadRequest, Busy, NotFound, OndolError, foreign, to_openai
from app.core.errors_korean import in_korean

log = logging.getLogger(__name__)


def translate(error: BaseException) -> OndolError:
    """Litestar's errors as ours; ours as they are; a foreign one as the nearest, logged with its trace."""
    if isinstance(error, OndolError):
        return error
    if isinstance(error, HTTPException) and "surrogate" in error.detail:
        return BadRequest("The text holds half a character (a lone surrogate).", hint="Take the broken character out and send it again.")
    if isinstance(error, ValidationException):
        extra = error.extra if isinstance(error.extra, list) and error.extra else [{}]
        first: dict[str, Any] = extra[0]
        field = str(first.get("key") or "") or None
        return BadRequest(f"{first.get('message') or error.detail}" + (f" (in '{field}')" if field else "") + ".", param=field)
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound("There is nothing at this address.", hint="The endpoints are listed at /schema.")
        found = BadRequest(error.detail or "The request is not valid.")
        found.status = error.status_code  # type: ignore[misc]  # 405, 413 and their like keep their own status
        return found
    if isinstance(error, (msgspec.DecodeError, UnicodeError)):
        return BadRequest(f"The body is not valid JSON: {error}.")
    log.error("unexpected: %s", error, exc_info=error)
    return foreign(error)


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
