"""Who may come in: the Host header (against DNS rebinding), the Origin, and the key. Plain ASGI, before any routing.

A wrong key is always 401, whatever the address below it. Health, metrics and the schema need no key.
"""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.parts import Access
from app.core.errors import Forbidden, OndolError, Unauthorized, to_openai

_OPEN = ("/health", "/metrics", "/schema")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._key = access.key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == ScopeType.HTTP:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if (refused := self.refusal(scope["path"], headers)) is not None:
                await _answer(send, refused)
                return
        await self._app(scope, receive, send)

    def refusal(self, path: str, headers: dict[str, str]) -> OndolError | None:
        """Why this request may not come in; None where it may."""
        host = _hostname(headers.get("host", ""))
        if host not in _LOOPBACK and host not in self._access.hosts:
            return Forbidden(
                f"The host '{host}' is not allowed.", hint="Add it to server.allowed_hosts in the configuration.", code="host_not_allowed"
            )
        origin = headers.get("origin")
        if origin and origin not in self._access.origins and origin != f"http://{headers.get('host', '')}":
            return Forbidden(
                f"Pages of '{origin}' may not call this server.",
                hint="Add it to server.cors_origins in the configuration.",
                code="origin_not_allowed",
            )
        if path == "/" or any(path == free or path.startswith(f"{free}/") for free in _OPEN):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        given = given.strip() if kind.lower() == "bearer" else headers.get("x-api-key") or headers.get("api-key") or ""
        if not given:
            return Unauthorized("This needs the API key.", hint="Send 'Authorization: Bearer KEY'; `ondol key` prints it.")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._key):
            return Unauthorized("The API key is wrong.", hint="`ondol key` prints the right one.")
        return None


def _hostname(host: str) -> str:
    """A Host header without its port, lower case; "" where it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


async def _answer(send: Send, error: OndolError) -> None:
    body = json.dumps(to_openai(error), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
