"""The secret that gives access to the dashboard. It is in the address, and becomes a cookie."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

NAME = "token"
REFUSAL = "This page needs the whole address that pdum-nvenc printed, with its token.\n"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'"
    ),
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Token:
    """The secret of one dashboard. Cookies are shared by all ports of a host, so their names have the port."""

    def __init__(self, port: int) -> None:
        self.value = secrets.token_urlsafe(18)
        self._cookie = f"pdum-nvenc-{port}"

    def protect(self, app: web.Application) -> None:
        """Protects all of the application with the token, including its websocket."""

        @web.middleware
        async def require(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._require(request, handler)

        app.middlewares.append(require)

    async def _require(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.query.get(NAME)
        allowed = self._is_right(given) if given is not None else self._is_right(request.cookies.get(self._cookie, ""))
        if not allowed or not _is_own_page(request):
            return web.Response(status=403, text=REFUSAL, headers=HEADERS)
        if given is not None and request.path == "/":
            return self._without_token_in_the_address(request)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _is_right(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(errors="replace"), self.value.encode())

    def _without_token_in_the_address(self, request: web.Request) -> web.Response:
        """Histories and screenshots would show it."""
        rest = request.rel_url.without_query_params(NAME).query_string
        answer = web.Response(status=302, headers={**HEADERS, "Location": f"./?{rest}" if rest else "./"})
        answer.set_cookie(self._cookie, self.value, httponly=True, samesite="Lax")
        return answer


def _is_own_page(request: web.Request) -> bool:
    """Browsers also send cookies with websockets that pages of other sites open, but name the site."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
