"""One engine of a cluster at work for one run: the order that it works on, and the one that follows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._errors import InvalidConfig
from .._pool.job import as_error
from .._pool.supply import Waits
from .given_order import NOTHING_YET, GivenOrder
from .orders import Order, Report

if TYPE_CHECKING:
    from .._pool.pieces import Piece
    from ..events import EngineInfo


class RemoteLane:
    """A ``LaneView``. The dispatcher's thread calls the methods."""

    calls = 0
    """It has no calls for a watchdog: the worker has its own."""
    threads: Sequence[threading.Thread] = ()

    def __init__(self, engine: EngineInfo) -> None:
        self.engine = engine
        self.is_lost = False
        self.known: set[str] = set()
        """The keys of what the worker has been sent."""
        self.current: GivenOrder | None = None
        self.following: GivenOrder | None = None
        """The worker has it already, so that its engine has no pause. It has not begun, as far as is known."""
        self._report_before = NOTHING_YET
        """The last one of an order before the current one."""
        self._frames_before = 0
        """Of the orders before the current one."""

    @property
    def orders(self) -> list[GivenOrder]:
        return [order for order in (self.current, self.following) if order is not None]

    def add(self, order: GivenOrder) -> None:
        if self.current is None:
            self.current = order
        else:
            self.following = order

    def remove(self, order: GivenOrder) -> None:
        """The order's piece is no longer this lane's. What still comes of it is dropped."""
        order.forget()
        if order is self.current:
            self._report_before = self._latest
            self._frames_before += order.latest.frames
            self.current, self.following = self.following, None
        else:
            self.following = None

    def has_encoded(self, frames: int, reported: int) -> None:
        """So many frames of an order that has ended, of which the last report told only a part."""
        self._frames_before += frames - reported

    # --- what a run's own thread reads ---

    @property
    def piece(self) -> Piece | None:
        order = self.current
        return None if order is None else order.piece

    @property
    def frames(self) -> int:
        order = self.current
        return self._frames_before + (0 if order is None else order.latest.frames)

    @property
    def measured_fps(self) -> float | None:
        order = self.current
        return 0.0 if order is None else order.latest.fps

    @property
    def _latest(self) -> Report:
        order = self.current
        return self._report_before if order is None or order.latest is NOTHING_YET else order.latest

    @property
    def decoders(self) -> tuple[int, int]:
        return self._latest.decoders

    @property
    def waited(self) -> Waits:
        return Waits(*self._latest.waited)

    @property
    def has_session(self) -> bool:
        return self.current is not None

    def stop(self) -> None: ...
    def join(self, deadline: float) -> None: ...
    def give_up(self, reason: str) -> None: ...


def packed_order(
    order: GivenOrder, version: str, known: set[str], engine: EngineInfo, pace: float
) -> Order | Exception:
    """What the worker gets, or why the piece cannot be sent."""
    piece, job = order.piece, order.piece.job
    try:
        with job.lock:
            config = job.task.config(engine)
            portable = getattr(job.task, "portable", lambda: None)()
    except BaseException as error:
        return as_error(error, job.source)
    if portable is None:
        return InvalidConfig(
            f"{job.source}: {type(job.task).__name__} has no portable(), so only this machine could encode it. "
            "Use a pool without a cluster."
        )
    return Order(
        number=order.number, version=version, source=job.source, key=portable.key,
        portable=None if portable.key in known else portable, config=config, frames=job.plan_frames,
        first=piece.first, last=piece.last, grant=order.granted, pace=pace,
    )  # fmt: skip
