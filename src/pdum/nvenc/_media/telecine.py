"""Recognises film of 24 frames a second that was stretched to 30 by fields that are shown again (3:2 pulldown)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .black_bars import luma

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CYCLE = 5
"""Of these frames, one repeats the upper field of the frame before it, and another one the lower field."""
LOOKED_AT = 3 * CYCLE + 1
MUCH_LESS = 3.0
"""A repeated field differs from the one before by the noise of the codec; the other field by what moves."""
MOVES = 0.5
"""Steps of the brightness by which a field of a moving picture differs on average from the one before."""


def is_telecined(frames: Sequence[Any]) -> bool | None:
    """Whether consecutive frames are telecine; None if nothing moves in them."""
    import numpy as np

    pictures = [luma(frame)[0] for frame in frames]
    changes = np.array([[_change(a[field::2], b[field::2]) for field in (0, 1)] for a, b in pairwise(pictures)])
    if len(changes) < 2 * CYCLE or np.median(changes.max(axis=1)) < MOVES:
        return None
    upper = changes[:, 0] * MUCH_LESS < changes[:, 1]
    lower = changes[:, 1] * MUCH_LESS < changes[:, 0]
    return any(
        _is_one_of_five(one, phase) and _is_one_of_five(other, (phase + 2) % CYCLE)
        for phase in range(CYCLE)
        for one, other in ((upper, lower), (lower, upper))
    )


def _change(before: NDArray[Any], now: NDArray[Any]) -> float:
    return float(abs(now.astype("int32") - before).mean())


def _is_one_of_five(repeated: NDArray[np.bool_], phase: int) -> bool:
    return bool(repeated[phase::CYCLE].all()) and repeated.sum() == len(repeated[phase::CYCLE])
