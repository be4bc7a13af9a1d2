"""Adapters as a stranger writes them: plain classes that know nothing of ours."""

from __future__ import annotations

from typing import Any


class Weather:
    """A source."""

    def __init__(self, city: str) -> None:
        self._city = city

    async def search(self, query: str) -> list[Any]:
        if "fail" in query:
            raise RuntimeError("the weather station is closed")
        return [{"text": f"Tomorrow brings 13 degrees to {self._city}.", "title": "Forecast", "url": "http://127.0.0.1/forecast"}]


class Echo:
    """A backend."""

    async def process_query(self, query: str, context: str) -> str:
        return f"You said: {query}"

    def get_model_info(self) -> dict[str, Any]:
        return {"name": "echo-1"}


class Nothing:
    """Neither."""
