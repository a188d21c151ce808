"""The web server: textual-serve behind a token, with a viewer for each tab."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from .access_token import Token
from .page import page

VIEWER = "pdum.nvenc._web.viewer"
PATIENCE = 2.0
"""Seconds for a viewer to end by itself."""
PICTURES_PER_SECOND = "20"
FONT_SIZES = range(6, 65)


class ViewerService(AppService):
    """Starts and ends one viewer. ``command`` is the path of the feed."""

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Starts the viewer in its own session, so that Ctrl-C in the terminal reaches only the run.

        It starts in the feed's folder, because Python looks for modules in the current one, where others may write.
        """
        environment = self._build_environment(width=width, height=height)
        if "PYTHONPATH" in environment:
            paths = environment["PYTHONPATH"].split(os.pathsep)
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", VIEWER, self.command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**environment, "TEXTUAL_FPS": PICTURES_PER_SECOND},
            cwd=Path(self.command).parent,
            start_new_session=True,
        )
        process.stderr = asyncio.StreamReader()  # textual-serve would print what it reads there to standard output
        process.stderr.feed_eof()
        self._process, self._stdin = process, process.stdin
        return process

    async def end(self) -> None:
        with suppress(asyncio.TimeoutError, ConnectionError):
            await asyncio.wait_for(self.stop(), PATIENCE)
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), PATIENCE)
            except asyncio.TimeoutError:
                self._process.kill()
                await self._process.wait()


class WebServer(Server):
    """Works in a thread of its own from ``start`` to ``stop``."""

    def __init__(self, listening: socket.socket, feed: Path) -> None:
        super().__init__(str(feed), title="pdum-nvenc")
        self.token = Token(listening.getsockname()[1])
        self._listening = listening
        self._websockets: set[web.WebSocketResponse] = set()
        self._has_started = Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending: asyncio.Event | None = None
        self._thread = Thread(target=self._run, name="pdum-nvenc-web", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._has_started.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Ends the connections and the viewers."""
        if self._loop is not None and self._thread.is_alive():
            assert self._is_ending is not None
            self._loop.call_soon_threadsafe(self._is_ending.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._has_started.set()

    async def _work(self) -> None:
        app = await self._make_app()
        self.token.protect(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listening).start()
            self._loop, self._is_ending = asyncio.get_running_loop(), asyncio.Event()
            self._has_started.set()
            await self._is_ending.wait()
            await self._until_viewers_have_ended()
            await asyncio.gather(*(one.close() for one in self._websockets), return_exceptions=True)
        finally:
            await runner.cleanup()

    async def _until_viewers_have_ended(self) -> None:
        """They end because the feed is closed. Until then, parts of their last pictures may be on the way to pages."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while self._websockets and loop.time() < deadline:
            await asyncio.sleep(0.02)

    async def on_startup(self, app: web.Application) -> None:
        """Starts the server without the banner of textual-serve."""

    async def handle_index(self, request: web.Request) -> Any:
        size = to_int(request.query.get("fontsize", ""), 16)
        return web.Response(text=page(size if size in FONT_SIZES else 16), content_type="text/html")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)

        async def close() -> None:
            await websocket.close()

        viewer = ViewerService(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        self._websockets.add(websocket)
        try:
            await viewer.start(to_int(request.query.get("width", ""), 80), to_int(request.query.get("height", ""), 24))
            await self._process_messages(websocket, viewer)
        finally:
            self._websockets.discard(websocket)
            await viewer.end()
        return websocket
