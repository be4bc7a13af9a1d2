from __future__ import annotations

import errno
import re
import sqlite3

import pytest

from app.core import errors
from app.core.errors import (
    BadRequest,
    Busy,
    ContextLengthExceeded,
    Deadline,
    DiskFull,
    ModelNotFound,
    OndolError,
    foreign,
    from_wire,
    to_openai,
    to_wire,
)

ABSTRACT = {"CallerError", "RetriableError"}


def drawn() -> dict[str, tuple[str, int | None, int | None]]:
    """name -> (parent, status, exit) as the docstring's tree has them."""
    found: dict[str, tuple[str, int | None, int | None]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^ {4}([ |]*)(?:\+- )?([A-Z]\w+)(?: +(\d{3}) +exit (\d+))?(?: {2,}.*)?$", line)
        if match and hasattr(errors, match[2]):
            depth = line.index(match[2])
            above = {column: name for column, name in above.items() if column < depth}
            found[match[2]] = (above[max(above)] if above else "Exception", *((int(match[3]), int(match[4])) if match[3] else (None, None)))
            above[depth] = match[2]
    return found


def all_errors() -> dict[str, type[OndolError]]:
    return {cls.__name__: cls for cls in errors._tree(OndolError) if cls.__module__ == errors.__name__}


def test_the_drawn_tree_is_the_tree_of_the_classes() -> None:
    assert {name: cls.__bases__[0].__name__ for name, cls in all_errors().items()} == {
        name: parent for name, (parent, _, _) in drawn().items()
    }


def test_the_drawn_statuses_are_those_of_the_classes() -> None:
    for name, (_, status, exit_status) in drawn().items():
        cls = all_errors()[name]
        assert name in ABSTRACT or (status, exit_status) == (cls.status, cls.exit_status), name


@pytest.mark.parametrize("cls", all_errors().values())
def test_every_error_has_a_message_a_code_and_a_type_without_being_told(cls: type[OndolError]) -> None:
    error = cls()
    assert error.message
    assert error.code
    body = to_openai(error)["error"]
    assert isinstance(body, dict)
    assert set(body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("cls", all_errors().values())
def test_every_error_crosses_a_process_boundary_as_itself(cls: type[OndolError]) -> None:
    error = cls("말씀", hint="하세요")
    again = from_wire(to_wire(error))
    assert type(again) is cls
    assert (again.message, again.hint, again.code, again.param, str(again)) == (
        error.message,
        error.hint,
        error.code,
        error.param,
        str(error),
    )


def test_what_some_errors_carry_crosses_too() -> None:
    again = from_wire(to_wire(ContextLengthExceeded(prompt_tokens=9, context=8)))
    assert isinstance(again, ContextLengthExceeded)
    assert (again.prompt_tokens, again.context) == (9, 8)
    busy = from_wire(to_wire(Busy(retry_after=2.5)))
    assert isinstance(busy, Busy)
    assert busy.retry_after == 2.5


def test_an_error_of_an_unknown_kind_still_arrives() -> None:
    error = from_wire({"kind": "FromANewerVersion", "message": "what it says"})
    assert type(error) is OndolError
    assert error.message == "what it says"


def test_the_hint_is_appended_to_the_message() -> None:
    assert str(BadRequest("Wrong.", hint="Do this.")) == "Wrong. Do this."
    assert str(ModelNotFound()) == "There is no such model."


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (OSError(errno.EDQUOT, "Quota exceeded"), DiskFull),
        (sqlite3.OperationalError("database or disk is full"), DiskFull),
        (TimeoutError(), Deadline),
        (ValueError("odd"), OndolError),
    ],
)
def test_a_foreign_error_becomes_the_one_of_ours_that_says_what_to_do(error: Exception, kind: type[OndolError]) -> None:
    assert type(foreign(error)) is kind
    assert foreign(foreign(error)).message == foreign(error).message


def test_a_full_disk_is_seen_through_the_error_that_wraps_it() -> None:
    outer = RuntimeError("(sqlite3.OperationalError) [SQL: INSERT INTO x]")
    outer.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert type(foreign(outer)) is DiskFull


def test_a_foreign_message_is_cut_short_for_it_may_hold_a_users_data() -> None:
    assert len(foreign(RuntimeError("x" * 100_000)).message) <= errors.LONGEST
