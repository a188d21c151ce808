"""The web server: the page's files, and a WebSocket for each viewer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from show import Show
from viewer import BadMessage, Viewer, rate_of, size_of, whole

PAGE = Path(__file__).resolve().parent / "page"
STATE_EVERY = 0.5
"""Seconds between two messages of the show's state."""
LARGEST_MESSAGE = 4096
LONGEST_REASON = 120
"""Bytes; the protocol has 123 for it."""

SHOW = web.AppKey("show", Show)
RUNNING = web.AppKey("running", asyncio.Task[None])
"""The show. It ends only if it fails."""
SOCKETS = web.AppKey("sockets", set[web.WebSocketResponse])


def make_app(make_show: Callable[[], Show]) -> web.Application:
    """The application. Its show runs as long as it does."""

    async def run_show(app: web.Application) -> AsyncIterator[None]:
        app[SHOW] = show = make_show()
        app[RUNNING] = running = asyncio.create_task(run_to_the_end(app, show))
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        show.close()

    app = web.Application()
    sockets: set[web.WebSocketResponse] = set()
    app[SOCKETS] = sockets
    app.cleanup_ctx.append(run_show)
    app.on_shutdown.append(close_sockets)
    app.add_routes([web.get("/", index), web.get("/stream", stream), web.static("/page", PAGE)])
    return app


async def run_to_the_end(app: web.Application, show: Show) -> None:
    try:
        await show.run()
    except Exception as error:
        await close_sockets(app, str(error))
        raise


async def close_sockets(app: web.Application, reason: str = "the server ends") -> None:
    for socket in app[SOCKETS].copy():
        await socket.close(code=WSCloseCode.GOING_AWAY, message=reason.encode()[:LONGEST_REASON])


async def index(_: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


async def stream(request: web.Request) -> web.WebSocketResponse:
    """One viewer, from its first message to its last."""
    require_own_page(request)
    if request.app[RUNNING].done():
        raise web.HTTPServiceUnavailable(text="The show has failed, and the server ends.")
    socket = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE, heartbeat=10, compress=False)
    await socket.prepare(request)
    show = request.app[SHOW]
    request.app[SOCKETS].add(socket)
    viewer = show.join()
    senders = [asyncio.create_task(send_packets(socket, viewer)), asyncio.create_task(send_state(socket, show, viewer))]
    for sender in senders:
        sender.add_done_callback(tell_failure)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await take(message.data, socket, show, viewer)
    except BadMessage as error:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(error).encode()[:LONGEST_REASON])
    finally:
        for sender in senders:
            sender.cancel()
        show.leave(viewer)
        request.app[SOCKETS].discard(socket)
    return socket


def require_own_page(request: web.Request) -> None:
    """Pages of other servers are not let in: a browser would connect them to the user's own machine."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text=f"Expected the page of {request.host}, got one of {origin}.")


async def send_packets(socket: web.WebSocketResponse, viewer: Viewer) -> None:
    with contextlib.suppress(ConnectionError):
        while not socket.closed:
            sent = await viewer.link.receive()
            await socket.send_bytes(sent.message())


async def send_state(socket: web.WebSocketResponse, show: Show, viewer: Viewer) -> None:
    with contextlib.suppress(ConnectionError):
        while not socket.closed:
            await socket.send_json({"state": show.state(viewer)})
            await asyncio.sleep(STATE_EVERY)


def tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "A viewer gets nothing more", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


async def take(text: str, socket: web.WebSocketResponse, show: Show, viewer: Viewer) -> None:
    """Does what a message of the page asks for."""
    try:
        message: dict[str, Any] = json.loads(text)
        (kind,) = message
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMessage("Expected a JSON object with one name.") from error
    match kind:
        case "ack":
            show.acked(viewer, whole(message, "ack"))
        case "lost":
            show.lost(viewer, whole(message, "lost"))
        case "keyframe":
            show.live.request_keyframe()
        case "size":
            show.resize(*size_of(message))
        case "link":
            viewer.link.rate = rate_of(message)
        case "drop":
            viewer.link.drop_next(whole(message, "drop", 1, 100))
        case "ping":
            await socket.send_json({"pong": whole(message, "ping"), "clock": show.clock})
        case _:
            raise BadMessage(f"Expected ack, lost, keyframe, size, link, drop or ping, got {kind!r:.50}.")
