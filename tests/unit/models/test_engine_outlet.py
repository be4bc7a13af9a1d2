from __future__ import annotations

from app.core.errors import OndolError
from app.core.records import CallPart, Chance, Piece, Usage, Waiting
from models.engine.outlet import Outlet
from models.engine.request import Output


class _Told:
    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[Output] = []
        self.outlet = Outlet(self.sent.append, every=1.0, clock=lambda: self.now)

    def take(self, *news: Piece | Waiting | OndolError, id: int = 1) -> None:
        for one in news:
            self.outlet.take(Output(id, one))

    @property
    def texts(self) -> list[str]:
        return [one.news.text for one in self.sent if isinstance(one.news, Piece)]


def test_the_first_text_goes_out_at_once() -> None:
    told = _Told()
    told.take(Piece("a"))
    assert told.texts == ["a"]


def test_text_that_comes_too_soon_goes_out_joined_with_the_next_that_is_due() -> None:
    told = _Told()
    told.take(Piece("a"), Piece("b"), Piece("c"))
    assert told.texts == ["a"]
    told.now = 1.0
    told.take(Piece("d"))
    assert told.texts == ["a", "bcd"]


def test_requests_are_held_apart() -> None:
    told = _Told()
    told.take(Piece("a"), Piece("b"))
    told.take(Piece("x"), Piece("y"), id=2)
    told.outlet.flush()
    assert [(one.id, one.news.text) for one in told.sent if isinstance(one.news, Piece)] == [(1, "a"), (2, "x"), (1, "b"), (2, "y")]


def test_the_end_of_an_answer_comes_after_all_of_its_text() -> None:
    told = _Told()
    end = Piece("c", "stop", Usage(1, 3))
    told.take(Piece("a"), Piece("b"), end)
    assert [one.news for one in told.sent] == [Piece("a"), Piece("b"), end]


def test_an_error_comes_after_the_text_before_it() -> None:
    told, error = _Told(), OndolError("broken")
    told.take(Piece("a"), Piece("b"), error)
    assert [one.news for one in told.sent] == [Piece("a"), Piece("b"), error]


def test_thoughts_text_and_calls_keep_their_order() -> None:
    told = _Told()
    call = Piece(calls=(CallPart(0, "id", "name", "{}"),))
    told.take(Piece(reasoning="t"), Piece(reasoning="u"), Piece("a"), Piece("b"), call, Piece("c"))
    told.outlet.flush()
    said = [one.news for one in told.sent]
    assert said == [Piece(reasoning="t"), Piece(reasoning="u"), Piece("ab"), call, Piece("c")]


def test_the_chances_of_joined_tokens_stay_with_their_text() -> None:
    told = _Told()
    a, b, c = (Chance(token, letter, -1.0) for token, letter in enumerate((b"a", b"b", b"c")))
    told.take(Piece("a", chances=(a,)), Piece("b", chances=(b,)), Piece("c", chances=(c,)))
    told.outlet.flush()
    assert told.sent[-1].news == Piece("bc", chances=(b, c))


def test_what_is_due_goes_out_without_news_of_its_request() -> None:
    told = _Told()
    told.take(Piece("a"), Piece("b"))
    told.outlet.flush_due()
    assert told.texts == ["a"]
    told.now = 1.0
    told.outlet.flush_due()
    assert told.texts == ["a", "b"]


def test_what_was_given_up_is_not_sent() -> None:
    told = _Told()
    told.take(Piece("a"), Piece("b"))
    told.outlet.forget(1)
    told.outlet.flush()
    assert told.texts == ["a"]
