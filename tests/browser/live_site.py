"""Servers for tests in a browser, that of examples/live among them, and what its page shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from browser.chromium import Page
from scene import CHECK_BITS, NUMBER_BITS, SQUARE, Scene, squares_of
from server import SHOW, make_app
from show import Show

Answer = TypeVar("Answer")

FPS = 20.0
BLOCK = 8
WORST, MEAN = 20, 2
"""The difference, of 255, that encoding may make to the mean colour of a block, and to all blocks on average."""
SCRIPT = Path(__file__).resolve().parent / "reading.js"


class Site:
    """A server in a thread, of any application."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], web.Application]) -> None:
        self._loop = loop
        self._make = make
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def show(self) -> Show:
        assert self._runner is not None
        return self._runner.app[SHOW]

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def start(self) -> None:
        """Starts the server, at the port that it had before if it ran already."""
        self.run(self._start())

    def stop(self) -> None:
        if self._runner is not None:
            self.run(self._runner.cleanup())
        self._runner = None

    async def _start(self) -> None:
        runner = web.AppRunner(self._make(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start()
        self._runner, self.port = runner, runner.addresses[0][1]


@contextmanager
def served(make: Callable[[], web.Application]) -> Iterator[Site]:
    """The application's server runs until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="site", daemon=True)
    thread.start()
    site = Site(loop, make)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def folder_site(folder: Path) -> web.Application:
    """The files of a folder."""
    app = web.Application()
    app.add_routes([web.static("/", folder)])
    return app


class WithAlpha(Scene):
    """RGBA, which encoders convert themselves: the simulated GPU runs no kernels."""

    def picture(self, number: int, width: int, height: int) -> Any:
        opaque = np.full((height, width, 1), 255, np.uint8)
        return np.concatenate([super().picture(number, width, height), opaque], axis=-1)


@contextmanager
def live_site(size: tuple[int, int], **encoder: Any) -> Iterator[Site]:
    """The server of the example, with pictures of at most this size and these arguments of its encoder."""

    def make_show() -> Show:
        # A busy machine looks like a slow link. The picture's quality is not to depend on that.
        given = {"bitrate": 4_000_000, "min_bitrate": 4_000_000, "format": "abgr", **encoder}
        return Show(WithAlpha(np, FPS), size=size, max_size=size, fps=FPS, **given)

    with served(lambda: make_app(make_show)) as site:
        yield site


@dataclass(frozen=True)
class Picture:
    """What the canvas showed when a packet had been drawn."""

    seq: int
    keyframe: bool
    repairs: int
    size: tuple[int, int]
    number: int
    blocks: NDArray[np.float64]

    @property
    def is_right(self) -> bool:
        """Whether this is the picture that was encoded, but for what encoding makes of it."""
        picture = Scene(np, FPS).picture(self.number, *self.size)
        difference = np.abs(block_means(picture) - self.blocks)
        return bool(difference.max() < WORST and difference.mean() < MEAN)


def watch(page: Page) -> None:
    """Lets the tests look at this page's pictures."""
    page.evaluate(SCRIPT.read_text())


def picture(page: Page, holds: str = "packet => true") -> Picture:
    """The next picture that the page draws and of which the script's function is true."""
    return pictures(page, holds)[-1]


def pictures(page: Page, holds: str, after: str = "") -> list[Picture]:
    """All pictures that the page draws, after it has run a script, until one of which the function is true."""
    return [told(found) for found in page.evaluate(f"({after or 0}, pictures({holds}))")]


def told(found: dict[str, Any]) -> Picture:
    width, height = found["canvas"]
    assert [found["width"], found["height"]] == [width, height]
    blocks = np.array(found["blocks"]).reshape(height // BLOCK, width // BLOCK, 3)
    return Picture(
        seq=found["seq"],
        keyframe=found["keyframe"],
        repairs=found["repairs"],
        size=(width, height),
        number=number_in(blocks),
        blocks=blocks,
    )


def number_in(blocks: NDArray[np.float64]) -> int:
    """The number that the squares of the first row say. They are as large as the blocks."""
    assert BLOCK == SQUARE
    squares = (blocks[0, : NUMBER_BITS + CHECK_BITS].mean(-1) > 127.5).tolist()
    number = int("".join("01"[square] for square in squares[:NUMBER_BITS]), 2)
    assert squares == squares_of(number), f"the squares are no number: {squares}"
    return number


def block_means(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width, _ = image.shape
    rows, columns = height // BLOCK, width // BLOCK
    cut = image[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    means: NDArray[np.float64] = cut.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))
    return means
