"""A short queue between two threads."""

from __future__ import annotations

from collections import deque
from threading import Condition
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    """The channel is closed: it stays empty, or no thread takes from it any more."""


class Stopwatch:
    """The seconds spent in its ``with`` blocks, including the present one. It can be read in any thread."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = monotonic()

    def __exit__(self, *_: object) -> None:
        before = self.seconds
        self._since, self._before = None, before

    @property
    def seconds(self) -> float:
        before, since = self._before, self._since
        return before if since is None else before + monotonic() - since


class Channel(Generic[Item]):
    """A queue of bounded length that either side can close."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._is_closed = False
        self._taker_waits = Stopwatch()
        self._giver_waits = Stopwatch()

    @property
    def taker_waited(self) -> float:
        """Seconds for which somebody has waited for items."""
        return self._taker_waits.seconds

    @property
    def giver_waited(self) -> float:
        """Seconds for which somebody has waited for room."""
        return self._giver_waits.seconds

    def put(self, item: Item) -> None:
        """Waits for room; raises Closed."""
        with self._changed:
            while len(self._items) >= self._most and not self._is_closed:
                with self._giver_waits:
                    self._changed.wait()
            if self._is_closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Item | None:
        """The next item, or None if none arrived in time. Raises Closed once the channel is closed and empty."""
        deadline = None if timeout is None else monotonic() + timeout
        with self._changed:
            while not self._items and not self._is_closed:
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return None
                with self._taker_waits:
                    self._changed.wait(left)
            if not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, forget: bool = False) -> None:
        """Takes no more items. With ``forget``, drops the items that were not taken yet."""
        with self._changed:
            self._is_closed = True
            if forget:
                self._items.clear()
            self._changed.notify_all()
