"""How many decoders this process may have at once: on each GPU, and on the processor beside them."""

from __future__ import annotations

import os
from threading import Lock

from .._errors import InvalidConfig

VARIABLE = "PDUM_NVENC_DECODERS"
"""A variable: how many decoders of each GPU are used at most, ``2`` for all GPUs or ``2,3``, one for each."""
CORES_FOR_ONE = 4
"""Cores of the processor for each decoder that helps a GPU."""
PROCESSOR = -1


class DecoderPlaces:
    """Counts the decoders that are open. Pools and runs of one process share them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._used: dict[int, int] = {}

    def take(self, where: int, most: int | None) -> bool:
        """``where``: a GPU, or ``PROCESSOR``. Returns whether there was a place."""
        with self._lock:
            used = self._used.get(where, 0)
            if most is not None and used >= most:
                return False
            self._used[where] = used + 1
            return True

    def give_back(self, where: int) -> None:
        """A forked child gives back what it has not taken: it has its parent's generators."""
        with self._lock:
            self._used[where] = max(self._used.get(where, 0) - 1, 0)

    def used(self, where: int) -> int:
        with self._lock:
            return self._used.get(where, 0)

    def forget(self) -> None:
        """For a forked child, which has none of its parent's decoders."""
        self._lock = Lock()
        self._used = {}


PLACES = DecoderPlaces()
os.register_at_fork(after_in_child=PLACES.forget)


def chip_limit(gpu: int) -> int | None:
    """How many decoders of this GPU the user allows; None: as many as it has.

    Raises:
        InvalidConfig: the variable is no number and no list of numbers.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    try:
        numbers = [int(part) for part in given.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0:
        raise InvalidConfig(
            f'Expected a number from 0, or one for each GPU, as in "2,3", got {VARIABLE}={given!r}. '
            "Without the variable, all decoders are used."
        )
    if len(numbers) == 1:
        return numbers[0]
    return numbers[gpu] if gpu < len(numbers) else None


def processor_limit() -> int:
    """How many decoders the processor has cores for, beside what GPUs decode."""
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // CORES_FOR_ONE) if cores > 1 else 0


def processor_threads() -> int:
    """Threads of each of them."""
    return min(CORES_FOR_ONE, len(os.sched_getaffinity(0)))
