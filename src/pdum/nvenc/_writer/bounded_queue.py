"""A queue between two threads that is bounded in items and in bytes."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QueueClosed(Exception):
    """The queue takes nothing more, or stays empty."""


class BoundedQueue(Generic[Item]):
    """First in, first out. An item that alone is larger than the bound passes when the queue is empty."""

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self.peak_bytes = 0
        """The most bytes that were ever in it."""
        self._most_items, self._most_bytes = most_items, most_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._wakes_at = 1
        """How many items it takes to wake the thread that takes them. Waking it for each costs more than the items."""
        self._is_closed = False

    def put(self, item: Item, size: int) -> None:
        """Waits for room. Raises QueueClosed."""
        with self._changed:
            while not self._is_closed and not self.has_room(size):
                self._changed.notify_all()
                self._changed.wait()
            self._append(item, size)

    def put_dropping(self, item: Item, size: int) -> int:
        """Makes room by dropping the oldest items, and says how many. Never waits. Raises QueueClosed."""
        dropped = 0
        with self._changed:
            while not self._is_closed and not self.has_room(size):
                self._take()
                dropped += 1
            self._append(item, size)
        return dropped

    def get(self) -> Item:
        """Waits for an item. Raises QueueClosed once the queue is closed and empty."""
        with self._changed:
            while not self._items:
                if self._is_closed:
                    raise QueueClosed
                self._changed.wait()
            item = self._take()
            self._changed.notify_all()
            return item

    def get_all(self, enough: int, patience: float) -> list[Item]:
        """Waits for an item, and then for more, until there are enough or the patience (seconds) is over."""
        with self._changed:
            while not self._items:
                if self._is_closed:
                    raise QueueClosed
                self._changed.wait()
            if len(self._items) < enough and not self._is_closed:
                self._wakes_at = enough
                self._changed.wait(patience)
                self._wakes_at = 1
            items = [self._take() for _ in range(len(self._items))]
            self._changed.notify_all()
            return items

    def close(self, *, forget: bool = False) -> None:
        """Takes no more items. With ``forget``, those that are in it are dropped."""
        with self._changed:
            self._is_closed = True
            if forget:
                self._items.clear()
                self._bytes = 0
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)

    def has_room(self, size: int) -> bool:
        """Whether an item of this size would not have to wait now."""
        if not self._items:
            return True
        return len(self._items) < self._most_items and self._bytes + size <= self._most_bytes

    def _append(self, item: Item, size: int) -> None:
        if self._is_closed:
            raise QueueClosed
        self._items.append((item, size))
        self._bytes += size
        self.peak_bytes = max(self.peak_bytes, self._bytes)
        if len(self._items) >= self._wakes_at:
            self._changed.notify_all()

    def _take(self) -> Item:
        item, size = self._items.popleft()
        self._bytes -= size
        return item
