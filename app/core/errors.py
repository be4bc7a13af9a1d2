"""Every error that Ondol raises on purpose, drawn as a tree.

    OndolError                        500  exit 70   something of ours broke
     +- CallerError                                  the caller changes the request and tries again
     |   +- BadRequest                400  exit 2
     |   |   +- ContextLengthExceeded 400  exit 2    the prompt is longer than the model's context
     |   |   +- BadSetting            400  exit 78   a line of the configuration is wrong: not retried
     |   +- Unauthorized              401  exit 77
     |   +- Forbidden                 403  exit 77
     |   +- NotFound                  404  exit 66
     |   |   +- ModelNotFound         404  exit 66
     |   |   +- StoreNotFound         404  exit 66
     |   +- Conflict                  409  exit 75
     +- RetriableError                               the same request may succeed later
     |   +- Busy                      429  exit 75   a queue is full (carries `retry_after` seconds)
     |   +- NotReady                  503  exit 75   a part is still starting or loading
     |   +- WorkerDied                503  exit 75   a worker process ended in mid-request
     |   +- UpstreamError             502  exit 69   a backend or data source of the configuration failed
     |   +- Deadline                  504  exit 75
     +- ItemError                     422  exit 1    one document or row is wrong: recorded, the rest goes on
     +- EgressRefused                 403  exit 77   the network policy refused an outgoing connection
     +- DiskFull                      507  exit 74
     +- Cancelled                     499  exit 130  the client has gone

An error is named by what its receiver does next. A class's docstring is its default message; `code` is the stable
word for programs, `hint` says what to do, and is appended to the message. HTTP bodies take OpenAI's shape
(`{"error": {"message", "type", "code", "param"}}`); the command line prints the message and exits with `exit_status`.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import ClassVar

FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))
LONGEST = 500  # characters of a foreign error's message


class OndolError(Exception):
    """Something inside Ondol failed."""

    status: ClassVar[int] = 500
    exit_status: ClassVar[int] = 70
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"

    def __init__(self, message: str = "", *, hint: str = "", code: str | None = None, param: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        self.param = param
        if code is not None:
            self.code = code
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class CallerError(OndolError):
    """The request can't be carried out as it stands."""

    status = 400
    exit_status = 2
    type = "invalid_request_error"
    code = "invalid_request"


class BadRequest(CallerError):
    """The request is not valid."""


class ContextLengthExceeded(BadRequest):
    """The prompt is longer than the model's context."""

    code = "context_length_exceeded"

    def __init__(self, message: str = "", *, prompt_tokens: int = 0, context: int = 0, hint: str = "", **kw: str | None) -> None:
        self.prompt_tokens, self.context = prompt_tokens, context
        super().__init__(
            message or f"This model's context holds {context} tokens, but the prompt has {prompt_tokens}.",
            hint=hint or "Shorten the messages, or choose a model with a larger context.",
            param=kw.get("param") or "messages",
        )


class BadSetting(BadRequest):
    """The configuration is not valid."""

    exit_status = 78
    code = "bad_setting"


class Unauthorized(CallerError):
    """The API key is missing or wrong."""

    status = 401
    exit_status = 77
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(CallerError):
    """This is not allowed."""

    status = 403
    exit_status = 77
    type = "permission_error"
    code = "forbidden"


class NotFound(CallerError):
    """There is no such thing."""

    status = 404
    exit_status = 66
    code = "not_found"


class ModelNotFound(NotFound):
    """There is no such model."""

    code = "model_not_found"


class StoreNotFound(NotFound):
    """There is no such store."""

    code = "store_not_found"


class Conflict(CallerError):
    """Something else holds what this needs."""

    status = 409
    exit_status = 75
    code = "conflict"


class RetriableError(OndolError):
    """This may work when tried again later."""

    status = 503
    exit_status = 75
    code = "try_again"


class Busy(RetriableError):
    """Too many requests are waiting."""

    status = 429
    type = "rate_limit_error"
    code = "busy"

    def __init__(self, message: str = "", *, retry_after: float = 1.0, hint: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(message, hint=hint)


class NotReady(RetriableError):
    """This part is still starting."""

    code = "not_ready"


class WorkerDied(RetriableError):
    """A worker process ended while it served this request. It is being restarted: try again."""

    code = "worker_died"


class UpstreamError(RetriableError):
    """A configured backend or data source failed."""

    status = 502
    exit_status = 69
    type = "upstream_error"
    code = "upstream_failed"


class Deadline(RetriableError):
    """This took longer than allowed."""

    status = 504
    code = "deadline_exceeded"


class ItemError(OndolError):
    """This item can't be read."""

    status = 422
    exit_status = 1
    type = "invalid_request_error"
    code = "item_failed"


class EgressRefused(OndolError):
    """The network policy refused this connection."""

    status = 403
    exit_status = 77
    type = "permission_error"
    code = "egress_refused"


class DiskFull(OndolError):
    """The disk is full. Free some space and try again: nothing that was confirmed is lost."""

    status = 507
    exit_status = 74
    code = "disk_full"


class Cancelled(OndolError):
    """The request was cancelled."""

    status = 499
    exit_status = 130
    code = "cancelled"


def _tree(root: type[OndolError]) -> list[type[OndolError]]:
    return [root, *(found for child in root.__subclasses__() for found in _tree(child))]


def to_wire(error: BaseException) -> dict[str, object]:
    """An error as plain values that cross a process boundary; `from_wire` is its inverse for our own errors."""
    if not isinstance(error, OndolError):
        error = foreign(error)
    kept = {name: value for name, value in vars(error).items() if name in ("prompt_tokens", "context", "retry_after")}
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "code": error.code, "param": error.param, **kept}


def from_wire(body: dict[str, object]) -> OndolError:
    """Rebuild an error that `to_wire` took apart; an unknown kind becomes a plain `OndolError`."""
    cls = next((found for found in _tree(OndolError) if found.__name__ == body.get("kind")), OndolError)
    error = cls.__new__(cls)
    OndolError.__init__(
        error,
        str(body.get("message") or ""),
        hint=str(body.get("hint") or ""),
        code=str(body.get("code") or cls.code),
        param=str(body["param"]) if body.get("param") else None,
    )
    for name in ("prompt_tokens", "context", "retry_after"):
        if name in body:
            setattr(error, name, body[name])
    return error


def foreign(error: BaseException) -> OndolError:
    """The nearest error of ours to one that a library raised: what the receiver can do about it decides."""
    if isinstance(error, OndolError):
        return error
    cause: BaseException | None = error
    while cause is not None:  # a database library wraps the error that says it
        if isinstance(cause, OSError) and cause.errno in FULL:
            return DiskFull()
        if isinstance(cause, sqlite3.OperationalError) and "disk is full" in str(cause):
            return DiskFull()
        cause = cause.__cause__
    if isinstance(error, sqlite3.DatabaseError) and any(words in str(error) for words in ("not a database", "malformed")):
        return OndolError(f"A database file is damaged: {error}.", hint="Move book.db away (or bring a backup back) and ingest again.")
    if isinstance(error, TimeoutError):
        return Deadline()
    # Cut short: libraries put whole statements, with a user's data, into their messages.
    return OndolError(f"{type(error).__name__}: {error}"[:LONGEST] if str(error) else type(error).__name__)


def to_openai(error: OndolError, message: str = "") -> dict[str, object]:
    """The body that OpenAI's clients and Open WebUI show to their users; `message` in place of the error's own."""
    return {"error": {"message": message or str(error), "type": error.type, "param": error.param, "code": error.code}}


def from_openai(body: dict[str, object], status: int) -> OndolError:
    """An error of our own server, as its client raises it again: by its code where we know it, else by its status."""
    told = body.get("error")
    told = told if isinstance(told, dict) else {"message": str(told)}
    code, message = str(told.get("code") or ""), str(told.get("message") or "")
    known = _tree(OndolError)
    cls = next((found for found in known if found.code == code), None) or next(
        (found for found in known if found.status == status), OndolError
    )
    error = cls.__new__(cls)
    OndolError.__init__(error, message, code=code or cls.code)
    return error
